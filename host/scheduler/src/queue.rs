//! Pods that wait for a node: *active* ones by priority and age, *unschedulable* ones until something
//! happens that may help them, and those *backing off*, which are taken early when nothing else is
//! left to do unless they wait after an error. Bounded by the number of pods there are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::pod::{Key, Pending};

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// An unschedulable pod is tried again after this time whatever happens.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A set of happenings that may let a waiting pod in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wake(u8);

impl Wake {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const NODE_ADDED: Self = Self(1);
    pub(crate) const NODE_ALLOCATABLE: Self = Self(2);
    pub(crate) const NODE_LABELS: Self = Self(4);
    pub(crate) const NODE_TAINTS: Self = Self(8);
    pub(crate) const NODE_REMOVED: Self = Self(16);
    pub(crate) const POD_ADDED: Self = Self(32);
    pub(crate) const POD_REMOVED: Self = Self(64);
    pub(crate) const NAMESPACE_LABELS: Self = Self(128);

    /// Both sets.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for Wake {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: HashMap<Key, Entry>,
    active: BTreeMap<(Reverse<i32>, u64), Key>,
    backoff: BTreeMap<(Instant, u64), Key>,
    parked: BTreeSet<Key>,
    serial: u64,
}

#[derive(Debug)]
struct Entry {
    pending: Pending,
    attempts: u32,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Active(Reverse<i32>, u64),
    Backoff {
        at: Instant,
        serial: u64,
        error: bool,
    },
    Unschedulable {
        wakes: Wake,
        since: Instant,
        until: Instant,
    },
    /// Taken out, being worked on.
    Taken,
}

/// A pod taken out of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) pending: Pending,
}

impl Queue {
    /// Puts in a pod, or its new state.
    pub(crate) fn put(&mut self, pending: Pending) {
        let key = pending.info.key.clone();
        match self.entries.get_mut(&key) {
            None => {
                let entry = Entry { pending, attempts: 0, state: State::Taken };
                self.entries.insert(key.clone(), entry);
                self.activate(&key);
            }
            Some(entry) if entry.pending.info.uid != pending.info.uid => {
                self.remove(&key);
                self.put(pending);
            }
            Some(entry) => {
                let matters = matters(&entry.pending, &pending);
                entry.pending = pending;
                if matters && matches!(entry.state, State::Unschedulable { .. }) {
                    self.activate(&key);
                }
            }
        }
    }

    /// Takes out a pod for good.
    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.leave(key, entry.state);
        }
    }

    fn leave(&mut self, key: &Key, state: State) {
        match state {
            State::Active(priority, serial) => drop(self.active.remove(&(priority, serial))),
            State::Backoff { at, serial, .. } => drop(self.backoff.remove(&(at, serial))),
            State::Unschedulable { .. } => drop(self.parked.remove(key)),
            State::Taken => {}
        }
    }

    fn enter(&mut self, key: &Key, state: impl FnOnce(&Entry, u64) -> State) {
        self.serial += 1;
        let serial = self.serial;
        let Some(entry) = self.entries.get_mut(key) else { return };
        let new = state(entry, serial);
        let old = std::mem::replace(&mut entry.state, new);
        self.leave(key, old);
        match new {
            State::Active(priority, serial) => {
                self.active.insert((priority, serial), key.clone());
            }
            State::Backoff { at, serial, .. } => {
                self.backoff.insert((at, serial), key.clone());
            }
            State::Unschedulable { .. } => drop(self.parked.insert(key.clone())),
            State::Taken => {}
        }
    }

    fn activate(&mut self, key: &Key) {
        self.enter(key, |entry, serial| State::Active(Reverse(entry.pending.priority()), serial));
    }

    /// Takes the next pod to place.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Taken> {
        while let Some(((at, _), key)) = self.backoff.first_key_value()
            && *at <= now
        {
            let key = key.clone();
            self.activate(&key);
        }
        let key = match self.active.first_key_value() {
            Some((_, key)) => key.clone(),
            // Nothing else to do: no need to wait, except after an error.
            None => self.backoff.values().find(|key| !self.is_after_error(key))?.clone(),
        };
        self.enter(&key, |_, _| State::Taken);
        let entry = self.entries.get_mut(&key)?;
        entry.attempts = entry.attempts.saturating_add(1);
        Some(Taken { pending: entry.pending.clone() })
    }

    fn is_after_error(&self, key: &Key) -> bool {
        let state = self.entries.get(key).map(|entry| entry.state);
        matches!(state, Some(State::Backoff { error: true, .. }))
    }

    /// Gives back a pod that no node can take; `wakes` is what may change that.
    pub(crate) fn park(&mut self, key: &Key, wakes: Wake, now: Instant) {
        self.enter(key, |entry, _| State::Unschedulable {
            wakes,
            since: now,
            until: now + backoff(entry.attempts),
        });
    }

    /// Gives back a pod for which something went wrong.
    pub(crate) fn retry(&mut self, key: &Key, now: Instant) {
        self.enter(key, |entry, serial| State::Backoff {
            at: now + backoff(entry.attempts),
            serial,
            error: true,
        });
    }

    /// Something happened: whom it may help is tried again. Answers whether there is such a pod.
    pub(crate) fn wake(&mut self, wake: Wake, now: Instant) -> bool {
        if wake == Wake::NONE {
            return false;
        }
        self.revive(|wakes, _| wakes.meets(wake), now)
    }

    /// Tries again those that have waited for very long.
    pub(crate) fn flush(&mut self, now: Instant) -> bool {
        self.revive(|_, since| now.duration_since(since) >= LONGEST_WAIT, now)
    }

    fn revive(&mut self, whom: impl Fn(Wake, Instant) -> bool, now: Instant) -> bool {
        let mut woken: Vec<(Reverse<i32>, Key, Instant)> = Vec::new();
        for key in &self.parked {
            let Some(entry) = self.entries.get(key) else { continue };
            if let State::Unschedulable { wakes, since, until } = entry.state
                && whom(wakes, since)
            {
                woken.push((Reverse(entry.pending.priority()), key.clone(), until));
            }
        }
        woken.sort();
        for (_, key, until) in &woken {
            if *until <= now {
                self.activate(key);
            } else {
                self.enter(key, |_, serial| State::Backoff { at: *until, serial, error: false });
            }
        }
        !woken.is_empty()
    }

    /// When somebody becomes due without anything happening.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.backoff.first_key_value().map(|((at, _), _)| *at)
    }

    /// Whether nobody is waiting for a decision.
    pub(crate) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.backoff.is_empty()
    }

    /// The pods that wait.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.entries.keys().cloned().collect()
    }

    /// How many are active, backing off and unschedulable.
    pub(crate) fn lengths(&self) -> [usize; 3] {
        [self.active.len(), self.backoff.len(), self.parked.len()]
    }
}

fn backoff(attempts: u32) -> Duration {
    let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_BACKOFF.saturating_mul(doubled).min(LONGEST_BACKOFF)
}

/// Whether a new state of a waiting pod may be placed where the old one was not.
fn matters(old: &Pending, new: &Pending) -> bool {
    old.pod.spec != new.pod.spec || old.info.labels != new.info.labels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, priority: i32) -> Pending {
        let pod = json!({"metadata": {"name": name, "namespace": "d", "uid": name},
            "spec": {"containers": [], "priority": priority}});
        Pending::of(serde_json::from_value(pod).unwrap())
    }

    fn take(queue: &mut Queue) -> Option<String> {
        queue.take(Instant::now()).map(|taken| taken.pending.info.key.name.clone())
    }

    fn key(name: &str) -> Key {
        pod(name, 0).info.key.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn priority_comes_before_age() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 0), ("c", 5), ("d", -1)] {
            queue.put(pod(name, priority));
        }
        let order: Vec<_> = std::iter::from_fn(|| take(&mut queue)).collect();
        assert_eq!(order, ["c", "a", "b", "d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_help_wakes() {
        let mut queue = Queue::default();
        queue.put(pod("a", 0));
        take(&mut queue);
        queue.park(&key("a"), Wake::NODE_ADDED | Wake::POD_REMOVED, Instant::now());
        assert!(!queue.wake(Wake::NODE_LABELS, Instant::now()));
        assert_eq!(take(&mut queue), None);
        assert!(queue.wake(Wake::POD_REMOVED, Instant::now()));
        assert_eq!(take(&mut queue).as_deref(), Some("a"), "nothing else is to be done");
    }

    #[tokio::test(start_paused = true)]
    async fn errors_are_waited_out() {
        let mut queue = Queue::default();
        queue.put(pod("a", 0));
        take(&mut queue);
        queue.retry(&key("a"), Instant::now());
        assert_eq!(take(&mut queue), None);
        tokio::time::sleep_until(queue.next_due().unwrap()).await;
        assert_eq!(take(&mut queue).as_deref(), Some("a"));
        queue.retry(&key("a"), Instant::now());
        assert_eq!(queue.next_due().unwrap() - Instant::now(), 2 * FIRST_BACKOFF);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_spec_is_tried_at_once_a_changed_status_is_not() {
        let mut queue = Queue::default();
        queue.put(pod("a", 0));
        take(&mut queue);
        queue.park(&key("a"), Wake::NODE_ADDED, Instant::now());
        queue.put(pod("a", 0));
        assert_eq!(queue.lengths(), [0, 0, 1]);
        queue.put(pod("a", 1));
        assert_eq!(queue.lengths(), [1, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let mut queue = Queue::default();
        queue.put(pod("a", 0));
        take(&mut queue);
        queue.park(&key("a"), Wake::NONE, Instant::now());
        tokio::time::advance(LONGEST_WAIT).await;
        assert!(queue.flush(Instant::now()));
        assert_eq!(take(&mut queue).as_deref(), Some("a"));
        queue.remove(&key("a"));
        assert_eq!(queue.lengths(), [0, 0, 0]);
    }
}
