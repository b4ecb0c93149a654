//! The definition of a kind in OpenAPI: its own schema, and the fields that every object has.

use serde_json::{Map, Value, json};

use crate::registry::ApiResource;

const OBJECT_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The definition of a version of a kind, in the words of OpenAPI v3.
pub(super) fn definition(names: &ApiResource, written: &Value) -> Value {
    let mut schema = written.as_object().cloned().unwrap_or_else(Map::new);
    schema.insert("type".into(), "object".into());
    let gvk = json!({ "group": names.group, "version": names.version, "kind": names.kind });
    schema.insert("x-kubernetes-group-version-kind".into(), json!([gvk]));
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        let text = |description: &str| json!({ "type": "string", "description": description });
        properties.insert(
            "apiVersion".into(),
            text("Version of the schema of this representation of an object."),
        );
        properties.insert("kind".into(), text("The kind of object that this is."));
        properties.insert(
            "metadata".into(),
            json!({
                "description": "Standard object's metadata.",
                "allOf": [{ "$ref": OBJECT_META }],
            }),
        );
    }
    Value::Object(schema)
}
