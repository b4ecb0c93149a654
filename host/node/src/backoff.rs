//! Restart and pull back-off: 10 s, doubled with each failure up to 5 min, forgotten after 10 min
//! without one. Pure; counts on the runtime's clock, so that paused time moves it.

use std::time::Duration;

use tokio::time::Instant;

const INITIAL: Duration = Duration::from_secs(10);
const MAXIMUM: Duration = Duration::from_secs(300);

/// How long the next try of one thing has to wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    entry: Option<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    delay: Duration,
    updated: Instant,
}

impl Backoff {
    /// When a try may follow the failure of `failed`; `None` if it may at once.
    pub(crate) fn until(&self, failed: Instant) -> Option<Instant> {
        let entry = self.entry.filter(|entry| !entry.expired(failed))?;
        let until = failed + entry.delay;
        (until > Instant::now()).then_some(until)
    }

    /// The delay that [`Backoff::until`] counts with.
    pub(crate) fn delay(&self) -> Duration {
        self.entry.map_or(Duration::ZERO, |entry| entry.delay)
    }

    /// Records a try that follows the failure of `failed`: the next one waits longer.
    pub(crate) fn advance(&mut self, failed: Instant) {
        let delay = match self.entry {
            Some(entry) if !entry.expired(failed) => (entry.delay * 2).min(MAXIMUM),
            _ => INITIAL,
        };
        self.entry = Some(Entry { delay, updated: Instant::now() });
    }
}

impl Entry {
    fn expired(&self, event: Instant) -> bool {
        event.saturating_duration_since(self.updated) > MAXIMUM * 2
    }
}

/// A duration as Go prints it, whole seconds: `10s`, `1m20s`, `5m0s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let total = duration.as_secs();
    match total / 60 {
        0 => format!("{total}s"),
        minutes => format!("{minutes}m{}s", total % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_double_to_five_minutes_and_are_forgotten_after_ten() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.until(Instant::now()), None, "the first restart is immediate");
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            backoff.advance(Instant::now());
            assert_eq!(backoff.delay().as_secs(), expected);
            let failed = Instant::now();
            assert_eq!(backoff.until(failed), Some(failed + backoff.delay()));
            tokio::time::advance(backoff.delay()).await;
            assert_eq!(backoff.until(failed), None);
        }
        tokio::time::advance(Duration::from_secs(601)).await;
        assert_eq!(backoff.until(Instant::now()), None);
        backoff.advance(Instant::now());
        assert_eq!(backoff.delay(), INITIAL);
    }

    #[test]
    fn durations_are_printed_as_go_does() {
        for (seconds_, text) in [(0, "0s"), (10, "10s"), (80, "1m20s"), (300, "5m0s")] {
            assert_eq!(seconds(Duration::from_secs(seconds_)), text);
        }
    }
}
