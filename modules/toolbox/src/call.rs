//! What a command gets to work with: arguments, variables, a working directory, three streams, and
//! what only the host can do. Commands touch nothing else, so that a test can give them all of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// The most that waits in a pipe or is put into a command line: the stages of a pipe run one after
/// another.
pub(crate) const HELD_AT_MOST: usize = 16 << 20;

/// What a process answers that was told to end.
pub(crate) const TERMINATED: u8 = 143;

/// What only the host can do.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    /// Whether the pod is asked to end.
    pub(crate) asked_to_end: fn() -> bool,
    /// Sleeps; false if that was cut short because the pod is asked to end.
    pub(crate) sleep: fn(Duration) -> bool,
}

/// Where a command reads from.
#[derive(Clone)]
pub(crate) enum Input {
    Process,
    File(Rc<File>),
    Bytes(Rc<RefCell<io::Cursor<Vec<u8>>>>),
    Nothing,
}

impl Input {
    pub(crate) fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(Rc::new(RefCell::new(io::Cursor::new(bytes.into()))))
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Process => io::stdin().read(into),
            Self::File(file) => (&**file).read(into),
            Self::Bytes(bytes) => bytes.borrow_mut().read(into),
            Self::Nothing => Ok(0),
        }
    }
}

/// Where a command writes to.
#[derive(Clone)]
pub(crate) enum Output {
    Stdout,
    Stderr,
    File(Rc<File>),
    Held(Rc<RefCell<Vec<u8>>>),
    Nothing,
}

impl Output {
    /// A place in memory, and an output to it.
    pub(crate) fn held() -> (Rc<RefCell<Vec<u8>>>, Self) {
        let held = Rc::new(RefCell::new(Vec::new()));
        (held.clone(), Self::Held(held))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => io::stdout().write(bytes),
            Self::Stderr => io::stderr().write(bytes),
            Self::File(file) => (&**file).write(bytes),
            Self::Held(held) => {
                let mut held = held.borrow_mut();
                if held.len() + bytes.len() > HELD_AT_MOST {
                    let message = format!("more than {HELD_AT_MOST} bytes in a pipe");
                    return Err(io::Error::new(ErrorKind::StorageFull, message));
                }
                held.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Nothing => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().flush(),
            Self::Stderr => io::stderr().flush(),
            Self::File(file) => (&**file).flush(),
            Self::Held(_) | Self::Nothing => Ok(()),
        }
    }
}

/// A command's streams.
#[derive(Clone)]
pub(crate) struct Io {
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) errors: Output,
}

impl Io {
    pub(crate) fn of_process() -> Self {
        Self { input: Input::Process, output: Output::Stdout, errors: Output::Stderr }
    }

    /// Says something on the stream of errors.
    pub(crate) fn complain(&mut self, what: &str) {
        // Whoever cannot be told is not told.
        let _ = writeln!(self.errors, "{what}");
    }
}

/// Why a command fails.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Of what cannot be done with a file.
    pub(crate) fn of_file(name: &str, error: &io::Error) -> Self {
        Self::new(1, format!("{name}: {}", reason(error)))
    }

    /// Of an option that is not there.
    pub(crate) fn of_option(option: &str) -> Self {
        Self::new(2, format!("option {option} is not there"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(1, reason(&error))
    }
}

/// An error in the words of C.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = match error.kind() {
        ErrorKind::NotFound => "No such file or directory",
        ErrorKind::PermissionDenied => "Permission denied",
        ErrorKind::AlreadyExists => "File exists",
        ErrorKind::NotADirectory => "Not a directory",
        ErrorKind::IsADirectory => "Is a directory",
        ErrorKind::DirectoryNotEmpty => "Directory not empty",
        ErrorKind::ReadOnlyFilesystem => "Read-only file system",
        ErrorKind::CrossesDevices => "Cross-device link",
        _ => return error.to_string(),
    };
    text.to_owned()
}

/// An exit code, or why there is none.
pub(crate) type Outcome = Result<u8, Failure>;

/// One command, called.
pub(crate) struct Call<'a> {
    /// The command's name first.
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: &'a BTreeMap<String, String>,
    pub(crate) cwd: &'a str,
    pub(crate) io: &'a mut Io,
    pub(crate) host: Host,
}

impl Call<'_> {
    /// The name it was called by, without directories.
    pub(crate) fn name(&self) -> &str {
        let called = self.arguments.first().map_or("", String::as_str);
        called.rsplit('/').next().unwrap_or_default()
    }

    /// Takes the options off the arguments: letters of `flags`, and letters of `valued` with their
    /// values. Gives the options and what is left.
    pub(crate) fn options(&self, flags: &str, valued: &str) -> Result<Options, Failure> {
        let mut found = Options::default();
        let mut arguments = self.arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            let letters = match argument.strip_prefix('-') {
                Some("-") => break,
                Some(letters) if !letters.is_empty() => letters,
                _ => {
                    found.rest.push(argument.clone());
                    break;
                }
            };
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                if flags.contains(letter) {
                    found.flags.push(letter);
                } else if valued.contains(letter) {
                    let rest = letters.as_str();
                    let value = if rest.is_empty() {
                        arguments.next().cloned()
                    } else {
                        Some(rest.to_owned())
                    };
                    let missing = || Failure::new(2, format!("option -{letter} needs a value"));
                    found.values.push((letter, value.ok_or_else(missing)?));
                    break;
                } else {
                    return Err(Failure::of_option(argument));
                }
            }
        }
        found.rest.extend(arguments.cloned());
        Ok(found)
    }

    /// The place that `path` means.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        resolve(self.cwd, path)
    }

    /// Opens what a command is to read: a file, or `-` for its input.
    pub(crate) fn open(&self, name: &str) -> Result<Input, Failure> {
        match name {
            "-" | "/dev/stdin" => Ok(self.io.input.clone()),
            "/dev/null" => Ok(Input::Nothing),
            _ => {
                let place = self.path(name);
                if place.is_dir() {
                    return Err(Failure::of_file(name, &ErrorKind::IsADirectory.into()));
                }
                let file = File::open(place).map_err(|error| Failure::of_file(name, &error))?;
                Ok(Input::File(Rc::new(file)))
            }
        }
    }

    /// All of what a command reads: of these files, or of its input if there are none.
    pub(crate) fn inputs(&self, names: &[String]) -> Result<Vec<(String, Input)>, Failure> {
        if names.is_empty() {
            return Ok(vec![("-".to_owned(), self.io.input.clone())]);
        }
        names.iter().map(|name| Ok((name.clone(), self.open(name)?))).collect()
    }

    /// Sleeps. The code to end with, if the pod is asked to end meanwhile.
    pub(crate) fn sleep(&self, length: Duration) -> Option<u8> {
        if (self.host.sleep)(length) { None } else { Some(TERMINATED) }
    }
}

/// The options of a call.
#[derive(Debug, Default)]
pub(crate) struct Options {
    flags: Vec<char>,
    values: Vec<(char, String)>,
    /// What follows the options.
    pub(crate) rest: Vec<String>,
}

impl Options {
    pub(crate) fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    /// The last value of an option.
    pub(crate) fn value(&self, option: char) -> Option<&str> {
        self.values
            .iter()
            .rev()
            .find(|(known, _)| *known == option)
            .map(|(_, value)| value.as_str())
    }
}

/// The place that `path` means in the directory `cwd`, without `.` and `..`.
pub(crate) fn resolve(cwd: &str, path: &str) -> PathBuf {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { cwd };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    PathBuf::from(format!("/{}", parts.join("/")))
}

/// Text of at most [`HELD_AT_MOST`] bytes.
pub(crate) fn read_text(input: &mut Input) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(HELD_AT_MOST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > HELD_AT_MOST {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("more than {HELD_AT_MOST} bytes"),
        ));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved() {
        for (cwd, path, place) in [
            ("/", "a", "/a"),
            ("/a/b", "c", "/a/b/c"),
            ("/a/b", "../c/./d", "/a/c/d"),
            ("/a", "/b/", "/b"),
            ("/a", "../../..", "/"),
        ] {
            assert_eq!(resolve(cwd, path), PathBuf::from(place), "{cwd} {path}");
        }
    }

    #[test]
    fn a_pipe_holds_only_so_much() {
        let (held, mut output) = Output::held();
        output.write_all(&vec![0; HELD_AT_MOST]).unwrap();
        assert!(output.write_all(b"x").is_err());
        assert_eq!(held.borrow().len(), HELD_AT_MOST);
    }
}
