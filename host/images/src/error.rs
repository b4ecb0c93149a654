//! What can go wrong, by who asked.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::{Digest, InvalidReference, Refused};

/// The result of the image store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the image store could not keep or find bytes.
#[derive(Debug, Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was accessed.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// More bytes than are allowed.
    #[error("it is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are not what their sender said.
    #[error("the digest of what was received is {received}, not {expected}")]
    DigestMismatch {
        /// The digest that was announced.
        expected: Digest,
        /// The digest of the bytes.
        received: Digest,
    },
    /// The sender stopped in the middle.
    #[error("the transfer broke off: {0}")]
    Transfer(String),
    /// Nothing is stored under this digest.
    #[error("no blob {0} is stored")]
    Missing(Digest),
    /// Not of the form `sha256:<64 hexadecimal digits>`.
    #[error("{0:?} is not a SHA-256 digest")]
    InvalidDigest(String),
}

/// Why stored bytes did not become a module.
#[derive(Debug, Error)]
pub(crate) enum AdmitError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] Error),
    #[error("recognising the module ended early")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Why a container's image has no file to run.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The reference cannot be read: Kubernetes' `InvalidImageName`.
    #[error(transparent)]
    Invalid(#[from] InvalidReference),
    /// There is no such module, tag or digest: Kubernetes' `ErrImagePull`.
    #[error("{0}")]
    NotFound(String),
    /// The cluster's API did not answer as it should; worth another try.
    #[error("looking up the image: {0}")]
    Api(#[from] Box<kube::Error>),
    /// The name is known, but its bytes cannot be had.
    #[error("{0}")]
    Store(#[from] Error),
    /// What is stored can no longer be run.
    #[error("the module is refused: {0}")]
    Refused(#[from] Refused),
}

impl From<AdmitError> for ResolveError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Refused(refused) => Self::Refused(refused),
            AdmitError::Store(error) => Self::Store(error),
            AdmitError::Interrupted(error) => Self::Store(Error::Transfer(error.to_string())),
        }
    }
}

/// Why a ready-made module could not be registered.
#[derive(Debug, Error)]
pub enum ProvideError {
    /// The bytes are refused.
    #[error("the ready-made module {name:?} is refused: {source}")]
    Refused {
        /// The module's name.
        name: String,
        /// Why.
        source: Refused,
    },
    /// The bytes could not be stored.
    #[error(transparent)]
    Store(#[from] Error),
    /// The Module could not be written.
    #[error(transparent)]
    Api(#[from] Box<kube::Error>),
}

impl From<(&str, AdmitError)> for ProvideError {
    fn from((name, error): (&str, AdmitError)) -> Self {
        match error {
            AdmitError::Refused(source) => Self::Refused { name: name.to_owned(), source },
            AdmitError::Store(error) => Self::Store(error),
            AdmitError::Interrupted(error) => Self::Store(Error::Transfer(error.to_string())),
        }
    }
}
