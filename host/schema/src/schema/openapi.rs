//! The schemas of custom resources, as their definitions publish them.

use serde_json::Value;

use super::{Field, Key, List, ListMerge, Map, Scalar, Schema, Type};
use crate::builtin;
use crate::tree::Tree;

impl Schema {
    /// The schema of a kind of object whose fields the `openAPIV3Schema` of a
    /// CustomResourceDefinition describes.
    pub fn of_custom_resource(schema: &Value) -> Self {
        let mut whole = converted(schema);
        let map = whole.map.get_or_insert_default();
        for name in ["apiVersion", "kind"] {
            let field = Field { schema: Self::scalar(Scalar::String), standing: false };
            map.fields.insert(name.into(), field);
        }
        let metadata = Field { schema: builtin::object_meta(), standing: false };
        map.fields.insert("metadata".into(), metadata);
        Self::new(whole)
    }
}

fn text<'v>(schema: &'v Value, key: &str) -> Option<&'v str> {
    schema.get(key).and_then(Value::as_str)
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn converted(schema: &Value) -> Type {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Type { scalar: Some(Scalar::Any), ..Type::default() };
    }
    let scalar = match text(schema, "type") {
        Some("object") => return Type { map: Some(map(schema)), ..Type::default() },
        Some("array") => return Type { list: Some(list(schema)), ..Type::default() },
        Some("string") => Scalar::String,
        Some("integer" | "number") => Scalar::Number,
        Some("boolean") => Scalar::Boolean,
        _ if schema.get("properties").is_some() => {
            return Type { map: Some(map(schema)), ..Type::default() };
        }
        _ => return Type::clone(&Schema::deduced()),
    };
    Type { scalar: Some(scalar), ..Type::default() }
}

fn map(schema: &Value) -> Map {
    let atomic = text(schema, "x-kubernetes-map-type") == Some("atomic");
    let mut fields: std::collections::BTreeMap<String, Field> = std::collections::BTreeMap::new();
    if flag(schema, "x-kubernetes-embedded-resource") {
        for name in ["apiVersion", "kind"] {
            let field = Field { schema: Schema::scalar(Scalar::String), standing: false };
            fields.insert(name.into(), field);
        }
        let metadata = Field { schema: builtin::object_meta(), standing: false };
        fields.insert("metadata".into(), metadata);
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (name, schema) in properties {
            let schema = Schema::new(converted(schema));
            fields.entry(name.clone()).or_insert(Field { schema, standing: false });
        }
    }
    let undeclared = fields.is_empty();
    let rest = match schema.get("additionalProperties") {
        Some(values @ Value::Object(_)) if undeclared => Some(Schema::new(converted(values))),
        _ if undeclared || flag(schema, "x-kubernetes-preserve-unknown-fields") => {
            Some(Schema::deduced())
        }
        _ => None,
    };
    let deduced = undeclared && !schema.get("additionalProperties").is_some_and(Value::is_object);
    Map { fields, rest, atomic, deduced }
}

fn list(schema: &Value) -> List {
    let none = Value::Null;
    let items = schema.get("items").unwrap_or(&none);
    let merge = match text(schema, "x-kubernetes-list-type") {
        Some("set") => ListMerge::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            let keys = keys.into_iter().flatten().filter_map(Value::as_str);
            ListMerge::Map(keys.map(|name| key(name, items)).collect())
        }
        _ => ListMerge::Atomic,
    };
    List { items: Schema::new(converted(items)), merge }
}

fn key(name: &str, items: &Value) -> Key {
    let default = items.get("properties").and_then(|p| p.get(name)?.get("default"));
    let default = default.and_then(|value| {
        let text = serde_json::to_vec(value).ok()?;
        Tree::parse(&text).ok().map(Tree::into_owned)
    });
    Key { name: name.to_owned(), default }
}
