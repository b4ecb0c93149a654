//! Ending with an exit code.

use std::io::{self, Write};

use crate::bindings::wasi::cli::exit::exit_with_code;

/// Ends the guest with this exit code. [`std::process::exit`] knows only 0 and 1 in a component.
///
/// ```no_run
/// coracle_guest::exit(3)
/// ```
pub fn exit(code: u8) -> ! {
    // Whoever reads the output has gone if it cannot be written: there is nobody left to tell.
    let _ = io::stdout().flush();
    exit_with_code(code);
    // The host does not come back.
    std::process::abort()
}
