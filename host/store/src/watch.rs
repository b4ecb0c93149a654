//! Handing events to watchers: one bounded queue a watcher, found by prefix, so that watchers of
//! other prefixes cost a write nothing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::sync::mpsc;

use crate::{Error, Event, Result, Revision};

/// The events under a prefix, in the order of their revisions. Ends with [`Error::Lagged`] if it
/// is read too slowly, and without an error if the store closes.
pub struct Watch {
    prefix: Box<[u8]>,
    id: u64,
    backlog: VecDeque<Arc<Event>>,
    queue: mpsc::Receiver<Arc<Event>>,
    lagged: Arc<AtomicBool>,
    /// The revision of the last event handed out, or the one that the watch began behind.
    delivered: Revision,
    ended: bool,
    watchers: Arc<Watchers>,
}

/// What a watch has at this moment.
#[derive(Debug)]
pub enum TryNext {
    /// The next event.
    Event(Arc<Event>),
    /// Nothing yet: everything written so far has been handed out.
    Nothing,
    /// The watch is over: it was read too slowly, or the store closed.
    Ended,
}

impl Watch {
    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> TryNext {
        if self.ended {
            return TryNext::Ended;
        }
        if let Some(event) = self.backlog.pop_front() {
            self.delivered = event.entry.modified;
            return TryNext::Event(event);
        }
        match self.queue.try_recv() {
            Ok(event) => {
                self.delivered = event.entry.modified;
                TryNext::Event(event)
            }
            Err(mpsc::error::TryRecvError::Empty) => TryNext::Nothing,
            Err(mpsc::error::TryRecvError::Disconnected) => {
                self.ended = true;
                TryNext::Ended
            }
        }
    }

    /// The revision up to which every event of this watch has been handed out: what a bookmark
    /// may promise.
    pub fn progress(&self) -> Revision {
        // Read before the queue is looked at: all events up to this revision were queued by then.
        let published = self.watchers.published.load(Ordering::Acquire);
        let idle = self.backlog.is_empty() && self.queue.is_empty();
        if idle && !self.ended && !self.lagged.load(Ordering::Acquire) {
            self.delivered.max(published)
        } else {
            self.delivered
        }
    }
}

impl Stream for Watch {
    type Item = Result<Arc<Event>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let event = match this.backlog.pop_front() {
            Some(event) => {
                if this.backlog.is_empty() {
                    this.backlog = VecDeque::new();
                }
                event
            }
            None => match ready!(this.queue.poll_recv(context)) {
                Some(event) => event,
                None => {
                    this.ended = true;
                    let lagged = this.lagged.load(Ordering::Acquire);
                    return Poll::Ready(lagged.then_some(Err(Error::Lagged)));
                }
            },
        };
        this.delivered = event.entry.modified;
        Poll::Ready(Some(Ok(event)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watchers.remove(&self.prefix, self.id);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = String::from_utf8_lossy(&self.prefix);
        write!(f, "watch of {prefix:?} behind {}", self.delivered)
    }
}

/// Everybody who watches a store.
pub(crate) struct Watchers {
    registry: Mutex<Registry>,
    /// The newest revision that every watcher's queue has.
    published: AtomicU64,
    queue: usize,
}

#[derive(Default)]
struct Registry {
    groups: BTreeMap<Box<[u8]>, Vec<Watcher>>,
    next: u64,
    closed: bool,
}

struct Watcher {
    id: u64,
    queue: mpsc::Sender<Arc<Event>>,
    lagged: Arc<AtomicBool>,
}

impl Watcher {
    /// Whether the watcher is still there, and could take the event.
    fn offer(&self, event: &Arc<Event>) -> bool {
        match self.queue.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lagged.store(true, Ordering::Release);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

impl Watchers {
    /// For a store whose newest revision is `revision`; each watcher may have `queue` events
    /// waiting.
    pub(crate) fn new(revision: Revision, queue: usize) -> Self {
        Self { registry: Mutex::default(), published: AtomicU64::new(revision), queue }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new watcher of `prefix`. `backlog` reads what it missed, while nothing is published.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        prefix: &str,
        after: Revision,
        backlog: impl FnOnce() -> Result<VecDeque<Arc<Event>>>,
    ) -> Result<Watch> {
        let mut registry = self.registry();
        if registry.closed {
            return Err(Error::Closed);
        }
        let backlog = backlog()?;
        let (sender, queue) = mpsc::channel(self.queue);
        let lagged = Arc::new(AtomicBool::new(false));
        let id = registry.next;
        registry.next += 1;
        let prefix: Box<[u8]> = prefix.as_bytes().into();
        let watcher = Watcher { id, queue: sender, lagged: lagged.clone() };
        registry.groups.entry(prefix.clone()).or_default().push(watcher);
        Ok(Watch {
            prefix,
            id,
            backlog,
            queue,
            lagged,
            delivered: after,
            ended: false,
            watchers: self.clone(),
        })
    }

    /// Lets `apply` make the events readable, then queues them. Nobody subscribes in between.
    pub(crate) fn publish(&self, events: &[Arc<Event>], apply: impl FnOnce()) {
        let mut registry = self.registry();
        apply();
        for event in events {
            registry.offer(event);
        }
        if let Some(last) = events.last() {
            self.published.store(last.entry.modified, Ordering::Release);
        }
    }

    /// Ends every watch, and refuses new ones.
    pub(crate) fn close(&self) {
        let mut registry = self.registry();
        registry.closed = true;
        registry.groups.clear();
    }

    fn remove(&self, prefix: &[u8], id: u64) {
        let mut registry = self.registry();
        if let Some(group) = registry.groups.get_mut(prefix) {
            group.retain(|watcher| watcher.id != id);
            if group.is_empty() {
                registry.groups.remove(prefix);
            }
        }
    }
}

impl Registry {
    /// Queues the event for every watcher of a prefix of its key.
    ///
    /// The greatest registered prefix not above a bound either is a prefix of the key, or shows
    /// with its common part how long any further one can be; so each step shortens the bound.
    fn offer(&mut self, event: &Arc<Event>) {
        let key = event.entry.key.as_bytes();
        let mut bound = key.len();
        let mut emptied = Vec::new();
        loop {
            let limits = (Bound::Unbounded, Bound::Included(&key[..bound]));
            let Some((prefix, group)) = self.groups.range_mut::<[u8], _>(limits).next_back() else {
                break;
            };
            let common = prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
            if common < prefix.len() {
                bound = common;
                continue;
            }
            group.retain(|watcher| watcher.offer(event));
            if group.is_empty() {
                emptied.push(prefix.clone());
            }
            if common == 0 {
                break;
            }
            bound = common - 1;
        }
        for prefix in emptied {
            self.groups.remove(&prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::{Entry, Value};

    fn event(key: &str, revision: Revision) -> Arc<Event> {
        let entry = Entry::new(key.into(), &Value::plain("x"), revision, revision);
        Arc::new(Event::new(false, Arc::new(entry), None))
    }

    fn subscribe(watchers: &Arc<Watchers>, prefix: &str) -> Watch {
        watchers.subscribe(prefix, 0, || Ok(VecDeque::new())).unwrap()
    }

    #[tokio::test]
    async fn each_event_reaches_exactly_the_watchers_of_its_prefixes() {
        let watchers = Arc::new(Watchers::new(0, 64));
        let prefixes =
            ["", "/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/bb", "/b/", "z", "/a/b/\u{e9}"];
        let mut watches: Vec<_> = prefixes.iter().map(|p| subscribe(&watchers, p)).collect();
        let keys = ["/a/b/c", "/a/b", "/a/bb/x", "/", "/b/a", "q", "/a/b/\u{e8}", "/a/b/\u{e9}x"];
        for (key, revision) in keys.iter().zip(1..) {
            watchers.publish(&[event(key, revision)], || ());
        }
        watchers.close();
        for (watch, prefix) in watches.iter_mut().zip(prefixes) {
            let seen: Vec<_> = watch.map(|e| e.unwrap().entry.key.to_string()).collect().await;
            let expected: Vec<_> = keys.into_iter().filter(|k| k.starts_with(prefix)).collect();
            assert_eq!(seen, expected, "prefix {prefix:?}");
        }
    }

    #[tokio::test]
    async fn progress_waits_for_what_is_queued() {
        let watchers = Arc::new(Watchers::new(3, 64));
        let mut watch = subscribe(&watchers, "/a/");
        watchers.publish(&[event("/b/x", 4)], || ());
        assert_eq!(watch.progress(), 4);
        watchers.publish(&[event("/a/x", 5), event("/a/y", 6), event("/b/y", 7)], || ());
        assert_eq!(watch.progress(), 0);
        watch.next().await;
        assert_eq!(watch.progress(), 5);
        watch.next().await;
        assert_eq!(watch.progress(), 7);
    }

    #[tokio::test]
    async fn a_full_queue_ends_its_own_watch_only() {
        let watchers = Arc::new(Watchers::new(0, 2));
        let mut slow = subscribe(&watchers, "/a");
        let mut other = subscribe(&watchers, "/b");
        for revision in 1..=5 {
            watchers.publish(&[event("/a", revision)], || ());
        }
        watchers.publish(&[event("/b", 6)], || ());
        assert_eq!(slow.next().await.unwrap().unwrap().entry.modified, 1);
        assert_eq!(slow.next().await.unwrap().unwrap().entry.modified, 2);
        assert!(matches!(slow.next().await, Some(Err(Error::Lagged))));
        assert!(slow.next().await.is_none());
        assert_eq!(slow.progress(), 2);
        assert_eq!(other.next().await.unwrap().unwrap().entry.modified, 6);
    }

    #[tokio::test]
    async fn a_dropped_watch_leaves_nothing_behind() {
        let watchers = Arc::new(Watchers::new(0, 2));
        drop((subscribe(&watchers, "/a"), subscribe(&watchers, "/a"), subscribe(&watchers, "")));
        assert!(watchers.registry().groups.is_empty());
    }
}
