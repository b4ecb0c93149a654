//! How long a failed pod is left alone before it is replaced: a second, doubled with each failure on
//! that node, a quarter of an hour at most. Kept for DaemonSets that there are only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What failed where: by the set's uid and the node's name.
#[derive(Default)]
pub(super) struct BackOff {
    failures: Mutex<HashMap<String, HashMap<String, Failure>>>,
}

struct Failure {
    delay: Duration,
    at: Instant,
}

impl BackOff {
    /// Notes a failure that may be answered now, or says how long to wait.
    pub(super) fn wait(&self, uid: &str, node: &str) -> Option<Duration> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let of_set = failures.entry(uid.to_owned()).or_default();
        let now = Instant::now();
        of_set.retain(|_, failure| now.duration_since(failure.at) < LONGEST * 2);
        let Some(failure) = of_set.get_mut(node) else {
            of_set.insert(node.to_owned(), Failure { delay: FIRST, at: now });
            return None;
        };
        let passed = now.duration_since(failure.at);
        if passed < failure.delay {
            return Some(failure.delay - passed);
        }
        failure.delay = (failure.delay * 2).min(LONGEST);
        failure.at = now;
        None
    }

    /// Forgets a set that is gone.
    pub(super) fn forget(&self, uid: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_wait_longer() {
        let back_off = BackOff::default();
        assert_eq!(back_off.wait("u", "n"), None);
        assert_eq!(back_off.wait("u", "n"), Some(FIRST));
        assert_eq!(back_off.wait("u", "other"), None, "nodes do not wait for one another");
        let mut waited = Vec::new();
        for _ in 0..12 {
            let wait = back_off.wait("u", "n").unwrap();
            waited.push(wait.as_secs());
            tokio::time::advance(wait).await;
            assert_eq!(back_off.wait("u", "n"), None);
        }
        assert_eq!(waited, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        tokio::time::advance(LONGEST * 2).await;
        assert_eq!(back_off.wait("u", "n"), None, "long ago is forgotten");
        assert_eq!(back_off.wait("u", "n"), Some(FIRST));
    }
}
