//! A running guest, as its starter holds it.

use std::sync::Arc;
use std::time::Duration;

use coracle_api::clock;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::memory::MemoryAccount;
use crate::meter::{Meter, Usage};
use crate::stop::StopHandle;

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The guest's own exit code, or what a shell would report: 134 after a trap, 137 after being
    /// killed, 143 after being ended because it had not asked to hear of a stop.
    pub code: i32,
    /// What ended it.
    pub reason: ExitReason,
    /// What there is to say about it: the trap and where it happened, the limit that was hit.
    pub message: Option<String>,
    /// When the guest started.
    pub started_at: Timestamp,
    /// When the guest ended.
    pub finished_at: Timestamp,
}

/// What ended a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It returned, or exited with code 0.
    Completed,
    /// It trapped or exited with another code.
    Error,
    /// It wanted more memory than it, or its group, may have.
    OomKilled,
    /// It was interrupted from outside.
    Stopped,
    /// Its budget of instructions is spent.
    FuelExhausted,
}

/// An end without the times.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) reason: ExitReason,
    pub(crate) message: Option<String>,
}

impl Ended {
    pub(crate) fn with_code(code: i32) -> Self {
        let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
        Self { code, reason, message: None }
    }

    pub(crate) fn at(self, started_at: Timestamp) -> Exit {
        let Self { code, reason, message } = self;
        Exit { code, reason, message, started_at, finished_at: clock::now() }
    }
}

/// A guest that has been started. Dropping it kills the guest.
#[derive(Debug)]
pub struct Instance {
    pub(crate) waiter: Waiter,
    pub(crate) stop: StopHandle,
    pub(crate) meter: Arc<Meter>,
    pub(crate) memory: Arc<MemoryAccount>,
}

impl Instance {
    /// Waits for the guest's end; at once if it has ended.
    pub async fn wait(&self) -> Exit {
        self.waiter().wait().await
    }

    /// Something to wait with that does not hold the guest.
    pub fn waiter(&self) -> Waiter {
        self.waiter.clone()
    }

    /// Asks the guest to end, and interrupts it when `grace` is over. A command that has no way
    /// to hear of it (it does not import `coracle:guest/shutdown`) is ended at once, as a process
    /// is by a signal that it does not handle. HTTP handlers answer what has been accepted. A
    /// second call can shorten the grace, not lengthen it.
    pub fn stop(&self, grace: Duration) {
        self.stop.stop(grace);
    }

    /// Interrupts the guest now.
    pub fn kill(&self) {
        self.stop.stop(Duration::ZERO);
    }

    /// What the guest has used.
    pub fn usage(&self) -> Usage {
        self.meter.usage(&self.memory)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for a guest's end without holding the guest.
#[derive(Clone, Debug)]
pub struct Waiter {
    started_at: Timestamp,
    exit: watch::Receiver<Option<Exit>>,
}

impl Waiter {
    pub(crate) fn new(started_at: Timestamp, exit: watch::Receiver<Option<Exit>>) -> Self {
        Self { started_at, exit }
    }

    /// Waits for the guest's end; at once if it has ended.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.clone();
        let found = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        // No exit was left behind: the engine, and the guest with it, is gone.
        found.unwrap_or_else(|| {
            let message = Some("the engine has been shut down".to_owned());
            Ended { code: 137, reason: ExitReason::Stopped, message }.at(self.started_at)
        })
    }

    /// The guest's end, if it has ended.
    pub fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }
}
