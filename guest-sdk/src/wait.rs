//! Waiting without spinning: a guest that waits costs the cluster no CPU time.

use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::io::poll::{self, Pollable};
use crate::shutdown;

/// Something that becomes ready: data that arrives, a timer, the request to end. It borrows what it
/// watches.
#[derive(Debug)]
pub struct Readiness<'a> {
    pollable: Pollable,
    watched: PhantomData<&'a ()>,
}

impl Readiness<'_> {
    pub(crate) fn new(pollable: Pollable) -> Self {
        Self { pollable, watched: PhantomData }
    }

    /// Whether it is ready now.
    pub fn is_ready(&self) -> bool {
        self.pollable.ready()
    }

    /// Returns when it is ready.
    pub fn wait(&self) {
        self.pollable.block();
    }
}

/// Returns when at least one is ready, with the indices of those that are. Of nothing, nothing
/// ever becomes ready: an empty list returns at once.
pub fn any(of: &[&Readiness<'_>]) -> Vec<usize> {
    if of.is_empty() {
        return Vec::new();
    }
    let pollables: Vec<&Pollable> = of.iter().map(|readiness| &readiness.pollable).collect();
    poll::poll(&pollables).into_iter().map(|index| index as usize).collect()
}

/// Ready when `after` has passed.
pub fn timer(after: Duration) -> Readiness<'static> {
    let nanoseconds = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
    Readiness::new(monotonic_clock::subscribe_duration(nanoseconds))
}

/// Sleeps for `length`, or until the guest is asked to end. Says whether it may go on: `false`
/// means that it was asked to end.
pub fn sleep(length: Duration) -> bool {
    any(&[&timer(length), &shutdown::readiness()]);
    !shutdown::requested()
}
