//! What Kubernetes says of a body with a value of the wrong type: the words of Go's decoder, found
//! by the schema of the kind once reading has failed.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

/// How deep a body is looked into.
const DEPTH: usize = 64;
/// What definitions' names begin with that Go knows by another package than their version.
const SPECIAL: &[&str] = &[
    "io.k8s.apimachinery.pkg.api.resource.",
    "io.k8s.apimachinery.pkg.runtime.",
    "io.k8s.apimachinery.pkg.util.",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
];

/// The first value of a wrong type in a body of the type `T`.
pub(crate) fn mistyped<T: JsonSchema>(json: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(json).ok()?;
    let mut generator = SchemaGenerator::default();
    let schema = generator.subschema_for::<T>();
    let mut walk = Walk { definitions: generator.definitions(), path: vec![] };
    walk.value(schema.as_value(), &body, "", 0)
}

struct Walk<'a> {
    definitions: &'a Map<String, Value>,
    /// The fields on the way, as Go counts them: without keys of maps and places in lists.
    path: Vec<&'a str>,
}

/// A schema with what it is called, if it has a name.
struct Known<'a> {
    schema: &'a Value,
    name: &'a str,
}

impl<'a> Walk<'a> {
    fn resolve(&self, schema: &'a Value) -> Option<Known<'a>> {
        let Some(reference) = schema["$ref"].as_str() else {
            return Some(Known { schema, name: "" });
        };
        let name = reference.rsplit('/').next()?;
        let (name, schema) = self.definitions.get_key_value(name)?;
        Some(Known { schema, name })
    }

    /// What is wrong with `value`, which stands in a struct called `holder`.
    fn value(
        &mut self,
        schema: &'a Value,
        value: &'a Value,
        holder: &'a str,
        depth: usize,
    ) -> Option<String> {
        let Known { schema, name } = self.resolve(schema)?;
        // Types that read themselves have words of their own.
        if value.is_null() || depth == DEPTH || SPECIAL.iter().any(|own| name.starts_with(own)) {
            return None;
        }
        let fields = schema["properties"].as_object();
        match (schema["type"].as_str()?, value) {
            ("object", Value::Object(values)) => {
                let holder = if fields.is_some() { last(name) } else { holder };
                values.iter().find_map(|(key, value)| match fields {
                    Some(fields) => {
                        let (key, below) = fields.get_key_value(key)?;
                        self.path.push(key);
                        let found = self.value(below, value, holder, depth + 1);
                        self.path.pop();
                        found
                    }
                    None => {
                        let below = schema.get("additionalProperties")?;
                        self.value(below, value, holder, depth + 1)
                    }
                })
            }
            // Only what is known to have fields or members has a type in Go.
            ("object", _) if fields.is_none() && schema.get("additionalProperties").is_none() => {
                None
            }
            ("array", Value::Array(values)) => {
                let below = schema.get("items")?;
                values.iter().find_map(|value| self.value(below, value, holder, depth + 1))
            }
            ("string", Value::String(_)) | ("boolean", Value::Bool(_)) => None,
            ("integer", Value::Number(number)) => {
                let long = schema["format"] == "int64";
                let fits = number.as_i64().is_some_and(|n| long || i32::try_from(n).is_ok());
                (!fits).then(|| self.told(&format!("number {number}"), schema, name, holder))
            }
            ("number", Value::Number(_)) => None,
            _ => Some(self.told(word(value), schema, name, holder)),
        }
    }

    fn told(&self, given: &str, schema: &'a Value, name: &str, holder: &str) -> String {
        let wanted = self.go(schema, name);
        let path = self.path.join(".");
        format!("cannot unmarshal {given} into Go struct field {holder}.{path} of type {wanted}")
    }

    /// What Go calls a type.
    fn go(&self, schema: &'a Value, name: &str) -> String {
        let of = |schema: Option<&'a Value>| {
            let known = schema.and_then(|schema| self.resolve(schema));
            known.map_or_else(String::new, |known| self.go(known.schema, known.name))
        };
        if !name.is_empty() {
            let mut parts = name.rsplit('.');
            let kind = parts.next().unwrap_or_default();
            return format!("{}.{kind}", parts.next().unwrap_or_default());
        }
        match (schema["type"].as_str().unwrap_or_default(), schema["format"].as_str()) {
            ("integer", Some("int64")) => "int64".into(),
            ("integer", _) => "int32".into(),
            ("number", _) => "float64".into(),
            ("boolean", _) => "bool".into(),
            ("string", Some("byte")) => "[]uint8".into(),
            ("array", _) => format!("[]{}", of(schema.get("items"))),
            ("object", _) => format!("map[string]{}", of(schema.get("additionalProperties"))),
            _ => "string".into(),
        }
    }
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

/// What Go calls what was given.
fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    use super::*;

    #[test]
    fn wrong_types_are_told_as_go_does() {
        let containers = |container: Value| json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}, container]}}}});
        for (body, expected) in [
            (json!({"metadata": {"labels": {"a": 1}}}), "number ObjectMeta.metadata.labels string"),
            (
                json!({"metadata": {"labels": "x"}}),
                "string ObjectMeta.metadata.labels map[string]string",
            ),
            (json!({"metadata": []}), "array Deployment.metadata v1.ObjectMeta"),
            (json!({"spec": {"replicas": "3"}}), "string DeploymentSpec.spec.replicas int32"),
            (json!({"spec": {"replicas": 1.5}}), "number 1.5 DeploymentSpec.spec.replicas int32"),
            (
                json!({"spec": {"replicas": 3_000_000_000_u64}}),
                "number 3000000000 DeploymentSpec.spec.replicas int32",
            ),
            (json!({"spec": {"paused": "no"}}), "string DeploymentSpec.spec.paused bool"),
            (json!({"spec": "x"}), "string Deployment.spec v1.DeploymentSpec"),
            (
                containers(json!({"env": [{"name": "A", "value": 1}]})),
                "number EnvVar.spec.template.spec.containers.env.value string",
            ),
            (
                containers(json!({"env": {"A": "b"}})),
                "object Container.spec.template.spec.containers.env []v1.EnvVar",
            ),
            (
                containers(json!({"command": "sh"})),
                "string Container.spec.template.spec.containers.command []string",
            ),
        ] {
            let found = mistyped::<Deployment>(body.to_string().as_bytes()).unwrap();
            let short = found.replace("cannot unmarshal ", "").replace("into Go struct field ", "");
            assert_eq!(short.replace("of type ", ""), expected, "{body}");
        }
    }

    #[test]
    fn what_has_the_right_types_is_not_blamed() {
        for body in [
            json!({"spec": {"replicas": 3, "paused": null, "unknown": {"a": 1}}}),
            json!({"metadata": {"creationTimestamp": 5}}),
            json!([]),
        ] {
            let found = mistyped::<Deployment>(body.to_string().as_bytes());
            assert!(body.is_array() || found.is_none(), "{body}: {found:?}");
        }
    }
}
