//! Patches: JSON (RFC 6902), merge (RFC 7386) and strategic merge. Pure: a tree and a patch in,
//! a tree out. Knows nothing of requests, kinds and stores.

mod json;
mod merge;
mod schema;
mod strategic;

use serde_json::Value;

use crate::error::{ApiError, Reason};

pub(crate) use schema::Schema;

/// The formats of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
}

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    /// The patch itself is malformed.
    #[error("{0}")]
    Malformed(String),
    /// It is well formed, and does not fit the object.
    #[error("{0}")]
    Unfit(String),
    /// A JSON patch has too many operations.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {actual}")]
    TooLong {
        /// The most that are allowed.
        max: usize,
        /// How many there are.
        actual: usize,
    },
    /// There is no strategic merge of this kind of object.
    #[error("strategic merge patch format is not supported")]
    Unsupported,
}

impl From<PatchError> for ApiError {
    fn from(error: PatchError) -> Self {
        let reason = match &error {
            PatchError::Malformed(_) => Reason::BadRequest,
            PatchError::Unfit(_) => Reason::Invalid,
            PatchError::TooLong { .. } => Reason::RequestEntityTooLarge,
            PatchError::Unsupported => Reason::UnsupportedMediaType,
        };
        Self::new(reason, error.to_string())
    }
}

/// `current` with `patch` applied. Strategic patches need the `schema` of the object.
pub(crate) fn apply(
    format: Format,
    current: Value,
    patch: &[u8],
    schema: Option<Schema>,
) -> Result<Value, PatchError> {
    match format {
        Format::Json => json::apply(current, patch),
        Format::Merge => Ok(merge::apply(current, object(patch)?)),
        Format::Strategic => {
            let schema = schema.ok_or(PatchError::Unsupported)?;
            strategic::apply(current, object(patch)?, schema)
        }
    }
}

fn object(patch: &[u8]) -> Result<Value, PatchError> {
    let value = serde_json::from_slice(patch)
        .map_err(|error| PatchError::Malformed(format!("error decoding patch: {error}")))?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(PatchError::Malformed("error decoding patch: not a JSON object".into())),
    }
}
