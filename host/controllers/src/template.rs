//! Pod templates: whether two describe the same pods, and the hash that names one. Pure.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

/// Letters and digits that cannot spell a word.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A template without what is empty, which means the same as what is not there.
pub(crate) fn shape(template: &PodTemplateSpec) -> Value {
    pruned(serde_json::to_value(template).unwrap_or_default())
}

/// What is written of a template, without what is empty.
pub(crate) fn pruned(mut value: Value) -> Value {
    prune(&mut value);
    value
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            // An emptyDir is said by its presence.
            fields.retain(|name, value| name == "emptyDir" || !is_empty(value));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The hash of a template's shape; `collisions` makes another one out of the same.
pub(crate) fn hash(shape: &Value, collisions: Option<i32>) -> String {
    let mut hash = Fnv::default();
    hash.write(shape.to_string().as_bytes());
    if let Some(collisions) = collisions {
        hash.write(&collisions.to_le_bytes());
    }
    let digits = hash.0.to_string();
    digits.bytes().map(|b| char::from(ALPHABET[usize::from(b) % ALPHABET.len()])).collect()
}

/// FNV-1a of 32 bits.
struct Fnv(u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(value: Value) -> PodTemplateSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn nothing_and_emptiness_are_the_same() {
        let a =
            template(json!({"spec": {"containers": [{"name": "c", "env": [], "resources": {}}]}}));
        let b = template(json!({"spec": {"containers": [{"name": "c"}]}}));
        assert_eq!(shape(&a), shape(&b));
        let volume =
            |source: Value| template(json!({"spec": {"containers": [], "volumes": [source]}}));
        assert_ne!(
            shape(&volume(json!({"name": "v", "emptyDir": {}}))),
            shape(&volume(json!({"name": "v"})))
        );
    }

    #[test]
    fn collisions_change_the_hash() {
        let shape = shape(&template(json!({"spec": {"containers": [{"name": "c"}]}})));
        assert_ne!(hash(&shape, None), hash(&shape, Some(1)));
        assert!(hash(&shape, Some(1)).bytes().all(|b| ALPHABET.contains(&b)));
    }
}
