//! The one clock. Nothing else in the house asks the operating system for the time, so that a
//! whole control plane can run on simulated time; timers are tokio's.

use std::sync::OnceLock;

use jiff::Timestamp;
use tokio::time::Instant;

/// Where simulated time began: a wall-clock time and the runtime's instant that stands for it.
static SIMULATION: OnceLock<(Timestamp, Instant)> = OnceLock::new();

/// The present wall-clock time.
pub fn now() -> Timestamp {
    match SIMULATION.get() {
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        None => Timestamp::now(),
        Some((start, instant)) => start.saturating_add(instant.elapsed()).unwrap_or(Timestamp::MAX),
    }
}

/// Ties wall-clock time to the runtime's timers, beginning at `start`: with tokio's time paused
/// the whole process then lives on simulated time. Only the first call of a process counts.
pub fn simulate(start: Timestamp) {
    let _ = SIMULATION.set((start, Instant::now()));
}
