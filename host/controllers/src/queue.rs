//! The work queue of a controller: a set of keys in the order in which they became due. A key is
//! never worked on twice at once; added meanwhile, it is worked on once more afterwards. Bounded by
//! the number of objects there are.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle_api::dice;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::QueueMetrics;

const FIRST_DELAY: Duration = Duration::from_millis(5);
const LONGEST_DELAY: Duration = Duration::from_secs(1000);

/// What may stand in a queue.
pub(crate) trait Work: Clone + Eq + Hash + Debug + Send + Sync + 'static {}
impl<T: Clone + Eq + Hash + Debug + Send + Sync + 'static> Work for T {}

pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    ready: Notify,
    timer: Notify,
    metrics: QueueMetrics,
}

struct State<K> {
    ready: VecDeque<K>,
    /// Everything that needs work, whether it waits in `ready` or is being worked on.
    dirty: HashSet<K>,
    processing: HashSet<K>,
    /// What becomes ready later; the number tells entries of one instant apart.
    delayed: BTreeMap<(Instant, u64), K>,
    /// Where each key stands in `delayed`.
    due: HashMap<K, (Instant, u64)>,
    serial: u64,
    failures: HashMap<K, u32>,
    closed: bool,
}

impl<K: Work> Queue<K> {
    pub(crate) fn new(metrics: QueueMetrics) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            processing: HashSet::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            serial: 0,
            failures: HashMap::new(),
            closed: false,
        };
        Self { state: Mutex::new(state), ready: Notify::new(), timer: Notify::new(), metrics }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `key` due now.
    pub(crate) fn add(&self, key: K) {
        self.add_to(&mut self.state(), key);
    }

    fn add_to(&self, state: &mut State<K>, key: K) {
        if state.closed || !state.dirty.insert(key.clone()) {
            return;
        }
        self.metrics.adds.inc();
        if !state.processing.contains(&key) {
            state.ready.push_back(key);
            self.metrics.depth.inc();
            self.ready.notify_one();
        }
    }

    /// Makes `key` due after `delay`, or sooner if it already is.
    pub(crate) fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let mut state = self.state();
        let at = Instant::now() + delay;
        if state.closed || state.due.get(&key).is_some_and(|(due, _)| *due <= at) {
            return;
        }
        if let Some(later) = state.due.remove(&key) {
            state.delayed.remove(&later);
        }
        state.serial += 1;
        let place = (at, state.serial);
        state.due.insert(key.clone(), place);
        state.delayed.insert(place, key);
        if state.delayed.first_key_value().is_some_and(|(first, _)| *first == place) {
            self.timer.notify_one();
        }
    }

    /// Makes `key` due again after a delay that doubles with each failure in a row.
    pub(crate) fn add_after_failure(&self, key: K) {
        let failures = {
            let mut state = self.state();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures = failures.saturating_add(1);
            *failures
        };
        self.metrics.retries.inc();
        let doubled =
            FIRST_DELAY.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
        self.add_after(key, dice::jitter(doubled.min(LONGEST_DELAY), 0.1));
    }

    /// Forgets the failures of `key`.
    pub(crate) fn forget(&self, key: &K) {
        self.state().failures.remove(key);
    }

    /// The next key to work on, to be given back with [`Self::done`]; none once closed.
    pub(crate) async fn next(&self) -> Option<K> {
        loop {
            let notified = self.ready.notified();
            {
                let mut state = self.state();
                if state.closed {
                    self.ready.notify_one();
                    return None;
                }
                if let Some(key) = state.ready.pop_front() {
                    self.metrics.depth.dec();
                    state.dirty.remove(&key);
                    state.processing.insert(key.clone());
                    // A permit wakes one worker; the woken pass it on while there is work.
                    if !state.ready.is_empty() {
                        self.ready.notify_one();
                    }
                    return Some(key);
                }
            }
            notified.await;
        }
    }

    /// Says that the work on `key` is over.
    pub(crate) fn done(&self, key: &K) {
        let mut state = self.state();
        state.processing.remove(key);
        if state.dirty.contains(key) && !state.closed {
            state.ready.push_back(key.clone());
            self.metrics.depth.inc();
            self.ready.notify_one();
        }
    }

    /// Ends every [`Self::next`].
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.ready.notify_one();
        self.timer.notify_one();
    }

    /// Moves what becomes due, until the queue is closed.
    pub(crate) async fn keep_time(&self) {
        loop {
            let changed = self.timer.notified();
            let next = {
                let mut state = self.state();
                if state.closed {
                    return;
                }
                let now = Instant::now();
                while let Some((place, _)) = state.delayed.first_key_value() {
                    if place.0 > now {
                        break;
                    }
                    let place = *place;
                    if let Some(key) = state.delayed.remove(&place) {
                        state.due.remove(&key);
                        self.add_to(&mut state, key);
                    }
                }
                state.delayed.first_key_value().map(|((at, _), _)| *at)
            };
            match next {
                None => changed.await,
                Some(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn queue() -> Queue<u32> {
        Queue::new(QueueMetrics::default())
    }

    #[tokio::test]
    async fn a_key_added_twice_is_worked_on_once() {
        let queue = queue();
        queue.add(1);
        queue.add(2);
        queue.add(1);
        assert_eq!(queue.next().await, Some(1));
        assert_eq!(queue.next().await, Some(2));
        assert!(queue.state().ready.is_empty());
    }

    #[tokio::test]
    async fn a_key_added_while_worked_on_waits_its_turn() {
        let queue = queue();
        queue.add(1);
        assert_eq!(queue.next().await, Some(1));
        queue.add(1);
        assert!(queue.state().ready.is_empty(), "never two workers on one key");
        queue.done(&1);
        assert_eq!(queue.next().await, Some(1));
        queue.done(&1);
        assert!(queue.state().ready.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_delays_counts() {
        let queue = Arc::new(queue());
        let timer = tokio::spawn({
            let queue = queue.clone();
            async move { queue.keep_time().await }
        });
        let start = Instant::now();
        queue.add_after(1, Duration::from_secs(60));
        queue.add_after(1, Duration::from_secs(10));
        queue.add_after(1, Duration::from_secs(30));
        queue.add_after(2, Duration::from_secs(20));
        assert_eq!(queue.next().await, Some(1));
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(queue.next().await, Some(2));
        assert_eq!(start.elapsed().as_secs(), 20);
        queue.close();
        timer.await.unwrap();
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_wait_longer_and_are_bounded() {
        let queue = queue();
        let mut last = Duration::ZERO;
        for failure in 0..40 {
            let before = Instant::now();
            queue.add_after_failure(7);
            let (at, _) = queue.state().due.remove(&7).unwrap();
            queue.state().delayed.clear();
            let delay = at - before;
            if failure < 17 {
                assert!(delay > last, "{failure}: {delay:?} after {last:?}");
            }
            assert!(delay <= LONGEST_DELAY.mul_f64(1.1));
            last = delay;
        }
        queue.forget(&7);
        queue.add_after_failure(7);
        let (at, _) = queue.state().due[&7];
        assert!(at - Instant::now() < FIRST_DELAY * 2);
    }
}
