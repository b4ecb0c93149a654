//! Types from OpenAPI schemas, structural ones and those with references.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::declaration::{Field, ListType, Merge, ObjectType, Type};

/// How often a reference may lead to a reference.
const MAX_REFERENCES: usize = 8;

/// An object's schema and the document that its references lead into.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    document: Arc<Value>,
    schema: Value,
    /// Whether `apiVersion`, `kind` and the names in `metadata` are there in any case.
    resource: bool,
}

impl Type {
    /// The type of the data that `schema` describes; none if expressions cannot see it.
    ///
    /// `resource` says that it is the root of an object of the API, whose `apiVersion`, `kind`,
    /// `metadata.name` and `metadata.generateName` are visible whether in the schema or not.
    /// References (`$ref: "#/..."`) are looked up in `document`, when the fields behind them
    /// are first asked for.
    pub fn of_schema(
        name: &str,
        schema: &Value,
        document: &Arc<Value>,
        resource: bool,
    ) -> Option<Self> {
        let resolved = resolve(schema, document)?;
        let flag = |key: &str| resolved.get(key) == Some(&Value::Bool(true));
        if flag("x-kubernetes-int-or-string")
            || resolved.get("format") == Some(&json!("int-or-string"))
        {
            return Some(Self::Dyn);
        }
        let resource = resource || flag("x-kubernetes-embedded-resource");
        let kind = match resolved.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            // `["string", "null"]`
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null")?
            }
            _ if resource || resolved.contains_key("properties") => "object",
            _ => return None,
        };
        Some(match kind {
            "array" => {
                let items = resolved.get("items")?;
                let name = format!("{name}.@idx");
                let element = Self::of_schema(&name, items, document, false)?;
                Self::List(Arc::new(ListType { element, merge: merge(resolved) }))
            }
            "object" => {
                match resolved.get("additionalProperties").filter(|more| more.is_object()) {
                    Some(values) if !resource && !resolved.contains_key("properties") => {
                        let name = format!("{name}.@elem");
                        Self::map(Self::String, Self::of_schema(&name, values, document, false)?)
                    }
                    _ => {
                        let schema = Value::Object(resolved.clone());
                        let source = Source { document: document.clone(), schema, resource };
                        Self::Object(Arc::new(ObjectType::lazy(name.to_owned(), source)))
                    }
                }
            }
            "string" => match resolved.get("format").and_then(Value::as_str) {
                Some("byte") => Self::Bytes,
                Some("duration") => Self::Duration,
                Some("date" | "date-time") => Self::Timestamp,
                _ => Self::String,
            },
            "boolean" => Self::Bool,
            "number" => Self::Double,
            "integer" => Self::Int,
            _ => return None,
        })
    }
}

fn merge(schema: &Map<String, Value>) -> Merge {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Merge::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            let keys = keys.into_iter().flatten().filter_map(Value::as_str);
            Merge::Map(keys.map(str::to_owned).collect())
        }
        _ => Merge::Atomic,
    }
}

/// The schema that `schema` is or refers to, alone or in `allOf`.
fn resolve<'a>(schema: &'a Value, document: &'a Value) -> Option<&'a Map<String, Value>> {
    let mut schema = schema;
    for _ in 0..MAX_REFERENCES {
        let sole = |key: &str| match schema.get(key)?.as_array()?.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            schema = document.pointer(reference.strip_prefix('#')?)?;
        } else if let Some(only) = sole("allOf").filter(|_| schema.get("type").is_none()) {
            schema = only;
        } else {
            return schema.as_object();
        }
    }
    None
}

/// The fields of an object of the schema.
pub(crate) fn fields(source: &Source, name: &str) -> BTreeMap<String, Field> {
    let mut properties = BTreeMap::new();
    let given = source.schema.get("properties").and_then(Value::as_object);
    for (property, schema) in given.into_iter().flatten() {
        properties.insert(property.as_str(), schema);
    }
    let (string, metadata);
    if source.resource {
        string = json!({ "type": "string" });
        properties.entry("apiVersion").or_insert(&string);
        properties.entry("kind").or_insert(&string);
        metadata = with_names(properties.get("metadata").copied());
        if let Some(metadata) = &metadata {
            properties.insert("metadata", metadata);
        }
    }
    let fields = properties.into_iter().filter_map(|(property, schema)| {
        let identifier = crate::escape(property)?.into_owned();
        let name = format!("{name}.{identifier}");
        let r#type = Type::of_schema(&name, schema, &source.document, false)?;
        Some((identifier, Field { property: property.to_owned(), r#type }))
    });
    fields.collect()
}

/// The schema of `metadata` with the names that are always there, unless it refers elsewhere.
fn with_names(metadata: Option<&Value>) -> Option<Value> {
    let string = json!({ "type": "string" });
    let mut schema = match metadata {
        Some(schema) if schema.get("type").is_none() && schema.get("properties").is_none() => {
            if schema.as_object().is_some_and(|schema| !schema.is_empty()) {
                return None;
            }
            json!({})
        }
        Some(schema) => schema.clone(),
        None => json!({}),
    };
    schema["type"] = json!("object");
    let properties = schema.as_object_mut()?.entry("properties").or_insert_with(|| json!({}));
    let properties = properties.as_object_mut()?;
    for name in ["name", "generateName"] {
        properties.entry(name).or_insert_with(|| string.clone());
    }
    Some(schema)
}
