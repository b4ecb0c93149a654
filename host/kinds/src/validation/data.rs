//! ConfigMaps and Secrets.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::{all, immutable};

/// The most bytes that one of them may carry.
const MAX_SIZE: usize = 1024 * 1024;
const FROZEN: &str = "field is immutable when `immutable` is set";
/// Shown in place of a secret's content.
const REDACTED: &str = "<secret contents redacted>";

fn keys<'a>(keys: impl Iterator<Item = &'a String>, field: &str) -> Vec<Cause> {
    let faults = keys.map(|key| all(&format!("{field}[{key}]"), key, meta::config_key(key)));
    faults.flatten().collect()
}

/// The faults of a ConfigMap.
pub(crate) fn configmap(map: &ConfigMap) -> Vec<Cause> {
    let empty = (BTreeMap::new(), BTreeMap::new());
    let data = map.data.as_ref().unwrap_or(&empty.0);
    let binary = map.binary_data.as_ref().unwrap_or(&empty.1);
    let mut faults = keys(data.keys(), "data");
    for key in data.keys().filter(|key| binary.contains_key(*key)) {
        let detail = "duplicate of key present in binaryData";
        faults.push(Cause::invalid(format!("data[{key}]"), key.as_str(), detail));
    }
    faults.extend(keys(binary.keys(), "binaryData"));
    let size = data.values().map(String::len).sum::<usize>()
        + binary.values().map(|bytes| bytes.0.len()).sum::<usize>();
    if size > MAX_SIZE {
        faults.push(Cause::too_long("[]", MAX_SIZE));
    }
    faults
}

/// The faults of a ConfigMap's change.
pub(crate) fn configmap_update(new: &ConfigMap, old: &ConfigMap) -> Vec<Cause> {
    frozen(
        old.immutable,
        [
            ("immutable", new.immutable != Some(true)),
            ("data", differ(&new.data, &old.data)),
            ("binaryData", differ(&new.binary_data, &old.binary_data)),
        ],
    )
}

fn differ<V: PartialEq>(
    new: &Option<BTreeMap<String, V>>,
    old: &Option<BTreeMap<String, V>>,
) -> bool {
    let filled = |map: &Option<BTreeMap<String, V>>| map.as_ref().is_some_and(|m| !m.is_empty());
    (filled(new) || filled(old)) && new != old
}

/// Complains about the changed ones of `fields` if the object is frozen.
fn frozen<const N: usize>(old: Option<bool>, fields: [(&str, bool); N]) -> Vec<Cause> {
    let changed = fields.into_iter().filter(|(_, changed)| *changed && old == Some(true));
    changed.map(|(field, _)| Cause::forbidden(field, FROZEN)).collect()
}

/// The faults of a Secret.
pub(crate) fn secret(secret: &Secret) -> Vec<Cause> {
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    let mut faults = keys(data.keys(), "data");
    if data.values().map(|bytes| bytes.0.len()).sum::<usize>() > MAX_SIZE {
        faults.push(Cause::too_long("data", MAX_SIZE));
    }
    let mut required = |key: &str| {
        if !data.contains_key(key) {
            faults.push(Cause::required(format!("data[{key}]"), ""));
        }
    };
    match secret.type_.as_deref().unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            let annotations = secret.metadata.annotations.as_ref();
            if annotations.and_then(|all| all.get(name)).is_none_or(String::is_empty) {
                faults.push(Cause::required(format!("metadata.annotations[{name}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => faults.extend(docker(data, ".dockercfg")),
        "kubernetes.io/dockerconfigjson" => faults.extend(docker(data, ".dockerconfigjson")),
        "kubernetes.io/basic-auth"
            if !data.contains_key("username") && !data.contains_key("password") =>
        {
            required("username");
            required("password");
        }
        "kubernetes.io/ssh-auth"
            if data.get("ssh-privatekey").is_none_or(|key| key.0.is_empty()) =>
        {
            faults.push(Cause::required("data[ssh-privatekey]", ""));
        }
        "kubernetes.io/tls" => {
            required("tls.crt");
            required("tls.key");
        }
        _ => {}
    }
    faults
}

fn docker(data: &BTreeMap<String, ByteString>, key: &str) -> Option<Cause> {
    let path = format!("data[{key}]");
    let Some(bytes) = data.get(key) else { return Some(Cause::required(path, "")) };
    let parsed = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes.0);
    parsed.err().map(|error| Cause::invalid(path, REDACTED, &error.to_string()))
}

/// The faults of a Secret's change.
pub(crate) fn secret_update(new: &Secret, old: &Secret) -> Vec<Cause> {
    let mut faults = immutable("type", &new.type_, &old.type_);
    faults.extend(frozen(
        old.immutable,
        [("immutable", new.immutable != Some(true)), ("data", differ(&new.data, &old.data))],
    ));
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::json;

    #[test]
    fn config_maps() {
        let map = |json| object::<ConfigMap>(json);
        assert_eq!(configmap(&map(json!({"data": {"a.b": "x"}}))), []);
        let bad = map(json!({"data": {"a b": "x", "c": ""}, "binaryData": {"c": ""}}));
        let found = lines(configmap(&bad));
        assert!(found[0].starts_with("data[a b]: Invalid value: \"a b\": a valid config key"));
        assert_eq!(
            found[1],
            "data[c]: Invalid value: \"c\": duplicate of key present in binaryData"
        );
        let large = "x".repeat(MAX_SIZE + 1);
        assert_eq!(
            lines(configmap(&map(json!({"data": {"a": large}})))),
            ["[]: Too long: may not be more than 1048576 bytes"]
        );
        let old = map(json!({"immutable": true, "data": {"a": "1"}}));
        assert_eq!(configmap_update(&old, &old), []);
        assert_eq!(
            lines(configmap_update(&map(json!({"data": {"a": "2"}})), &old)),
            [format!("immutable: Forbidden: {FROZEN}"), format!("data: Forbidden: {FROZEN}")]
        );
    }

    #[test]
    fn secrets() {
        let of = |kind: &str| object::<Secret>(json!({"type": kind}));
        assert_eq!(secret(&of("Opaque")), []);
        assert_eq!(
            lines(secret(&of("kubernetes.io/tls"))),
            ["data[tls.crt]: Required value", "data[tls.key]: Required value"]
        );
        assert_eq!(secret(&of("kubernetes.io/basic-auth")).len(), 2);
        assert_eq!(secret(&of("kubernetes.io/service-account-token")).len(), 1);
        assert_eq!(
            lines(secret_update(&of("a"), &of("b"))),
            ["type: Invalid value: \"a\": field is immutable"]
        );
    }
}
