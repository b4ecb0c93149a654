//! Pod templates: which ReplicaSet has the Deployment's, and the hash that names one.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

/// The label that tells the pods of a Deployment's ReplicaSets apart.
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// Letters and digits that cannot spell a word.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Whether two templates describe the same pods, the hash label aside.
pub(super) fn same(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    a == b || shape(a) == shape(b)
}

/// A template without the hash label and without what is empty, which means the same as what is
/// not there.
fn shape(template: &PodTemplateSpec) -> Value {
    let mut value = serde_json::to_value(template).unwrap_or_default();
    if let Some(labels) = value.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
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

/// The ReplicaSet with the Deployment's template: the oldest if there are several.
pub(super) fn find_new<T: AsRef<ReplicaSet>>(deployment: &Deployment, all: &[T]) -> Option<usize> {
    let template = &deployment.spec.as_ref()?.template;
    let mut matching: Vec<usize> = (0..all.len())
        .filter(|index| {
            let spec = all[*index].as_ref().spec.as_ref();
            spec.and_then(|spec| spec.template.as_ref()).is_some_and(|its| same(its, template))
        })
        .collect();
    matching.sort_by_key(|index| {
        let metadata = &all[*index].as_ref().metadata;
        (metadata.creation_timestamp.as_ref().map(|time| time.0), metadata.name.clone())
    });
    matching.first().copied()
}

/// The hash of a template; `collisions` makes another one out of the same template.
pub(super) fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut hash = Fnv::default();
    hash.write(shape(template).to_string().as_bytes());
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
    fn the_hash_label_makes_no_difference() {
        let plain = template(json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}));
        let mut labelled = plain.clone();
        let labels = labelled.metadata.as_mut().unwrap().labels.as_mut().unwrap();
        labels.insert(HASH_LABEL.into(), "xyz".into());
        assert!(same(&plain, &labelled));
        assert_eq!(hash(&plain, None), hash(&labelled, None));
        labels_of(&mut labelled).insert("a".into(), "c".into());
        assert!(!same(&plain, &labelled));
    }

    fn labels_of(
        template: &mut PodTemplateSpec,
    ) -> &mut std::collections::BTreeMap<String, String> {
        template.metadata.as_mut().unwrap().labels.as_mut().unwrap()
    }

    #[test]
    fn nothing_and_emptiness_are_the_same() {
        let a = template(json!({"metadata": {"labels": {HASH_LABEL: "x"}},
            "spec": {"containers": [{"name": "c", "env": [], "resources": {}}]}}));
        let b = template(json!({"spec": {"containers": [{"name": "c"}]}}));
        assert!(same(&a, &b));
        let volume =
            |source: Value| template(json!({"spec": {"containers": [], "volumes": [source]}}));
        assert!(!same(
            &volume(json!({"name": "v", "emptyDir": {}})),
            &volume(json!({"name": "v"}))
        ));
    }

    #[test]
    fn collisions_change_the_hash() {
        let template = template(json!({"spec": {"containers": [{"name": "c"}]}}));
        assert_ne!(hash(&template, None), hash(&template, Some(1)));
        assert!(hash(&template, Some(1)).bytes().all(|b| ALPHABET.contains(&b)));
    }
}
