//! What a guest's error means.

use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

use crate::instance::{Ended, ExitReason};
use crate::memory::OomKilled;

/// The longest message that an end carries; Kubernetes keeps as much.
const LONGEST_MESSAGE: usize = 4096;

/// The end that `error` stands for.
pub(crate) fn ended(error: &wasmtime::Error) -> Ended {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Ended::with_code(*code);
    }
    if let Some(oom) = error.downcast_ref::<OomKilled>() {
        let message = Some(oom.to_string());
        return Ended { code: 137, reason: ExitReason::OomKilled, message };
    }
    if let Some(Trap::OutOfFuel) = error.downcast_ref() {
        let message = Some("the budget of instructions is spent".to_owned());
        return Ended { code: 137, reason: ExitReason::FuelExhausted, message };
    }
    Ended { code: 134, reason: ExitReason::Error, message: Some(describe(error)) }
}

/// Whether `error` came out of the guest's own code rather than out of setting it up.
pub(crate) fn of_guest(error: &wasmtime::Error) -> bool {
    error.is::<I32Exit>()
        || error.is::<OomKilled>()
        || error.is::<Trap>()
        || error.is::<wasmtime::WasmBacktrace>()
}

/// The cause first, then where it happened, innermost frame first.
pub(crate) fn describe(error: &wasmtime::Error) -> String {
    let mut text = error.root_cause().to_string();
    if let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() {
        text.push('\n');
        text.push_str(backtrace.to_string().trim_end());
    }
    let mut end = text.len().min(LONGEST_MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
