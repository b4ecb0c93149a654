//! The truth that every reader sees, in memory: the newest state of each key in order, and a
//! bounded log of the events that led to it, by which older states are read and watches resume.
//! Backends decide what is written and when; this keeps and shows it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::watch::Watchers;
use crate::{Entry, Error, Event, Options, Page, Range, Result, Revision, Watch};

/// Every key's newest state.
pub(crate) type Entries = BTreeMap<Arc<str>, Arc<Entry>>;

/// What an event costs besides its keys and values.
const EVENT_OVERHEAD: usize = 256;

pub(crate) struct History {
    state: RwLock<State>,
    watchers: Arc<Watchers>,
    options: Options,
}

struct State {
    newest: Entries,
    /// The events behind `oldest`, without a gap: the first has the revision `oldest + 1`.
    log: VecDeque<Logged>,
    log_bytes: usize,
    oldest: Revision,
    current: Revision,
    closed: bool,
}

struct Logged {
    event: Arc<Event>,
    at: i64,
}

impl History {
    /// The history that begins with `newest`, the state at `revision`.
    pub(crate) fn new(newest: Entries, revision: Revision, options: Options) -> Self {
        let state = State {
            newest,
            log: VecDeque::new(),
            log_bytes: 0,
            oldest: revision,
            current: revision,
            closed: false,
        };
        let watchers = Arc::new(Watchers::new(revision, options.watch_queue));
        Self { state: RwLock::new(state), watchers, options }
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, State>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(Error::Closed) } else { Ok(state) }
    }

    fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn revision(&self) -> Result<Revision> {
        Ok(self.read()?.current)
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Arc<Entry>>> {
        Ok(self.read()?.newest.get(key).cloned())
    }

    pub(crate) fn count(&self, prefix: &str) -> Result<usize> {
        let state = self.read()?;
        Ok(state.newest_behind(prefix, None).count())
    }

    pub(crate) fn range(&self, prefix: &str, range: &Range) -> Result<Page> {
        let state = self.read()?;
        let revision = range.at.unwrap_or(state.current);
        let after = range.after.as_deref();
        let limit = range.limit.unwrap_or(usize::MAX);
        let changed = state.changed_since(revision, prefix, after)?;
        let newest = state.newest_behind(prefix, after);
        let (entries, remaining) = if changed.is_empty() {
            take(newest.map(|(_, entry)| entry), limit)
        } else {
            take(overlaid(newest, changed), limit)
        };
        Ok(Page { revision, entries, remaining })
    }

    pub(crate) fn watch(&self, prefix: &str, after: Revision) -> Result<Watch> {
        self.watchers.subscribe(prefix, after, || {
            let events = self.read()?;
            let events = events.since(after)?;
            Ok(events.filter(|event| event.entry.key.starts_with(prefix)).cloned().collect())
        })
    }

    /// Makes the events visible, whose revisions follow the newest one without a gap. `at` is the
    /// present time in milliseconds.
    pub(crate) fn publish(&self, events: &[Arc<Event>], at: i64) {
        self.watchers.publish(events, || {
            let mut state = self.state();
            for event in events {
                state.push(event.clone(), at);
            }
            state.trim(&self.options, at);
        });
    }

    pub(crate) fn compact(&self, revision: Revision) -> Result<()> {
        let current = self.revision()?;
        if revision > current {
            return Err(Error::Future { asked: revision, current });
        }
        let mut state = self.state();
        while state.oldest < revision && state.forget() {}
        Ok(())
    }

    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.watchers.close();
    }

    /// The bytes of all keys and values in their newest state.
    pub(crate) fn live_bytes(&self) -> u64 {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        live_bytes(&state.newest)
    }
}

/// The bytes of all keys and values.
pub(crate) fn live_bytes(entries: &Entries) -> u64 {
    entries.iter().map(|(key, entry)| (key.len() + entry.value.len()) as u64).sum()
}

/// The first `limit` entries, and how many follow.
fn take<'a>(
    mut entries: impl Iterator<Item = &'a Arc<Entry>>,
    limit: usize,
) -> (Vec<Arc<Entry>>, usize) {
    let page = entries.by_ref().take(limit).cloned().collect();
    (page, entries.count())
}

/// The entries of `newest`, except where `changed` says what stood there before.
fn overlaid<'a>(
    newest: impl Iterator<Item = (&'a str, &'a Arc<Entry>)>,
    changed: BTreeMap<&'a str, Option<&'a Arc<Entry>>>,
) -> impl Iterator<Item = &'a Arc<Entry>> {
    let mut newest = newest.map(|(key, entry)| (key, Some(entry))).peekable();
    let mut changed = changed.into_iter().peekable();
    std::iter::from_fn(move || match (newest.peek(), changed.peek()) {
        (Some((key, _)), Some((other, _))) => match key.cmp(other) {
            std::cmp::Ordering::Less => newest.next(),
            std::cmp::Ordering::Equal => {
                newest.next();
                changed.next()
            }
            std::cmp::Ordering::Greater => changed.next(),
        },
        (Some(_), None) => newest.next(),
        (None, _) => changed.next(),
    })
    .filter_map(|(_, entry)| entry)
}

impl State {
    /// The newest entries under `prefix` that stand behind the key `after`.
    fn newest_behind(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&str, &Arc<Entry>)> + use<'_> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let end = successor(prefix);
        let ahead = end.as_deref().is_none_or(|end| after.is_none_or(|after| after < end));
        // Bounded by the map, not by looking at each key: counting touches no entry then.
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        ahead
            .then(|| self.newest.range::<str, _>((start, end)))
            .into_iter()
            .flatten()
            .map(|(key, entry)| (&**key, entry))
    }

    /// The events with revisions above `after`.
    fn since(&self, after: Revision) -> Result<impl Iterator<Item = &Arc<Event>>> {
        if after < self.oldest {
            return Err(Error::Compacted { asked: after, oldest: self.oldest });
        }
        if after > self.current {
            return Err(Error::Future { asked: after, current: self.current });
        }
        let start = usize::try_from(after - self.oldest).unwrap_or(usize::MAX);
        Ok(self.log.range(start.min(self.log.len())..).map(|logged| &logged.event))
    }

    /// The keys under `prefix` and behind `after` that were written since `revision`, each with
    /// its state then.
    fn changed_since(
        &self,
        revision: Revision,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<BTreeMap<&str, Option<&Arc<Entry>>>> {
        let mut changed = BTreeMap::new();
        for event in self.since(revision)? {
            let key = &*event.entry.key;
            if key.starts_with(prefix) && after.is_none_or(|after| key > after) {
                changed.entry(key).or_insert(event.previous.as_ref());
            }
        }
        Ok(changed)
    }

    fn push(&mut self, event: Arc<Event>, at: i64) {
        self.current = event.entry.modified;
        let key = event.entry.key.clone();
        if event.deleted {
            self.newest.remove(&key);
        } else {
            self.newest.insert(key, event.entry.clone());
        }
        self.log_bytes += size(&event);
        self.log.push_back(Logged { event, at });
    }

    /// Forgets what the options do not allow to be kept.
    fn trim(&mut self, options: &Options, now: i64) {
        let age = i64::try_from(options.history_age.as_millis()).unwrap_or(i64::MAX);
        while self.log.front().is_some_and(|oldest| {
            self.log.len() > options.history_events
                || self.log_bytes > options.history_bytes
                || now.saturating_sub(oldest.at) > age
        }) {
            self.forget();
        }
    }

    /// Forgets the oldest event, if there is one.
    fn forget(&mut self) -> bool {
        let Some(Logged { event, .. }) = self.log.pop_front() else { return false };
        self.oldest = event.entry.modified;
        self.log_bytes = self.log_bytes.saturating_sub(size(&event));
        true
    }
}

/// The least string above all that begin with `prefix`; `None` if there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut prefix = prefix.to_owned();
    while let Some(last) = prefix.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}

/// About how much memory the log keeps alive for an event.
fn size(event: &Event) -> usize {
    let previous = event.previous.as_ref().map_or(0, |entry| entry.value.len());
    EVENT_OVERHEAD + event.entry.key.len() + event.entry.value.len() + previous
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Value;
    use crate::write::{Change, Write};

    fn history(options: Options) -> History {
        History::new(Entries::new(), 0, options)
    }

    fn create(history: &History, key: &str, at: i64) -> Revision {
        let write = Write::new(key, Change::Create(Value::plain("0123456789")));
        let revision = history.revision().unwrap() + 1;
        let event = write.event(history.get(key).unwrap(), revision).unwrap();
        history.publish(&[event], at);
        revision
    }

    fn oldest(history: &History) -> Revision {
        history.read().unwrap().oldest
    }

    #[test]
    fn the_log_is_bounded_in_events() {
        let history = history(Options { history_events: 3, ..Options::default() });
        for n in 0..10 {
            create(&history, &format!("/{n}"), 0);
        }
        assert_eq!(oldest(&history), 7);
        assert!(matches!(history.watch("/", 6), Err(Error::Compacted { asked: 6, oldest: 7 })));
        assert!(history.watch("/", 7).is_ok());
        assert_eq!(history.count("/").unwrap(), 10);
    }

    #[test]
    fn the_log_is_bounded_in_bytes() {
        let event = EVENT_OVERHEAD + 2 + 10;
        let history = history(Options { history_bytes: 4 * event, ..Options::default() });
        for n in 0..10 {
            create(&history, &format!("/{n}"), 0);
        }
        assert_eq!(oldest(&history), 6);
        assert_eq!(history.read().unwrap().log_bytes, 4 * event);
    }

    #[test]
    fn the_log_is_bounded_in_age() {
        let age = Duration::from_secs(60);
        let history = history(Options { history_age: age, ..Options::default() });
        create(&history, "/a", 0);
        create(&history, "/b", 30_000);
        assert_eq!(oldest(&history), 0);
        create(&history, "/c", 61_000);
        assert_eq!(oldest(&history), 1);
    }

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(successor(""), None);
        assert_eq!(successor("/a/").as_deref(), Some("/a0"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
    }

    #[test]
    fn an_older_state_is_read_in_pages() {
        let history = history(Options::default());
        for key in ["/b", "/d", "/f"] {
            create(&history, key, 0);
        }
        let then = history.revision().unwrap();
        for key in ["/a", "/c", "/e", "/g"] {
            create(&history, key, 0);
        }
        let last = Value::plain("gone");
        let delete = Write::new("/d", Change::Delete(last, 2));
        let event = delete.event(history.get("/d").unwrap(), then + 5).unwrap();
        history.publish(&[event], 0);

        let keys = |after: Option<&str>, limit| {
            let after = after.map(str::to_owned);
            let page = history.range("/", &Range { at: Some(then), after, limit }).unwrap();
            let keys: Vec<_> = page.entries.iter().map(|entry| entry.key.to_string()).collect();
            (keys.join(" "), page.remaining)
        };
        assert_eq!(keys(None, None), ("/b /d /f".into(), 0));
        assert_eq!(keys(None, Some(1)), ("/b".into(), 2));
        assert_eq!(keys(Some("/b"), Some(1)), ("/d".into(), 1));
        assert_eq!(keys(Some("/c"), Some(5)), ("/d /f".into(), 0));
        assert_eq!(keys(None, Some(0)), (String::new(), 3));
    }
}
