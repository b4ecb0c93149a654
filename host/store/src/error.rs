//! What can go wrong with a read or a write.

use crate::Revision;

/// The result of a store call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A create met a key that exists.
    #[error("key {0:?} exists")]
    Exists(String),
    /// An update or delete met a key that does not exist.
    #[error("key {0:?} does not exist")]
    NotFound(String),
    /// An update or delete expected another revision than the newest, `current`.
    #[error("key {key:?} is at revision {current}, not at the expected one")]
    Conflict {
        /// The key written to.
        key: String,
        /// Its newest revision.
        current: Revision,
    },
    /// The history asked for is forgotten; the oldest that is known is `oldest`.
    #[error("revision {asked} is compacted; the oldest known is {oldest}")]
    Compacted {
        /// The revision asked for.
        asked: Revision,
        /// The oldest that can be read or watched from.
        oldest: Revision,
    },
    /// The revision asked for is not written yet; the newest is `current`.
    #[error("revision {asked} is in the future; the newest is {current}")]
    Future {
        /// The revision asked for.
        asked: Revision,
        /// The newest revision.
        current: Revision,
    },
    /// A watcher read too slowly and lost its place; it must list again.
    #[error("the watcher fell behind")]
    Lagged,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The backend could not read or write.
    #[error("storage backend: {0}")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}
