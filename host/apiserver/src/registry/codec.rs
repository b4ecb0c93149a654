//! Objects to bytes: the list of the owners of their fields first in the metadata, and a hole where
//! their `resourceVersion` will stand.

use std::sync::LazyLock;

use bytes::Bytes;
use coracle_api::dice;
use coracle_schema::managed::splice;
use coracle_store::Value;

use super::Object;

/// Stands for the revision while an object is encoded. Unguessable, so that no text inside an
/// object can pass for it.
static MARK: LazyLock<String> = LazyLock::new(dice::uuid);

/// `object` with the owners of its fields, as it is answered.
pub(crate) fn json(object: &mut dyn Object, owners: Option<&[u8]>) -> serde_json::Result<Bytes> {
    object.meta_mut().managed_fields = None;
    let plain = object.json()?;
    let whole = owners.and_then(|owners| splice(&plain, owners));
    Ok(whole.unwrap_or(plain).into())
}

/// `object` with the owners of its fields, as the store keeps it. Its `resourceVersion` is
/// overwritten.
pub(crate) fn encode(object: &mut dyn Object, owners: Option<&[u8]>) -> serde_json::Result<Value> {
    object.meta_mut().resource_version = Some(MARK.clone());
    let bytes = json(object, owners)?;
    let mark = MARK.as_bytes();
    Ok(match memchr::memmem::find(&bytes, mark) {
        Some(at) => Value::with_hole(bytes.slice(..at), bytes.slice(at + mark.len()..)),
        None => Value::plain(bytes),
    })
}
