use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::builtin::schema_of_kind;
use crate::fieldset::FieldSet;
use crate::schema::Schema;
use crate::tree::Tree;

/// A kind with one field of each sort.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::of_custom_resource(&json!({"type": "object", "properties": {
        "n": {"type": "integer"},
        "s": {"type": "string"},
        "b": {"type": "boolean"},
        "any": {"x-kubernetes-int-or-string": true},
        "struct": {"type": "object", "properties": {
            "a": {"type": "string"}, "b": {"type": "string"}}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
            "a": {"type": "string"}, "b": {"type": "string"}}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "list": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "items": {"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "properties": {
                "port": {"type": "integer"},
                "protocol": {"type": "string", "default": "TCP"},
                "name": {"type": "string"},
                "tags": {"type": "object", "additionalProperties": {"type": "string"}}}}},
    }}))
});

fn tree(value: &Value) -> Tree<'static> {
    Tree::parse(value.to_string().as_bytes()).unwrap().into_owned()
}

fn text(set: &FieldSet<'_>) -> String {
    let mut text = String::new();
    set.write(&mut text);
    text
}

fn json(tree: &Tree<'_>) -> Value {
    serde_json::to_value(tree).unwrap()
}

#[test]
fn fields_of_a_configuration() {
    for (value, expected) in [
        (json!({}), "{}"),
        (json!({"n": 1, "s": null}), r#"{"f:n":{},"f:s":{}}"#),
        (json!({"struct": {"a": "x"}}), r#"{"f:struct":{"f:a":{}}}"#),
        (json!({"struct": {}}), r#"{"f:struct":{}}"#),
        (json!({"whole": {"a": "x"}}), r#"{"f:whole":{}}"#),
        (json!({"map": {"a": "x"}}), r#"{"f:map":{"f:a":{}}}"#),
        (json!({"free": {"a": {"b": [1]}}}), r#"{"f:free":{"f:a":{".":{},"f:b":{}}}}"#),
        (json!({"list": ["a"]}), r#"{"f:list":{}}"#),
        (json!({"list": []}), r#"{"f:list":{}}"#),
        (json!({"set": ["b", "a"]}), r#"{"f:set":{"v:\"a\"":{},"v:\"b\"":{}}}"#),
        (json!({"set": []}), "{}"),
        (
            json!({"items": [{"port": 80, "name": "x"}]}),
            r#"{"f:items":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}}}"#,
        ),
        // Items that cannot be told apart.
        (
            json!({"items": [{"port": 80, "name": "x"}, {"port": 80, "name": "y"}]}),
            r#"{"f:items":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{}}}"#,
        ),
    ] {
        assert_eq!(text(&fields(&tree(&value), &SCHEMA)), expected, "{value}");
    }
}

#[test]
fn differences() {
    // Old, new; removed, modified, added.
    for (old, new, removed, modified, added) in [
        (json!({"n": 1}), json!({"n": 1.0}), "{}", "{}", "{}"),
        (json!({"n": 1}), json!({"n": 2}), "{}", r#"{"f:n":{}}"#, "{}"),
        (json!({"n": 1}), json!({"s": "x"}), r#"{"f:n":{}}"#, "{}", r#"{"f:s":{}}"#),
        (json!({}), json!({"struct": {"a": "x"}}), "{}", "{}", r#"{"f:struct":{".":{},"f:a":{}}}"#),
        (
            json!({"struct": {}}),
            json!({"struct": {"a": "x"}}),
            "{}",
            "{}",
            r#"{"f:struct":{"f:a":{}}}"#,
        ),
        (json!({"struct": {}}), json!({"struct": null}), "{}", r#"{"f:struct":{}}"#, "{}"),
        (
            json!({"whole": {"a": "x"}}),
            json!({"whole": {"a": "x", "b": "y"}}),
            "{}",
            r#"{"f:whole":{}}"#,
            "{}",
        ),
        (json!({"list": ["a"]}), json!({"list": ["a", "b"]}), "{}", r#"{"f:list":{}}"#, "{}"),
        (
            json!({"set": ["a", "b"]}),
            json!({"set": ["c", "a"]}),
            r#"{"f:set":{"v:\"b\"":{}}}"#,
            "{}",
            r#"{"f:set":{"v:\"c\"":{}}}"#,
        ),
        // The order of items is nobody's.
        (json!({"set": ["a", "b"]}), json!({"set": ["b", "a"]}), "{}", "{}", "{}"),
        (
            json!({"items": [{"port": 1, "name": "x"}, {"port": 2}]}),
            json!({"items": [{"port": 1, "protocol": "TCP", "name": "y"}, {"port": 3}]}),
            r#"{"f:items":{"k:{\"port\":2,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}"#,
            r#"{"f:items":{"k:{\"port\":1,\"protocol\":\"TCP\"}":{"f:name":{}}}}"#,
            r#"{"f:items":{"k:{\"port\":1,\"protocol\":\"TCP\"}":{"f:protocol":{}},"k:{\"port\":3,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}"#,
        ),
        // Another form altogether.
        (
            json!({"free": {"a": {"b": 1}}}),
            json!({"free": {"a": [1]}}),
            r#"{"f:free":{"f:a":{"f:b":{}}}}"#,
            r#"{"f:free":{"f:a":{}}}"#,
            "{}",
        ),
        // Twice the same item before, after, and both.
        (
            json!({"set": ["a", "a"]}),
            json!({"set": ["a"]}),
            r#"{"f:set":{"v:\"a\"":{}}}"#,
            "{}",
            r#"{"f:set":{"v:\"a\"":{}}}"#,
        ),
        (json!({"set": ["a", "a"]}), json!({"set": ["a", "a"]}), "{}", "{}", "{}"),
    ] {
        let found = compare(&tree(&old), &tree(&new), &SCHEMA);
        let found = [text(&found.removed), text(&found.modified), text(&found.added)];
        assert_eq!(found, [removed, modified, added], "{old} {new}");
    }
}

#[test]
fn merging() {
    for (live, config, expected) in [
        (json!({"n": 1, "s": "x"}), json!({"n": 2}), json!({"n": 2, "s": "x"})),
        (
            json!({"struct": {"a": "x"}, "whole": {"a": "x"}, "map": {"a": "x"}}),
            json!({"struct": {"b": "y"}, "whole": {"b": "y"}, "map": {"b": "y"}}),
            json!({"struct": {"a": "x", "b": "y"}, "whole": {"b": "y"}, "map": {"a": "x", "b": "y"}}),
        ),
        (json!({"list": ["a"]}), json!({"list": ["b"]}), json!({"list": ["b"]})),
        (json!({"set": ["a", "b"]}), json!({"set": ["c", "a"]}), json!({"set": ["c", "a", "b"]})),
        // Items keep their places until the configuration orders them.
        (
            json!({"set": ["a", "b", "c", "d"]}),
            json!({"set": ["d", "b"]}),
            json!({"set": ["a", "c", "d", "b"]}),
        ),
        (
            json!({"items": [{"port": 1, "name": "x"}, {"port": 2, "name": "y"}]}),
            json!({"items": [{"port": 2, "tags": {"a": "b"}}, {"port": 3}]}),
            json!({"items": [{"port": 1, "name": "x"},
                {"port": 2, "name": "y", "tags": {"a": "b"}}, {"port": 3}]}),
        ),
        (
            json!({"free": {"a": {"b": 1}}}),
            json!({"free": {"a": {"c": 1}}}),
            json!({"free": {"a": {"b": 1, "c": 1}}}),
        ),
        (json!({"free": {"a": {"b": 1}}}), json!({"free": {"a": 1}}), json!({"free": {"a": 1}})),
    ] {
        let merged = merge(&tree(&live), &tree(&config), &SCHEMA).unwrap();
        assert_eq!(json(&merged), expected, "{live} {config}");
    }
    let twice = json!({"items": [{"port": 1}, {"port": 1}]});
    let error = merge(&tree(&json!({"items": [{"port": 2}]})), &tree(&twice), &SCHEMA).unwrap_err();
    assert_eq!(error.to_string(), r#".items: duplicate entries for key [port=1,protocol="TCP"]"#);
}

#[test]
fn removing() {
    let value = json!({"n": 1, "struct": {"a": "x", "b": "y"}, "whole": {"a": "x"},
        "set": ["a", "b"], "items": [{"port": 1, "name": "x"}, {"port": 2, "tags": {"a": "b"}}]});
    for (gone, expected) in [
        (
            r#"{"f:n":{},"f:struct":{"f:a":{}}}"#,
            json!({"struct": {"b": "y"}, "whole": {"a": "x"},
            "set": value["set"], "items": value["items"]}),
        ),
        (
            r#"{"f:struct":{".":{},"f:a":{}},"f:n":{},"f:whole":{},"f:items":{}}"#,
            json!({"set": ["a", "b"]}),
        ),
        (
            r#"{"f:n":{},"f:struct":{},"f:whole":{},"f:set":{"v:\"a\"":{}},
            "f:items":{"k:{\"port\":1,\"protocol\":\"TCP\"}":{},
                "k:{\"port\":2,\"protocol\":\"TCP\"}":{"f:tags":{"f:a":{}}}}}"#,
            json!({"set": ["b"], "items": [{"port": 2, "tags": null}]}),
        ),
    ] {
        let set = FieldSet::read(gone.as_bytes()).unwrap();
        assert_eq!(json(&remove(&tree(&value), &set, &SCHEMA)), expected, "{gone}");
    }
}

#[test]
fn faults() {
    for (value, expected) in [
        (json!({"n": "x"}), ".n: expected numeric (int or float), got string"),
        (json!({"s": 1}), ".s: expected string, got &value.valueUnstructured{Value:1}"),
        (json!({"b": "x"}), ".b: expected boolean, got &{x}"),
        (json!({"any": {"a": 1}}), ".any: expected any scalar, got &{map[a:1]}"),
        (json!({"x": 1}), ".x: field not declared in schema"),
        (json!({"struct": {"c": 1}}), ".struct.c: field not declared in schema"),
        (json!({"struct": [1, "a"]}), ".struct: expected map, got &{[1 a]}"),
        (json!({"list": "a"}), ".list: expected list, got &{a}"),
        (
            json!({"list": ["a", 1]}),
            ".list[1]: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            json!({"items": [{"name": "a"}]}),
            ".items: element 0: associative list with keys has an element that omits key field \
             \"port\" (and doesn't have default value)",
        ),
        (
            json!({"items": [{"port": 1, "bad": 1}]}),
            r#".items[port=1,protocol="TCP"].bad: field not declared in schema"#,
        ),
        (
            json!({"n": "x", "s": 1}),
            "errors:\n  .n: expected numeric (int or float), got string\n  .s: expected string, \
             got &value.valueUnstructured{Value:1}",
        ),
        (json!({"set": ["a", "a"]}), r#".set: duplicate entries for key [="a"]"#),
    ] {
        let error = validate(&tree(&value), &SCHEMA, false).unwrap_err();
        assert_eq!(error.to_string(), expected, "{value}");
    }
    assert!(validate(&tree(&json!({"set": ["a", "a"]})), &SCHEMA, true).is_ok());
    let fine = json!({"n": null, "free": {"a": [1, {"b": null}]}, "any": "5%"});
    assert!(validate(&tree(&fine), &SCHEMA, false).is_ok());
}

#[test]
fn a_new_pod() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "main", "image": "i", "resources": {},
            "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
            "securityContext": {}, "dnsPolicy": "ClusterFirst"},
        "status": {}});
    let schema = schema_of_kind("", "v1", "Pod").unwrap();
    // What has no pointer in Go's types was there before.
    let expected = concat!(
        r#"{"f:apiVersion":{},"f:kind":{},"f:metadata":{"f:labels":{".":{},"f:app":{}},"f:name":{}},"#,
        r#""f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:image":{},"f:name":{},"#,
        r#""f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"#,
        r#""f:containerPort":{},"f:protocol":{}}},"f:resources":{}}},"#,
        r#""f:dnsPolicy":{},"f:securityContext":{}}}"#,
    );
    assert_eq!(text(&created(&tree(&pod), &schema)), expected);
}
