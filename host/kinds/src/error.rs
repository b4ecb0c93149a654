//! Why a kind cannot do what it was asked.

use coracle_api::cause::Cause;
use thiserror::Error;

/// The result of what a kind does with objects.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a kind has no object to give.
#[derive(Debug, Error)]
pub enum Error {
    /// What came is none of the kind's objects: `BadRequest`.
    #[error("{0}")]
    Malformed(String),
    /// It is one that breaks the kind's rules: `Invalid`.
    #[error("{kind} {name:?} is invalid")]
    Invalid {
        /// API group; empty for the core group.
        group: String,
        /// As the object names it.
        kind: String,
        /// Empty for none.
        name: String,
        /// What is at fault.
        causes: Vec<Cause>,
    },
    /// Whoever converts between versions could not, or would not.
    #[error("{0}")]
    Conversion(String),
    /// What is kept is broken.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// Something broke in here.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::Internal(what.to_string())
    }
}
