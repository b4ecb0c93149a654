//! Kubernetes' protobuf encoding, to and from JSON text: what typed Go clients speak, kubectl among
//! them. Pure, and driven by a table: the messages' fields stand in `fields.json`, which `fields.py`
//! makes of the Go types of the release that this program serves. Kinds that are defined at run
//! time have no protobuf, as in Kubernetes.

mod read;
mod schema;
pub(crate) mod wire;
mod write;

pub(crate) use read::{Decoded, decode};
pub(crate) use write::{Kind, Unwritable, event};

/// The media type.
pub(crate) const MEDIA: &str = "application/vnd.kubernetes.protobuf";

/// What every protobuf body of Kubernetes begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// It does not begin as it must.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    Magic,
    /// It ends too early, or is garbled.
    #[error("proto: {0}")]
    Wire(&'static str),
    /// Nothing is known of its kind.
    #[error("no kind {kind:?} is registered for version {version:?}")]
    Kind {
        /// The kind it says it has.
        kind: String,
        /// The `apiVersion` it says it has.
        version: String,
    },
}

type Result<T, E = Malformed> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
