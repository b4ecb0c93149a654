//! `toolbox`: small commands under one roof, as busybox has them, with a shell among them. What it
//! is called as says which: `sh -c "..."` with the container's command `sh`; or its first argument if
//! it is called by its own name: `toolbox echo hello`. Without any it is the shell, which reads its
//! standard input.
//!
//! What is not there is refused by name: a command with 127, an option or a form of the shell's
//! with 2.

mod applets;
mod call;
mod pattern;
mod shell;

use std::collections::BTreeMap;

use call::{Call, Host, Io};

fn main() {
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .collect();
    let cwd = variables.get("PWD").filter(|path| path.starts_with('/'));
    let cwd = cwd.cloned().unwrap_or_else(|| "/".to_owned());
    let host = Host {
        asked_to_end: coracle_guest::shutdown::requested,
        sleep: coracle_guest::wait::sleep,
    };
    let mut io = Io::of_process();
    let code = match chosen(&arguments) {
        Ok(arguments) => {
            let mut call = Call { arguments, variables: &variables, cwd: &cwd, io: &mut io, host };
            applets::run(&mut call)
        }
        Err(name) => {
            io.complain(&format!("{name}: not found"));
            127
        }
    };
    coracle_guest::exit(code)
}

/// What it is called as where a container says only an image: its name, and the names of images
/// that it stands for.
const OWN_NAMES: &[&str] = &["alpine", "busybox", "debian", "toolbox", "ubuntu"];

/// The command's name and its arguments; or a name that is no command.
fn chosen(arguments: &[String]) -> Result<Vec<String>, String> {
    let (called, rest) = arguments.split_first().ok_or_else(String::new)?;
    if !OWN_NAMES.contains(&called.as_str()) {
        return applets::named(called).map(|_| arguments.to_vec()).ok_or_else(|| called.clone());
    }
    match rest.first() {
        Some(first) => applets::named(first).map(|_| rest.to_vec()).ok_or_else(|| first.clone()),
        None => Ok(vec!["sh".to_owned()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_or_the_first_argument_chooses() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            chosen(&words).map(|chosen| chosen.join(" ")).ok()
        };
        assert_eq!(of("sh -c x").as_deref(), Some("sh -c x"));
        assert_eq!(of("/bin/sh -c x").as_deref(), Some("/bin/sh -c x"));
        assert_eq!(of("busybox sleep 3").as_deref(), Some("sleep 3"));
        assert_eq!(of("busybox").as_deref(), Some("sh"));
        assert_eq!(of("busybox fsck"), None);
        assert_eq!(of("/opt/sh -c x"), None);
        assert_eq!(of("shh sleep 3"), None);
        assert_eq!(of("shh"), None);
    }
}
