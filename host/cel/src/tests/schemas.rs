//! Data under a schema: its types, names and lists; and objects that expressions make.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::{Activation, Budget, Env, Type, Value, escape, unescape};

fn schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "replicas": { "type": "integer" },
                    "ratio": { "type": "number" },
                    "namespace": { "type": "string" },
                    "foo-bar": { "type": "string" },
                    "port": { "x-kubernetes-int-or-string": true },
                    "since": { "type": "string", "format": "date-time" },
                    "day": { "type": "string", "format": "date" },
                    "wait": { "type": "string", "format": "duration" },
                    "blob": { "type": "string", "format": "byte" },
                    "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                    "set": { "type": "array", "items": { "type": "string" },
                        "x-kubernetes-list-type": "set" },
                    "other": { "type": "array", "items": { "type": "string" },
                        "x-kubernetes-list-type": "set" },
                    "ports": { "type": "array", "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": { "type": "object", "properties": {
                            "name": { "type": "string" }, "port": { "type": "integer" } } } },
                    "tree": { "$ref": "#/definitions/tree" },
                    "any": { "x-kubernetes-preserve-unknown-fields": true },
                    "open": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
                }
            }
        },
        "definitions": { "tree": { "type": "object", "properties": {
            "size": { "type": "integer" },
            "children": { "type": "array", "items": { "$ref": "#/definitions/tree" } } } } }
    })
}

fn data() -> Json {
    json!({
        "apiVersion": "v1", "kind": "Thing", "metadata": { "name": "x", "labels": {} },
        "spec": {
            "replicas": 3, "ratio": 2, "namespace": "ns", "foo-bar": "fb", "port": "http",
            "since": "2023-01-01T00:00:00Z", "day": "2023-01-02", "wait": "90s", "blob": "aGk=",
            "labels": { "a/b": "c", "namespace": "d" },
            "set": ["a", "b"], "other": ["b", "a"],
            "ports": [{ "name": "x", "port": 1 }, { "name": "y", "port": 2 }],
            "tree": { "size": 1, "children": [{ "size": 2, "children": [] }] },
            "any": 1, "open": { "hidden": 1 }
        }
    })
}

fn env() -> Env {
    let schema = schema();
    let document = Arc::new(schema.clone());
    let r#type = Type::of_schema("object", &schema, &document, true).unwrap();
    Env::new().variable("self", r#type.clone()).variable("old", r#type)
}

fn evaluate(expression: &str) -> Result<Json, String> {
    let (schema, data) = (schema(), data());
    let document = Arc::new(schema.clone());
    let r#type = Type::of_schema("object", &schema, &document, true).unwrap();
    let program = env().compile(expression, &[]).map_err(|error| error.to_string())?;
    let old = json!({ "spec": { "ports": [{ "name": "y", "port": 5 }, { "name": "z" }] } });
    let activation = Activation::new()
        .bind("self", Value::typed(&data, &r#type))
        .bind("old", Value::typed(&old, &r#type));
    let value = program.evaluate(&activation, &mut Budget::default());
    value.and_then(|value| value.to_json()).map_err(|error| error.to_string())
}

#[test]
fn typed_data() {
    for expression in [
        "self.spec.replicas + 1 == 4",
        "self.spec.ratio + 0.5 == 2.5",
        "type(self.spec.ratio) == double",
        "self.spec.__namespace__ == 'ns'",
        "self.spec.foo__dash__bar == 'fb'",
        "type(self.spec.port) == string && self.spec.port != 80",
        "self.spec.since.getFullYear() == 2023 && self.spec.day > self.spec.since",
        "self.spec.wait == duration('1m30s')",
        "self.spec.blob == b'hi'",
        "self.spec.labels['a/b'] == 'c' && self.spec.labels.namespace == 'd'",
        "self.spec.set == self.spec.other && self.spec.set + ['b', 'c'] == ['a', 'b', 'c']",
        "size(self.spec.ports + old.spec.ports) == 3 && (self.spec.ports + old.spec.ports)[1].port == 5",
        "self.spec.ports.filter(p, p.port == 2) + [] == self.spec.ports.filter(p, p.name == 'y')",
        "self.spec.ports.exists_one(p, p.name == 'x' && p.port == 1)",
        "self.spec.tree.children[0].size == 2 && self.spec.tree.children.all(c, has(c.size))",
        "self.metadata.name == 'x' && self.kind == 'Thing' && !has(self.metadata.generateName)",
        "self.spec == self.spec && self.spec.open == self.spec.open",
        "self.spec.tree.size < self.spec.tree.children.map(c, c.size).sum()",
    ] {
        assert_eq!(evaluate(expression), Ok(json!(true)), "{expression}");
    }
}

#[test]
fn what_the_schema_does_not_have() {
    for (expression, why) in [
        ("self.spec.nothing", "undefined field 'nothing'"),
        ("self.spec.any", "undefined field 'any'"),
        ("self.spec.open.hidden", "undefined field 'hidden'"),
        ("self.metadata.labels", "undefined field 'labels'"),
        ("self.spec.namespace", "undefined field 'namespace'"),
        ("self.spec.replicas == 'x'", "applied to '(int, string)'"),
        ("self.spec.ratio + 1 > 0.0", "applied to '(double, int)'"),
        ("self.spec.labels.size", "no such key: size"),
    ] {
        let found = evaluate(expression).unwrap_err();
        assert!(found.contains(why), "{expression}: {found}");
    }
}

#[test]
fn escapes() {
    for (name, escaped) in [
        ("plain", Some("plain")),
        ("namespace", Some("__namespace__")),
        ("a-b.c/d", Some("a__dash__b__dot__c__slash__d")),
        ("a__b", Some("a__underscores__b")),
        ("1a", None),
        ("", None),
        ("a b", None),
    ] {
        assert_eq!(escape(name).as_deref(), escaped, "{name}");
        if let Some(escaped) = escaped {
            assert_eq!(unescape(escaped).as_deref(), Some(name), "{escaped}");
        }
    }
    assert_eq!(unescape("a__unknown__b"), None);
}

#[test]
fn patches() {
    let env = Env::new().variable("object", Type::Dyn).patches();
    let object = json!({ "metadata": { "labels": { "a/b": "1" } } });
    let run = |expression: &str, wanted: &[Type]| {
        let program = env.compile(expression, wanted).map_err(|error| error.to_string())?;
        let activation = Activation::new().bind("object", Value::json(&object));
        let value = program.evaluate(&activation, &mut Budget::default());
        value.and_then(|value| value.to_json()).map_err(|error| error.to_string())
    };
    let patch = r#"[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("x/y~z"),
        value: "1"}, JSONPatch{op: "remove", path: "/spec"}]"#;
    let expected = json!([
        { "op": "add", "path": "/metadata/labels/x~1y~0z", "value": "1" },
        { "op": "remove", "path": "/spec" },
    ]);
    assert_eq!(run(patch, &[Type::list(Type::made("JSONPatch"))]), Ok(expected));
    let apply = r#"Object{metadata: Object.metadata{annotations: {"k": "v"}},
        spec: Object.spec{containers: [Object.spec.containers.item{name: "c", ?image: object.?x}]}}"#;
    let expected = json!({
        "metadata": { "annotations": { "k": "v" } },
        "spec": { "containers": [{ "name": "c" }] },
    });
    assert_eq!(run(apply, &[Type::made("Object")]), Ok(expected));
    for (expression, why) in [
        ("Object{spec: Object.status{}}", "unexpected type name \"Object.status\""),
        ("JSONPatch{foo: 1}", "undefined field 'foo'"),
        ("JSONPatch{op: 1}", "expected type of field 'op' is 'string' but provided type is 'int'"),
        ("Other{}", "undeclared reference to 'Other'"),
    ] {
        let found = run(expression, &[]).unwrap_err();
        assert!(found.contains(why), "{expression}: {found}");
    }
    assert_eq!(
        run("Object{}", &[Type::made("JSONPatch")]),
        Err("must evaluate to JSONPatch".into())
    );
}

#[test]
fn programs_say_what_they_use() {
    let env = Env::new().variable("variables", Type::Dyn).variable("object", Type::Dyn);
    let program = env.compile("variables.a && [1].exists(x, variables.b == x)", &[]).unwrap();
    assert!(program.uses("variables") && !program.uses("object"));
    assert_eq!(program.fields_of("variables").collect::<Vec<_>>(), ["a", "b"]);
}
