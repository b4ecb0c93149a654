//! The commands that are the shell's own, for they change it.

use std::io::{ErrorKind, Read};

use super::{Flow, Shell};
use crate::applets;
use crate::call::{Failure, reason, resolve};

type Done = Result<Flow, Failure>;
type Builtin = fn(&mut Shell, &[String]) -> Done;

const BUILTINS: &[(&str, Builtin)] = &[
    (".", source),
    (":", nothing),
    ("break", breaks),
    ("cd", cd),
    ("command", command),
    ("continue", continues),
    ("eval", eval),
    ("exec", exec),
    ("exit", exit),
    ("export", export),
    ("local", local),
    ("pwd", pwd),
    ("read", read),
    ("readonly", local),
    ("return", returns),
    ("set", set),
    ("shift", shift),
    ("source", source),
    ("trap", trap),
    ("type", kind),
    ("umask", nothing),
    ("unset", unset),
    ("wait", nothing),
];

/// The shell's own command of this name.
pub(super) fn named(name: &str) -> Option<Builtin> {
    BUILTINS.iter().find(|(known, _)| *known == name).map(|(_, builtin)| *builtin)
}

/// A command that went well.
fn well(shell: &mut Shell) -> Done {
    shell.status = 0;
    Ok(Flow::Next)
}

fn nothing(shell: &mut Shell, _: &[String]) -> Done {
    well(shell)
}

fn number(arguments: &[String], otherwise: u32) -> Result<u32, Failure> {
    match arguments.get(1) {
        None => Ok(otherwise),
        Some(text) => text.parse().map_err(|_| Failure::new(2, format!("Illegal number: {text}"))),
    }
}

fn breaks(shell: &mut Shell, arguments: &[String]) -> Done {
    shell.status = 0;
    Ok(Flow::Break(number(arguments, 1)?))
}

fn continues(shell: &mut Shell, arguments: &[String]) -> Done {
    shell.status = 0;
    Ok(Flow::Continue(number(arguments, 1)?))
}

fn code(shell: &mut Shell, arguments: &[String]) -> Result<(), Failure> {
    // Codes are bytes: 256 is 0.
    shell.status = number(arguments, shell.status.into())?.to_le_bytes()[0];
    Ok(())
}

fn exit(shell: &mut Shell, arguments: &[String]) -> Done {
    code(shell, arguments)?;
    Ok(Flow::Exit)
}

fn returns(shell: &mut Shell, arguments: &[String]) -> Done {
    code(shell, arguments)?;
    Ok(Flow::Return)
}

fn cd(shell: &mut Shell, arguments: &[String]) -> Done {
    let home = shell.variables.get("HOME").cloned().unwrap_or_else(|| "/".to_owned());
    let to = arguments.get(1).unwrap_or(&home);
    let place = resolve(&shell.cwd, to);
    // The root is not mounted and is there all the same.
    if place.as_os_str() != "/" && !place.is_dir() {
        return Err(Failure::new(
            2,
            format!("can't cd to {to}: {}", reason(&ErrorKind::NotFound.into())),
        ));
    }
    let old = std::mem::replace(&mut shell.cwd, place.to_string_lossy().into_owned());
    shell.variables.insert("OLDPWD".to_owned(), old);
    well(shell)
}

fn pwd(shell: &mut Shell, _: &[String]) -> Done {
    let cwd = shell.cwd.clone();
    use std::io::Write;
    writeln!(shell.io.output, "{cwd}")?;
    well(shell)
}

fn assign(shell: &mut Shell, arguments: &[String], exports: bool) -> Done {
    for argument in arguments.iter().skip(1).filter(|argument| *argument != "-p") {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if name.is_empty()
            || !name.chars().all(fits)
            || name.starts_with(|letter: char| letter.is_ascii_digit())
        {
            return Err(Failure::new(2, format!("{argument}: bad variable name")));
        }
        if let Some(value) = value {
            shell.variables.insert(name.to_owned(), value.to_owned());
        }
        if exports {
            shell.exported.insert(name.to_owned());
        }
    }
    well(shell)
}

fn export(shell: &mut Shell, arguments: &[String]) -> Done {
    assign(shell, arguments, true)
}

fn local(shell: &mut Shell, arguments: &[String]) -> Done {
    assign(shell, arguments, false)
}

fn unset(shell: &mut Shell, arguments: &[String]) -> Done {
    for name in arguments.iter().skip(1).filter(|name| !name.starts_with('-')) {
        shell.variables.remove(name);
        shell.exported.remove(name);
        shell.functions.remove(name);
    }
    well(shell)
}

fn set(shell: &mut Shell, arguments: &[String]) -> Done {
    let mut arguments = arguments.iter().skip(1);
    while let Some(argument) = arguments.next() {
        let (on, letters) = match (argument.strip_prefix('-'), argument.strip_prefix('+')) {
            (Some("-"), _) => {
                shell.positional = arguments.cloned().collect();
                return well(shell);
            }
            (Some(letters), _) => (true, letters),
            (_, Some(letters)) => (false, letters),
            _ => {
                shell.positional = std::iter::once(argument).chain(arguments).cloned().collect();
                return well(shell);
            }
        };
        for letter in letters.chars() {
            let letter = match letter {
                'o' => match arguments.next().map(String::as_str) {
                    Some("errexit") => 'e',
                    Some("nounset") => 'u',
                    Some("xtrace") => 'x',
                    Some("noglob") => 'f',
                    other => {
                        return Err(Failure::new(
                            2,
                            format!("illegal option -o {}", other.unwrap_or_default()),
                        ));
                    }
                },
                letter => letter,
            };
            match letter {
                'e' => shell.flags.ends_at_failure = on,
                'u' => shell.flags.unset_is_wrong = on,
                'x' => shell.flags.traces = on,
                'f' => shell.flags.plain_names = on,
                other => return Err(Failure::new(2, format!("illegal option -{other}"))),
            }
        }
    }
    well(shell)
}

fn shift(shell: &mut Shell, arguments: &[String]) -> Done {
    let count = usize::try_from(number(arguments, 1)?).unwrap_or(usize::MAX);
    if count > shell.positional.len() {
        return Err(Failure::new(1, "can't shift that many"));
    }
    shell.positional.drain(..count);
    well(shell)
}

fn eval(shell: &mut Shell, arguments: &[String]) -> Done {
    shell.status = 0;
    let script = arguments.get(1..).unwrap_or_default().join(" ");
    Ok(shell.script(&script))
}

fn source(shell: &mut Shell, arguments: &[String]) -> Done {
    let name = arguments.get(1).ok_or_else(|| Failure::new(2, "filename argument required"))?;
    let mut input = shell.input(name)?;
    let script = crate::call::read_text(&mut input)?;
    shell.status = 0;
    Ok(match shell.script(&script) {
        Flow::Return => Flow::Next,
        flow => flow,
    })
}

fn exec(shell: &mut Shell, arguments: &[String]) -> Done {
    let Some(rest) = arguments.get(1..).filter(|rest| !rest.is_empty()) else {
        shell.keeps_streams = true;
        return well(shell);
    };
    shell.traps.clear();
    shell.command(rest.to_vec(), Vec::new());
    Ok(Flow::Exit)
}

fn command(shell: &mut Shell, arguments: &[String]) -> Done {
    match arguments.get(1).map(String::as_str) {
        Some("-v") => kind(shell, arguments.get(1..).unwrap_or_default()),
        Some(_) => {
            let rest = arguments.get(1..).unwrap_or_default().to_vec();
            Ok(shell.command(rest, Vec::new()))
        }
        None => well(shell),
    }
}

fn kind(shell: &mut Shell, arguments: &[String]) -> Done {
    use std::io::Write;
    shell.status = 0;
    for name in arguments.iter().skip(1) {
        let known = shell.functions.contains_key(name)
            || named(name).is_some()
            || applets::named(name).is_some();
        if known {
            writeln!(shell.io.output, "{name}")?;
        } else {
            shell.status = 127;
        }
    }
    Ok(Flow::Next)
}

fn read(shell: &mut Shell, arguments: &[String]) -> Done {
    let mut raw = false;
    let mut names: Vec<&String> = Vec::new();
    for argument in arguments.iter().skip(1) {
        match argument.as_str() {
            "-r" => raw = true,
            option if option.starts_with('-') => return Err(Failure::of_option(option)),
            _ => names.push(argument),
        }
    }
    let (line, ended) = line(shell, raw)?;
    let separators = shell.variables.get("IFS").cloned().unwrap_or_else(|| " \t\n".to_owned());
    let apart = |letter: char| separators.contains(letter);
    let blank = |letter: char| letter.is_whitespace() && separators.contains(letter);
    let mut rest = line.trim_matches(blank);
    let last = names.len().saturating_sub(1);
    for (index, name) in names.into_iter().enumerate() {
        let (value, after) = match rest.find(apart) {
            Some(at) if index < last => {
                let (value, after) = rest.split_at(at);
                (value, after.get(1..).unwrap_or_default().trim_start_matches(blank))
            }
            _ => (rest, ""),
        };
        shell.variables.insert(name.clone(), value.to_owned());
        rest = after;
    }
    shell.status = u8::from(ended);
    Ok(Flow::Next)
}

/// A line, read byte by byte so that the next command gets what follows it; and whether the input
/// ended instead.
fn line(shell: &mut Shell, raw: bool) -> Result<(String, bool), Failure> {
    let mut bytes = Vec::new();
    let mut one = [0; 1];
    let ended = loop {
        if shell.io.input.read(&mut one)? == 0 {
            break true;
        }
        match one[0] {
            b'\n' if !raw && bytes.last() == Some(&b'\\') => drop(bytes.pop()),
            b'\n' => break false,
            byte if bytes.len() < crate::call::HELD_AT_MOST => bytes.push(byte),
            _ => return Err(Failure::new(2, "the line is too long")),
        }
    };
    Ok((String::from_utf8_lossy(&bytes).into_owned(), ended))
}

fn trap(shell: &mut Shell, arguments: &[String]) -> Done {
    let Some((script, signals)) = arguments.get(1..).and_then(<[String]>::split_first) else {
        return well(shell);
    };
    for signal in signals {
        let signal = match signal.trim_start_matches("SIG") {
            "0" | "EXIT" => "EXIT",
            "15" | "TERM" => "TERM",
            // A guest hears of no other signal.
            "1" | "2" | "3" | "HUP" | "INT" | "QUIT" => continue,
            _ => return Err(Failure::new(1, format!("{signal}: bad trap"))),
        };
        match script.as_str() {
            "-" => drop(shell.traps.remove(signal)),
            script => drop(shell.traps.insert(signal.to_owned(), script.to_owned())),
        }
    }
    well(shell)
}
