//! Objects to bytes with a hole where their `resourceVersion` will stand.

use std::sync::LazyLock;

use coracle_api::dice;
use coracle_store::Value;

use super::Object;

/// Stands for the revision while an object is encoded. Unguessable, so that no text inside an
/// object can pass for it.
static MARK: LazyLock<String> = LazyLock::new(dice::uuid);

/// `object` as the store keeps it. Its `resourceVersion` is overwritten.
pub(crate) fn encode(object: &mut dyn Object) -> serde_json::Result<Value> {
    object.meta_mut().resource_version = Some(MARK.clone());
    let bytes = bytes::Bytes::from(object.json()?);
    let mark = MARK.as_bytes();
    Ok(match memchr::memmem::find(&bytes, mark) {
        Some(at) => Value::with_hole(bytes.slice(..at), bytes.slice(at + mark.len()..)),
        None => Value::plain(bytes),
    })
}
