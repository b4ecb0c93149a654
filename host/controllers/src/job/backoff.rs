//! How long a job waits after failures before it makes another pod: ten seconds, doubled with each
//! failure in a row, ten minutes at most. Kept in memory: after a restart the first wait is short
//! again, and no count depends on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::pods::{all_failures, finished_at};
use crate::runner::Key;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// The failures of a job since its last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    failures: i32,
    last: Option<Timestamp>,
}

impl Record {
    /// The record after pods that succeeded and failed since.
    pub(super) fn after(self, succeeded: &[Arc<Pod>], failed: &[Arc<Pod>]) -> Self {
        let success = succeeded.iter().map(|pod| finished_at(pod)).max();
        let failures = failed.iter().map(|pod| finished_at(pod));
        let failures: Vec<_> =
            failures.filter(|at| success.is_none_or(|success| *at > success)).collect();
        let before = if success.is_some() { Self::default() } else { self };
        let count = i32::try_from(failures.len()).unwrap_or(i32::MAX);
        Self {
            failures: before.failures.saturating_add(count),
            last: failures.into_iter().max().or(before.last),
        }
    }

    /// What is left to wait.
    pub(super) fn remaining(self, now: Timestamp) -> Duration {
        let Some(last) = self.last.filter(|_| self.failures > 0) else { return Duration::ZERO };
        let doublings = u32::try_from(self.failures - 1).unwrap_or(0).min(16);
        let delay = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        delay.saturating_sub(passed)
    }

    /// The record of an index whose last pod is `failed`.
    pub(super) fn of_index(failed: &Pod) -> Self {
        Self { failures: all_failures(failed).saturating_add(1), last: Some(finished_at(failed)) }
    }
}

/// The records of all jobs that are not over.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<HashMap<Key, (String, Record)>>);

impl Records {
    fn records(&self) -> MutexGuard<'_, HashMap<Key, (String, Record)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &Key, uid: &str) -> Record {
        let records = self.records();
        records.get(key).filter(|(of, _)| of == uid).map(|(_, record)| *record).unwrap_or_default()
    }

    pub(super) fn set(&self, key: &Key, uid: &str, record: Record) {
        if record == Record::default() {
            self.forget(key);
        } else {
            self.records().insert(key.clone(), (uid.to_owned(), record));
        }
    }

    pub(super) fn forget(&self, key: &Key) {
        self.records().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods(finished: &[i64]) -> Vec<Arc<Pod>> {
        let pod = |second: &i64| {
            let at = Timestamp::from_second(*second).unwrap().to_string();
            let ended = json!({"exitCode": 1, "finishedAt": at});
            let pod = json!({"status": {"containerStatuses": [{"state": {"terminated": ended}}]}});
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        finished.iter().map(pod).collect()
    }

    #[test]
    fn failures_in_a_row_are_counted_from_the_last_success() {
        let before = Record { failures: 3, last: Timestamp::from_second(50).ok() };
        for (succeeded, failed, failures, last) in [
            (vec![], vec![], 3, Some(50)),
            (vec![], vec![60, 70], 5, Some(70)),
            (vec![80], vec![60, 70], 0, None),
            (vec![65], vec![60, 70, 75], 2, Some(75)),
            (vec![90], vec![], 0, None),
        ] {
            let record = before.after(&pods(&succeeded), &pods(&failed));
            let last = last.map(|second| Timestamp::from_second(second).unwrap());
            assert_eq!(record, Record { failures, last }, "{succeeded:?} {failed:?}");
        }
    }

    #[test]
    fn the_wait_doubles_up_to_ten_minutes() {
        for (failures, now, left) in [
            (0, 100, 0),
            (1, 100, 10),
            (1, 104, 6),
            (1, 111, 0),
            (2, 100, 20),
            (3, 100, 40),
            (6, 100, 320),
            (7, 100, 600),
            (100, 100, 600),
        ] {
            let record = Record { failures, last: Timestamp::from_second(100).ok() };
            let remaining = record.remaining(Timestamp::from_second(now).unwrap());
            assert_eq!(remaining, Duration::from_secs(left), "{failures} {now}");
        }
    }
}
