//! Revisions, compare-and-swap and watch: the state of the cluster as an ordered log of writes.
//! Knows keys, bytes and revisions; nothing of HTTP or of Kubernetes' kinds. Only `apiserver`
//! may import it.

pub mod conformance;
mod entry;
mod error;
mod history;
mod memory;
mod options;
mod redb;
mod watch;
mod write;

use std::sync::Arc;

use async_trait::async_trait;

pub use entry::{Entry, Event, Value};
pub use error::{Error, Result};
pub use memory::MemoryStore;
pub use options::Options;
pub use redb::RedbStore;
pub use watch::{TryNext, Watch};

/// Counts every write to the store, from 1, without gaps that a reader could notice.
pub type Revision = u64;

/// Which part of a prefix a [`Store::range`] returns.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// The state to read; the newest if `None`.
    pub at: Option<Revision>,
    /// Begin behind this key.
    pub after: Option<String>,
    /// At most this many entries; all if `None`.
    pub limit: Option<usize>,
}

/// What a [`Store::range`] found.
#[derive(Clone, Debug)]
pub struct Page {
    /// The revision whose state this is.
    pub revision: Revision,
    /// In the order of their keys.
    pub entries: Vec<Arc<Entry>>,
    /// How many entries of the prefix follow behind the last of these.
    pub remaining: usize,
}

/// The state of a cluster. Every backend passes [`conformance`].
///
/// Writes are answered when they are durable, and are visible to readers and watchers from that
/// moment, in the order of their revisions. Dropping the future of a write does not undo it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The newest state of `key`.
    async fn get(&self, key: &str) -> Result<Option<Arc<Entry>>>;

    /// The entries whose keys begin with `prefix`. [`Error::Compacted`] if the revision asked for
    /// is forgotten, [`Error::Future`] if it is yet to come.
    async fn range(&self, prefix: &str, range: Range) -> Result<Page>;

    /// How many entries have keys that begin with `prefix`.
    async fn count(&self, prefix: &str) -> Result<usize>;

    /// Writes a key that does not exist yet; [`Error::Exists`] otherwise.
    async fn create(&self, key: &str, value: Value) -> Result<Arc<Entry>>;

    /// Replaces a key whose newest revision is `expected`; [`Error::Conflict`] or
    /// [`Error::NotFound`] otherwise.
    async fn update(&self, key: &str, value: Value, expected: Revision) -> Result<Arc<Entry>>;

    /// Removes a key whose newest revision is `expected`. `last` is the state that watchers of
    /// the deletion see; the returned entry carries it with the deletion's revision.
    async fn delete(&self, key: &str, last: Value, expected: Revision) -> Result<Arc<Entry>>;

    /// Every event under `prefix` with a revision above `after`, in order, without end.
    /// [`Error::Compacted`] if some of them are forgotten, [`Error::Future`] if `after` is yet to
    /// come.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch>;

    /// The newest revision.
    async fn revision(&self) -> Result<Revision>;

    /// Forgets the history below `revision`; the newest state of every key stays.
    async fn compact(&self, revision: Revision) -> Result<()>;

    /// Writes what may still be in memory only, and ends every watch. Later calls fail, except
    /// this one.
    async fn close(&self) -> Result<()>;
}
