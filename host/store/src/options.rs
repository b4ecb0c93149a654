//! How much a store remembers.

use std::time::Duration;

/// Bounds of a store's memory. The defaults suit a cluster of thousands of objects.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most events kept for readers at older revisions and for watchers that resume.
    pub history_events: usize,
    /// The most bytes that those events may hold.
    pub history_bytes: usize,
    /// How long an event is kept.
    pub history_age: Duration,
    /// How many events may wait for one watcher before it is cut off.
    pub watch_queue: usize,
    /// How long a lazy write may wait for the disk.
    pub lazy_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history_events: 50_000,
            history_bytes: 64 << 20,
            history_age: Duration::from_secs(300),
            watch_queue: 8192,
            lazy_delay: Duration::from_secs(300),
        }
    }
}
