//! What guests use, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::memory::MemoryAccount;

/// Fuel after which a running guest gives its thread back for a moment.
pub(crate) const YIELD_INTERVAL: u64 = 1_000_000;

/// What one guest, with all its instances, has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time spent executing.
    pub cpu: Duration,
    /// Time spent paused by the processor limit.
    pub throttled: Duration,
    /// Instructions executed. Exact for what has ended; of a running instance only whole
    /// millions are counted.
    pub fuel: u64,
    /// Bytes of linear memory held.
    pub memory: u64,
    /// The most that has been held.
    pub memory_peak: u64,
    /// HTTP requests that a handler began to answer.
    pub requests: u64,
    /// Of them, those that the handler failed: trapped, timed out, or left without an answer.
    pub failures: u64,
    /// Instances killed at the memory limit.
    pub oom_kills: u64,
}

/// What the whole engine has used and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineUsage {
    /// Time spent executing guests.
    pub cpu: Duration,
    /// Instructions executed, as [`Usage::fuel`] counts them.
    pub fuel: u64,
    /// Guests that run.
    pub running: u64,
    /// Modules compiled since the engine began.
    pub compiled: u64,
    /// Modules whose compiled code was found on disk.
    pub mapped: u64,
}

/// The counters behind a [`Usage`]. What is added is added to `total` as well.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    cpu_nanos: AtomicU64,
    throttled_nanos: AtomicU64,
    fuel: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    oom_kills: AtomicU64,
    total: Option<Arc<Meter>>,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Meter {
    pub(crate) fn below(total: Arc<Meter>) -> Arc<Self> {
        Arc::new(Self { total: Some(total), ..Self::default() })
    }

    fn add(&self, counter: impl Fn(&Self) -> &AtomicU64, value: u64) {
        counter(self).fetch_add(value, Ordering::Relaxed);
        if let Some(total) = &self.total {
            counter(total).fetch_add(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn executed(&self, time: Duration) {
        self.add(|meter| &meter.cpu_nanos, nanos(time));
    }

    pub(crate) fn paused(&self, time: Duration) {
        self.add(|meter| &meter.throttled_nanos, nanos(time));
    }

    pub(crate) fn burnt(&self, fuel: u64) {
        self.add(|meter| &meter.fuel, fuel);
    }

    pub(crate) fn request(&self) {
        self.add(|meter| &meter.requests, 1);
    }

    pub(crate) fn failure(&self) {
        self.add(|meter| &meter.failures, 1);
    }

    pub(crate) fn oom_kill(&self) {
        self.add(|meter| &meter.oom_kills, 1);
    }

    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed))
    }

    pub(crate) fn fuel(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    pub(crate) fn usage(&self, memory: &MemoryAccount) -> Usage {
        Usage {
            cpu: self.cpu(),
            throttled: Duration::from_nanos(self.throttled_nanos.load(Ordering::Relaxed)),
            fuel: self.fuel(),
            memory: memory.held(),
            memory_peak: memory.peak(),
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            oom_kills: self.oom_kills.load(Ordering::Relaxed),
        }
    }
}

/// Counts one store's fuel into a meter: whole yield intervals while it runs, the rest when it is
/// settled, so that the sum is exact and never falls.
#[derive(Debug)]
pub(crate) struct FuelCounter {
    meter: Arc<Meter>,
    counted: AtomicU64,
}

impl FuelCounter {
    pub(crate) fn new(meter: Arc<Meter>) -> Arc<Self> {
        Arc::new(Self { meter, counted: AtomicU64::new(0) })
    }

    /// The guest used up one interval.
    pub(crate) fn interval(&self) {
        self.counted.fetch_add(YIELD_INTERVAL, Ordering::Relaxed);
        self.meter.burnt(YIELD_INTERVAL);
    }

    /// The store has burnt `fuel` in all since the last time it was settled.
    pub(crate) fn settle(&self, fuel: u64) {
        let counted = self.counted.swap(0, Ordering::Relaxed);
        self.meter.burnt(fuel.saturating_sub(counted));
        // An interval that was no whole one is taken up by what comes next.
        self.counted.store(counted.saturating_sub(fuel), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_is_exact_once_settled() {
        let total = Arc::new(Meter::default());
        let meter = Meter::below(total.clone());
        let counter = FuelCounter::new(meter.clone());
        counter.interval();
        counter.interval();
        assert_eq!(meter.fuel(), 2 * YIELD_INTERVAL);
        counter.settle(2 * YIELD_INTERVAL + 17);
        assert_eq!(meter.fuel(), 2 * YIELD_INTERVAL + 17);
        counter.settle(3);
        assert_eq!(
            (meter.fuel(), total.fuel()),
            (2 * YIELD_INTERVAL + 20, 2 * YIELD_INTERVAL + 20)
        );
    }

    #[test]
    fn what_was_counted_too_early_is_not_counted_again() {
        let meter = Arc::new(Meter::default());
        let counter = FuelCounter::new(meter.clone());
        counter.interval();
        counter.settle(400_000);
        counter.settle(700_000);
        assert_eq!(meter.fuel(), 1_100_000);
    }
}
