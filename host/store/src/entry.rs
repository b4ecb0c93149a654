//! Keys' states and the events that made them.

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::Revision;

/// Bytes to be written, with an optional hole into which the store puts the decimal revision of
/// the write, so that a stored object knows its own revision without being encoded twice.
#[derive(Clone, Debug)]
pub struct Value {
    /// What stands before the hole; everything, if there is no `tail`.
    pub head: Bytes,
    /// What stands behind the hole.
    pub tail: Option<Bytes>,
    /// Whether the write may reach the disk later than its answer (with the next durable write,
    /// or after some minutes). Only for what harms nobody when lost: leases and heartbeats.
    pub lazy: bool,
}

impl Value {
    /// Bytes without a hole.
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Self { head: bytes.into(), tail: None, lazy: false }
    }

    /// Bytes with the revision to be written between `head` and `tail`.
    pub fn with_hole(head: impl Into<Bytes>, tail: impl Into<Bytes>) -> Self {
        Self { head: head.into(), tail: Some(tail.into()), lazy: false }
    }

    /// The same, lazily written.
    pub fn lazy(self) -> Self {
        Self { lazy: true, ..self }
    }
}

/// One state of one key. Shared by every reader and watcher.
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// The bytes, the revision in its hole.
    pub value: Bytes,
    /// Where in `value` the revision stands, if it does.
    pub hole: Option<Range<usize>>,
    /// The revision that created the key.
    pub created: Revision,
    /// The revision of this state; for a deleted key the revision of its deletion.
    pub modified: Revision,
    memo: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Entry {
    /// The state that writing `value` at `modified` makes.
    pub fn new(key: Arc<str>, value: &Value, created: Revision, modified: Revision) -> Self {
        let (bytes, hole) = match &value.tail {
            None => (value.head.clone(), None),
            Some(tail) => {
                let digits = modified.to_string();
                let hole = value.head.len()..value.head.len() + digits.len();
                let bytes = [value.head.as_ref(), digits.as_bytes(), tail.as_ref()].concat();
                (Bytes::from(bytes), Some(hole))
            }
        };
        Self { key, value: bytes, hole, created, modified, memo: OnceLock::new() }
    }

    /// The state as a backend read it back.
    pub fn restored(
        key: Arc<str>,
        value: Bytes,
        hole: Option<Range<usize>>,
        created: Revision,
        modified: Revision,
    ) -> Self {
        Self { key, value, hole, created, modified, memo: OnceLock::new() }
    }

    /// This state as a value to be written again, its hole open.
    pub fn reopened(&self) -> Value {
        match &self.hole {
            None => Value::plain(self.value.clone()),
            Some(hole) => {
                Value::with_hole(self.value.slice(..hole.start), self.value.slice(hole.end..))
            }
        }
    }

    /// What `read` makes of the bytes, computed once for all readers. Every caller must ask for
    /// the same `T`; `None` otherwise.
    pub fn memo<T: Send + Sync + 'static>(&self, read: impl FnOnce(&Bytes) -> T) -> Option<&T> {
        self.memo.get_or_init(|| Box::new(read(&self.value))).downcast_ref()
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{} ({} bytes)", self.key, self.modified, self.value.len())
    }
}

/// One write, as watchers see it. Shared by every watcher.
pub struct Event {
    /// Whether the write removed the key; `entry` is then its last state.
    pub deleted: bool,
    /// The state that the write made.
    pub entry: Arc<Entry>,
    /// The state before it; `None` if the write created the key.
    pub previous: Option<Arc<Entry>>,
    memo: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Event {
    /// An event of the given parts.
    pub fn new(deleted: bool, entry: Arc<Entry>, previous: Option<Arc<Entry>>) -> Self {
        Self { deleted, entry, previous, memo: OnceLock::new() }
    }

    /// What `encode` makes of the event, computed once for all watchers. Every caller must ask
    /// for the same `T`; `None` otherwise.
    pub fn memo<T: Send + Sync + 'static>(&self, encode: impl FnOnce(&Self) -> T) -> Option<&T> {
        self.memo.get_or_init(|| Box::new(encode(self))).downcast_ref()
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", if self.deleted { "deleted " } else { "" }, self.entry)
    }
}
