//! Metadata of objects.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::json;

use super::all;

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// The faults of an object's metadata. `validate_name` is the rule for names of its kind; with
/// `any_finalizer` finalizers need no domain.
pub fn object_meta(
    meta: &ObjectMeta,
    namespaced: bool,
    any_finalizer: bool,
    validate_name: &dyn Fn(&str) -> Vec<String>,
) -> Vec<Cause> {
    let mut faults = vec![];
    let name = meta.name.as_deref().unwrap_or_default();
    let base = meta.generate_name.as_deref().unwrap_or_default();
    if !base.is_empty() {
        faults.extend(all("metadata.generateName", base, validate_name(&completed(base))));
    }
    if name.is_empty() {
        faults.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        faults.extend(all("metadata.name", name, validate_name(name)));
    }
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    if namespaced {
        if namespace.is_empty() {
            faults.push(Cause::required("metadata.namespace", ""));
        } else {
            faults.extend(all("metadata.namespace", namespace, meta::dns_1123_label(namespace)));
        }
    } else if !namespace.is_empty() {
        faults.push(Cause::forbidden("metadata.namespace", "not allowed on this type"));
    }
    if let Some(generation) = meta.generation.filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to 0";
        faults.push(Cause::invalid("metadata.generation", generation, detail));
    }
    faults.extend(labels(meta.labels.as_ref(), "metadata.labels"));
    faults.extend(annotations(meta.annotations.as_ref(), "metadata.annotations"));
    faults.extend(owners(meta.owner_references.as_deref().unwrap_or_default()));
    faults.extend(finalizers(meta.finalizers.as_deref().unwrap_or_default(), any_finalizer));
    faults
}

/// A generated name's beginning with something in place of the part to come.
fn completed(base: &str) -> String {
    match base.strip_suffix('-') {
        Some(head) if !head.is_empty() => format!("{head}a"),
        _ => base.to_owned(),
    }
}

/// The faults of labels.
pub fn labels(labels: Option<&BTreeMap<String, String>>, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (key, value) in labels.into_iter().flatten() {
        faults.extend(all(path, key, meta::qualified_name(key)));
        faults.extend(all(path, value, meta::label_value(value)));
    }
    faults
}

/// The faults of annotations.
pub fn annotations(annotations: Option<&BTreeMap<String, String>>, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        faults.extend(all(path, key, meta::qualified_name(&key.to_lowercase())));
        size += key.len() + value.len();
    }
    if size > meta::ANNOTATIONS_MAX {
        faults.push(Cause::too_long(path, meta::ANNOTATIONS_MAX));
    }
    faults
}

/// A path behind a domain: `acme.io/foo`.
pub(super) fn domain_prefixed_path(text: &str, path: &str) -> Vec<Cause> {
    if text.is_empty() {
        return vec![Cause::required(path, "")];
    }
    let (domain, rest) = text.split_once('/').unwrap_or_default();
    if domain.is_empty() || rest.is_empty() {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return vec![Cause::invalid(path, text, detail)];
    }
    let mut faults = all(path, domain, meta::dns_1123_subdomain(domain));
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !rest.bytes().all(good) {
        let detail =
            "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        faults.push(Cause::invalid(path, rest, detail));
    }
    faults
}

fn owners(owners: &[OwnerReference]) -> Vec<Cause> {
    let path = "metadata.ownerReferences";
    let mut faults = vec![];
    let mut controller: Option<&OwnerReference> = None;
    for owner in owners {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            let path = format!("{path}.apiVersion");
            let detail = "version must not be empty";
            faults.push(Cause::invalid(path, owner.api_version.as_str(), detail));
        }
        for (field, text) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if text.is_empty() {
                let path = format!("{path}.{field}");
                faults.push(Cause::invalid(path, text.as_str(), "must not be empty"));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            faults.push(Cause::invalid(path, json!(owner), detail));
        }
        if owner.controller == Some(true) {
            if let Some(other) = controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                    other.name, owner.name
                );
                faults.push(Cause::invalid(path, json!(owners), &detail));
            }
            controller = Some(owner);
        }
    }
    faults
}

fn finalizers(finalizers: &[String], any: bool) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, finalizer) in finalizers.iter().enumerate() {
        let path = format!("metadata.finalizers[{at}]");
        faults.extend(all(&path, finalizer, meta::qualified_name(finalizer)));
        if !any && !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            faults.push(Cause::invalid(path, finalizer.as_str(), detail));
        }
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.push(Cause::invalid("metadata.finalizers", json!(finalizers), detail));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(meta: serde_json::Value) -> Vec<String> {
        let meta = serde_json::from_value(meta).unwrap();
        let found = object_meta(&meta, true, false, &|name| meta::dns_1123_subdomain(name));
        found.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn good() {
        assert_eq!(
            faults(json!({
                "name": "a.b", "generateName": "a-", "namespace": "n",
                "labels": {"example.com/a": ""}, "annotations": {"A/b": "anything at all"},
                "finalizers": ["orphan", "example.com/x"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}],
            })),
            Vec::<String>::new()
        );
    }

    #[test]
    fn bad() {
        assert_eq!(
            faults(json!({"namespace": "n"})),
            ["metadata.name: Required value: name or generateName is required"]
        );
        let found = faults(json!({"name": "A", "namespace": "a.b", "labels": {"a b": "c d"},
            "finalizers": ["x"], "ownerReferences": [{"apiVersion": "", "kind": "", "name": "", "uid": ""}]}));
        assert!(
            found[0]
                .starts_with("metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain")
        );
        assert!(
            found[1].starts_with(
                "metadata.namespace: Invalid value: \"a.b\": a lowercase RFC 1123 label"
            )
        );
        assert!(found[2].starts_with("metadata.labels: Invalid value: \"a b\": name part must"));
        assert!(found[3].starts_with("metadata.labels: Invalid value: \"c d\": a valid label"));
        assert_eq!(
            found[4],
            "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty"
        );
        assert_eq!(
            found[8],
            "metadata.finalizers[0]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified"
        );
    }
}
