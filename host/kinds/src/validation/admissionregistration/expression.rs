//! The one place through which every CEL expression of webhooks and policies passes.

use coracle_api::cause::Cause;

/// An expression that must be given.
pub(super) fn given(text: &str, detail: &str, path: &str) -> Option<Cause> {
    text.trim().is_empty().then(|| Cause::required(path, detail))
}
