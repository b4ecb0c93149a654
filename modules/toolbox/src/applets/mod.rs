//! The commands, one line each; the shell's own are the shell's.

mod condition;
mod files;
mod network;
mod printf;
mod system;
mod text;
mod time;

use crate::call::{Call, Outcome};
use crate::shell;

type Applet = fn(&mut Call<'_>) -> Outcome;

const APPLETS: &[(&str, Applet)] = &[
    ("[", condition::test),
    ("ash", shell::run),
    ("basename", system::basename),
    ("bash", shell::run),
    ("cat", text::cat),
    ("cp", files::cp),
    ("cut", text::cut),
    ("date", time::date),
    ("dirname", system::dirname),
    ("echo", text::echo),
    ("env", system::env),
    ("expr", system::expr),
    ("false", system::no),
    ("grep", text::grep),
    ("head", text::head),
    ("hostname", system::hostname),
    ("ls", files::ls),
    ("mkdir", files::mkdir),
    ("mv", files::mv),
    ("nc", network::nc),
    ("nslookup", network::nslookup),
    ("printenv", system::env),
    ("printf", printf::printf),
    ("rm", files::rm),
    ("rmdir", files::rm),
    ("seq", system::seq),
    ("sh", shell::run),
    ("sleep", time::sleep),
    ("sort", text::sort),
    ("tail", text::tail),
    ("tee", text::tee),
    ("test", condition::test),
    ("touch", files::touch),
    ("tr", text::tr),
    ("true", system::yes),
    ("uname", system::uname),
    ("uniq", text::uniq),
    ("wc", text::wc),
    ("wget", network::wget),
];

/// Where commands are said to lie.
const DIRECTORIES: &[&str] = &["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/usr/local/bin/"];

/// The command of this name or path.
pub(crate) fn named(name: &str) -> Option<Applet> {
    let name =
        DIRECTORIES.iter().find_map(|directory| name.strip_prefix(directory)).unwrap_or(name);
    APPLETS.iter().find(|(known, _)| *known == name).map(|(_, applet)| *applet)
}

/// Runs the command that `call` names; says what is wrong.
pub(crate) fn run(call: &mut Call<'_>) -> u8 {
    let called = call.arguments.first().cloned().unwrap_or_default();
    let Some(applet) = named(&called) else {
        call.io.complain(&format!("{called}: not found"));
        return 127;
    };
    match applet(call) {
        Ok(code) => code,
        Err(failure) => {
            let line = format!("{}: {}", call.name(), failure.message);
            call.io.complain(&line);
            failure.code
        }
    }
}
