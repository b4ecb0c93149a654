//! Resources inside of resources (`x-kubernetes-embedded-resource`) have metadata too.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{Structural, child};

/// The fields of `ObjectMeta`.
const FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Calls `change` with the path of every embedded resource in `value`.
fn each(
    path: &str,
    schema: &Structural,
    value: &mut Value,
    root: bool,
    change: &mut dyn FnMut(&str, &mut Value),
) {
    if schema.embedded_resource && !root {
        change(path, value);
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if let Some(property) = schema.properties.get(name) {
                    each(&child(path, name), property, value, false, change);
                } else if let Some(additional) = schema.additional_schema() {
                    each(&format!("{path}[{name}]"), additional, value, false, change);
                }
            }
        }
        Value::Array(items) => {
            let Some(below) = &schema.items else { return };
            for (at, item) in items.iter_mut().enumerate() {
                each(&format!("{path}[{at}]"), below, item, false, change);
            }
        }
        _ => {}
    }
}

/// Whether the schema has embedded resources, so that looking for them is worth while.
pub fn embeds(schema: &Structural) -> bool {
    schema.any(&|schema| schema.embedded_resource)
}

/// What was found in the metadata of embedded resources.
#[derive(Debug, Default)]
pub struct Coerced {
    /// What cannot be read.
    pub faults: Vec<Cause>,
    /// The paths of what is unknown, which has been removed.
    pub unknown: Vec<String>,
}

/// Brings the metadata of embedded resources into form: what is unknown goes, and so does, if
/// `drop` says so, what cannot be read.
pub fn coerce(schema: &Structural, value: &mut Value, drop: bool) -> Coerced {
    let Coerced { mut faults, mut unknown } = Coerced::default();
    each("", schema, value, true, &mut |path, resource| {
        let Some(fields) = resource.as_object_mut() else { return };
        for field in ["apiVersion", "kind"] {
            match fields.get(field) {
                Some(value) if !value.is_string() && drop => {
                    fields.remove(field);
                }
                Some(value) if !value.is_string() => {
                    let found = value.clone();
                    faults.push(Cause::invalid(child(path, field), found, "must be a string"));
                }
                _ => {}
            }
        }
        let Some(metadata) = fields.get("metadata") else { return };
        match serde_json::from_value::<ObjectMeta>(metadata.clone()) {
            Ok(read) => {
                let path = child(path, "metadata");
                let names = metadata.as_object().into_iter().flat_map(|fields| fields.keys());
                let odd = names.filter(|name| !FIELDS.contains(&name.as_str()));
                unknown.extend(odd.map(|name| child(&path, name)));
                let read = serde_json::to_value(read).unwrap_or_default();
                fields.insert("metadata".into(), read);
            }
            Err(_) if drop => {
                fields.remove("metadata");
            }
            Err(error) => {
                let path = child(path, "metadata");
                faults.push(Cause::invalid(path, metadata.clone(), &error.to_string()));
            }
        }
    });
    Coerced { faults, unknown }
}

/// The faults of embedded resources' own metadata.
pub fn validate(schema: &Structural, value: &mut Value) -> Vec<Cause> {
    let mut faults = vec![];
    each("", schema, value, true, &mut |path, resource| {
        let text = |field: &str| resource.get(field).and_then(Value::as_str).unwrap_or_default();
        for field in ["apiVersion", "kind"] {
            if text(field).is_empty() {
                faults.push(Cause::required(child(path, field), "must not be empty"));
            }
        }
        let (version, kind) = (text("apiVersion"), text("kind"));
        if version.split('/').count() > 2 {
            let detail = format!("unexpected GroupVersion string: {version}");
            faults.push(Cause::invalid(child(path, "apiVersion"), version, &detail));
        }
        if !kind.is_empty() {
            let complaints = meta::dns_1035_label(&kind.to_lowercase());
            if !complaints.is_empty() {
                let detail = format!(
                    "may have mixed case, but should otherwise match: {}",
                    complaints.join(",")
                );
                faults.push(Cause::invalid(child(path, "kind"), kind, &detail));
            }
        }
        let Some(metadata) = resource.get("metadata") else { return };
        let Ok(metadata) = serde_json::from_value::<ObjectMeta>(metadata.clone()) else { return };
        let path = child(path, "metadata");
        for (key, value) in metadata.labels.iter().flatten() {
            for complaint in meta::qualified_name(key) {
                faults.push(Cause::invalid(child(&path, "labels"), key.as_str(), &complaint));
            }
            for complaint in meta::label_value(value) {
                faults.push(Cause::invalid(child(&path, "labels"), value.as_str(), &complaint));
            }
        }
        for key in metadata.annotations.iter().flatten().map(|(key, _)| key) {
            for complaint in meta::qualified_name(&key.to_lowercase()) {
                let path = child(&path, "annotations");
                faults.push(Cause::invalid(path, key.as_str(), &complaint));
            }
        }
        for (field, name) in [("name", &metadata.name), ("generateName", &metadata.generate_name)] {
            let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else { continue };
            let tried = if field == "name" { name } else { name.trim_end_matches('-') };
            for complaint in meta::path_segment(tried) {
                faults.push(Cause::invalid(child(&path, field), name, &complaint));
            }
        }
    });
    faults
}
