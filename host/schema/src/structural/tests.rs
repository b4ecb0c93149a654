//! Schemas and values as CustomResourceDefinitions have them.

use serde_json::{Value, json};

use super::*;

fn props(json: Value) -> JSONSchemaProps {
    serde_json::from_value(json).unwrap()
}

fn schema(json: Value) -> Structural {
    Structural::new(&props(json)).unwrap()
}

fn lines(faults: Vec<coracle_api::cause::Cause>) -> Vec<String> {
    faults.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

/// The schema of an object with these fields.
fn object(properties: Value) -> Structural {
    schema(json!({"type": "object", "properties": properties}))
}

#[test]
fn unknown_fields_are_pruned() {
    let schema = object(json!({
        "a": {"type": "object", "properties": {"b": {"type": "string"}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {"type": "string"}}}},
        "any": {"x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object"}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "string"}}}},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true,
            "properties": {"spec": {"type": "object"}}},
    }));
    let mut value = json!({
        "apiVersion": "v1", "kind": "K", "metadata": {"name": "n"},
        "a": {"b": "1", "c": "2"},
        "map": {"k": {"x": "1", "y": "2"}},
        "any": {"free": {"z": 1}, "known": {"gone": 1}},
        "list": [{"n": "1", "m": "2"}],
        "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"s": 1}, "t": 1},
        "other": 1,
    });
    let unknown = prune::prune_and_tell(&mut value, &schema, true);
    assert_eq!(
        unknown,
        ["a.c", "any.known.gone", "list[0].m", "map.k.y", "other", "pod.spec.s", "pod.t"]
    );
    assert_eq!(
        value,
        json!({
            "apiVersion": "v1", "kind": "K", "metadata": {"name": "n"},
            "a": {"b": "1"}, "map": {"k": {"x": "1"}}, "any": {"free": {"z": 1}, "known": {}},
            "list": [{"n": "1"}],
            "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}},
        })
    );
}

#[test]
fn what_is_left_out_gets_its_default() {
    let schema = object(json!({
        "a": {"type": "string", "default": "x"},
        "b": {"type": "object", "default": {}, "properties": {"c": {"type": "integer", "default": 1}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"d": {"type": "string", "default": "y"}}}},
        "nothing": {"type": "string", "nullable": true, "default": "z"},
        "null": {"type": "string"},
    }));
    let mut value = json!({"a": null, "list": [{}, {"d": "q"}], "nothing": null, "null": null});
    default::default(&mut value, &schema);
    assert_eq!(
        value,
        json!({"a": "x", "b": {"c": 1}, "list": [{"d": "y"}, {"d": "q"}], "nothing": null})
    );
}

#[test]
fn values_are_checked_as_kubernetes_does() {
    let schema = object(json!({"spec": {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "maxLength": 3, "pattern": "^[a-z]+$"},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "multipleOf": 2},
        "share": {"type": "number", "exclusiveMaximum": true, "maximum": 1},
        "mode": {"type": "string", "enum": ["fast", "slow"]},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        "port": {"x-kubernetes-int-or-string": true},
        "map": {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 1},
        "when": {"type": "string", "format": "date-time"},
        "null": {"type": "string", "nullable": true},
        "one": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "any": {"type": "integer", "anyOf": [{"minimum": 10}, {"maximum": 0}]},
        "not": {"type": "string", "not": {"enum": ["x"]}},
    }}}));
    let faults = |spec: Value| lines(validate::validate("", &schema, &json!({"spec": spec}), None));
    assert_eq!(
        faults(json!({"name": "a", "replicas": 2, "share": 0.5, "mode": "fast", "list": ["a"],
            "port": "http", "map": {"a": true}, "when": "2024-01-01T00:00:00Z", "null": null,
            "one": {"a": ""}, "any": 20, "not": "y"})),
        Vec::<String>::new()
    );
    for (spec, expected) in [
        (json!({}), vec!["spec.name: Required value"]),
        (json!({"name": "abcd"}), vec!["spec.name: Too long: may not be more than 3 bytes"]),
        (
            json!({"name": "A"}),
            vec!["spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"],
        ),
        (
            json!({"name": "a", "replicas": "1"}),
            vec![
                "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
            ],
        ),
        (
            json!({"name": "a", "replicas": -1}),
            vec![
                "spec.replicas: Invalid value: -1: spec.replicas in body should be a multiple of 2",
                "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 1",
            ],
        ),
        (
            json!({"name": "a", "replicas": null}),
            vec![
                "spec.replicas: Invalid value: \"null\": spec.replicas in body must be of type integer: \"null\"",
            ],
        ),
        (
            json!({"name": "a", "share": 1.0}),
            vec!["spec.share: Invalid value: 1: spec.share in body should be less than 1"],
        ),
        (
            json!({"name": "a", "mode": "x"}),
            vec!["spec.mode: Unsupported value: \"x\": supported values: \"fast\", \"slow\""],
        ),
        (
            json!({"name": "a", "list": []}),
            vec!["spec.list: Invalid value: 0: spec.list in body should have at least 1 items"],
        ),
        (
            json!({"name": "a", "list": ["a", 1, "c"]}),
            vec![
                "spec.list[1]: Invalid value: \"integer\": spec.list[1] in body must be of type string: \"integer\"",
                "spec.list: Too many: 3: must have at most 2 items",
            ],
        ),
        (
            json!({"name": "a", "port": true}),
            vec![
                "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
            ],
        ),
        (
            json!({"name": "a", "map": {"a": 1}}),
            vec![
                "spec.map.a: Invalid value: \"integer\": spec.map.a in body must be of type boolean: \"integer\"",
            ],
        ),
        (
            json!({"name": "a", "when": "now"}),
            vec![
                "spec.when: Invalid value: \"now\": spec.when in body must be of type date-time: \"now\"",
            ],
        ),
        (
            json!({"name": "a", "one": {}}),
            vec![
                "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found none valid",
                "spec.one.a: Required value",
            ],
        ),
        (
            json!({"name": "a", "one": {"a": "", "b": ""}}),
            vec![
                "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            ],
        ),
        (
            json!({"name": "a", "any": 5}),
            vec![
                "<nil>: Invalid value: \"\": \"spec.any\" must validate at least one schema (anyOf)",
                "spec.any: Invalid value: 5: spec.any in body should be greater than or equal to 10",
            ],
        ),
        (
            json!({"name": "a", "not": "x"}),
            vec!["<nil>: Invalid value: \"\": \"spec.not\" must not validate the schema (not)"],
        ),
    ] {
        assert_eq!(faults(spec.clone()), expected, "{spec}");
    }
}

#[test]
fn what_was_wrong_before_may_stay() {
    let schema = object(json!({
        "a": {"type": "string", "maxLength": 1}, "b": {"type": "string", "maxLength": 1},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer", "maximum": 1}}}},
    }));
    let old = json!({"a": "long", "b": "x", "list": [{"k": "1", "v": 5}, {"k": "2", "v": 1}]});
    let new = json!({"a": "long", "b": "long", "list": [{"k": "0", "v": 1}, {"k": "1", "v": 5}]});
    let found = lines(validate::validate("", &schema, &new, Some(&old)));
    assert_eq!(found, ["b: Too long: may not be more than 1 bytes"]);
}

#[test]
fn sets_and_maps_hold_each_thing_once() {
    let schema = object(json!({
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
    }));
    let value = json!({"set": ["a", "b", "a", "a"], "map": [{"k": "1"}, {"k": "1"}, {"k": "2"}]});
    assert_eq!(
        lines(listtype::validate("", &schema, &value)),
        [r#"map[1]: Duplicate value: {"k":"1"}"#, r#"set[2]: Duplicate value: "a""#]
    );
}

#[test]
fn schemas_must_be_structural() {
    let path = "spec.validation.openAPIV3Schema";
    let faults = |json: Value| {
        let found = lines(definition::faults(path, &props(json), false));
        found.into_iter().map(|line| line.replace(path, "S")).collect::<Vec<_>>()
    };
    assert_eq!(
        faults(json!({"type": "object", "properties": {"metadata": {"type": "object"},
            "spec": {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}}})),
        Vec::<String>::new()
    );
    for (schema, expected) in [
        (json!({}), vec!["S.type: Required value: must not be empty at the root"]),
        (
            json!({"type": "object", "properties": {"a": {}}}),
            vec![
                "S.properties[a].type: Required value: must not be empty for specified object fields",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            vec!["S.properties[a].items: Required value: must be specified"],
        ),
        (
            json!({"type": "object", "anyOf": [{"type": "object", "properties": {"b": {"minimum": 1}}}]}),
            vec![
                "S.anyOf[0].type: Forbidden: must be empty to be structural",
                "S.properties[b]: Required value: because it is defined in S.anyOf[0].properties[b]",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string",
                "allOf": [{"x-kubernetes-validations": [{"rule": "true"}]}],
                "anyOf": [{"x-kubernetes-validations": [{"rule": "true"}]}],
                "oneOf": [{"allOf": [{"x-kubernetes-validations": [{"rule": "true"}]}]}],
                "not": {"x-kubernetes-validations": [{"rule": "true"}]}}}}),
            vec![
                "S.properties[a].anyOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural",
                "S.properties[a].allOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural",
                "S.properties[a].oneOf[0].allOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural",
                "S.properties[a].not.x-kubernetes-validations: Forbidden: must be empty to be structural",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "object",
                "additionalProperties": {"type": "string"},
                "allOf": [{"additionalProperties": {"minLength": 1}}]}}}),
            vec![
                "S.properties[a].allOf[0].additionalProperties: Forbidden: must be undefined to be structural",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "object",
                "additionalProperties": {"type": "string"},
                "allOf": [{"properties": {"b": {"minLength": 1}}}]}}}),
            vec![
                "S.properties[a].properties[b]: Required value: because it is defined in S.properties[a].allOf[0].properties[b]",
            ],
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            vec![
                "S.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "uniqueItems": true}}}),
            vec![
                "S.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "foo"}}}),
            vec![
                r#"S.properties[a].type: Unsupported value: "foo": supported values: "array", "boolean", "integer", "number", "object", "string""#,
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}}),
            vec![
                r#"S.properties[a].default: Invalid value: "string": .default in body must be of type integer: "string""#,
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "object", "default": {"b": 1}}}}),
            vec![
                r#"S.properties[a].default: Invalid value: {"b":1}: must not have unknown fields"#,
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}}}),
            vec![
                "S.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
            ],
        ),
        (
            json!({"type": "object", "x-kubernetes-validations": [{"rule": " "}]}),
            vec!["S.x-kubernetes-validations[0].rule: Required value: rule is not specified"],
        ),
    ] {
        let found = faults(schema.clone());
        let found: Vec<_> = found
            .into_iter()
            .map(|line| {
                line.replace(": S in body", ": .default in body")
                    .replace(":  in body", ": .default in body")
            })
            .collect();
        assert_eq!(found, expected, "{schema}");
    }
}

#[test]
fn rules_know_what_can_be_compared() {
    let schema = object(json!({
        "list": {"type": "array", "maxItems": 5, "items": {"type": "string",
            "x-kubernetes-validations": [{"rule": "self != ''"}]}},
        "map": {"type": "object", "additionalProperties": {"type": "string",
            "x-kubernetes-validations": [{"rule": "self != ''"}]}},
    }));
    let sites = definition::sites("S", &schema);
    let found: Vec<_> = sites
        .iter()
        .map(|site| (site.path.as_str(), site.cardinality, site.uncorrelatable.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("S.properties[list].items", Some(5), Some("S.properties[list]")),
            ("S.properties[map].additionalProperties", None, None),
        ]
    );
}

#[test]
fn selectable_fields_are_paths_to_scalars() {
    let schema = object(json!({"spec": {"type": "object", "properties": {
        "a": {"type": "string"}, "o": {"type": "object"}}}}));
    let fields = |paths: &[&str]| {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        lines(definition::selectable_fields("f", &paths, &schema))
    };
    assert_eq!(fields(&[".spec.a"]), Vec::<String>::new());
    assert_eq!(
        fields(&[".spec.a", ".spec.a", ".spec.b", ".spec.o", ".spec['a']"]),
        [
            r#"f[1].jsonPath: Duplicate value: ".spec.a""#,
            r#"f[2].jsonPath: Invalid value: ".spec.b": is an invalid path: does not refer to a valid field"#,
            r#"f[3].jsonPath: Invalid value: ".spec.o": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."#,
            r#"f[4].jsonPath: Invalid value: ".spec['a']": is an invalid path: array notation is not allowed"#,
        ]
    );
}

#[test]
fn embedded_resources_have_metadata() {
    let schema = object(json!({"pod": {"type": "object", "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true}}));
    let mut value = json!({"pod": {"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "odd": 1, "labels": {"a b": "c"}}}});
    let coerced = metadata::coerce(&schema, &mut value, false);
    assert_eq!(coerced.unknown, ["pod.metadata.odd"]);
    assert_eq!(value["pod"]["metadata"], json!({"name": "a", "labels": {"a b": "c"}}));
    let found = lines(metadata::validate(&schema, &mut value));
    assert!(found[0].starts_with("pod.metadata.labels: Invalid value: \"a b\""), "{found:?}");
    let mut bare = json!({"pod": {"metadata": {"name": 5}}});
    assert_eq!(metadata::coerce(&schema, &mut bare, false).faults.len(), 1);
    assert!(metadata::coerce(&schema, &mut bare, true).faults.is_empty());
    assert_eq!(
        lines(metadata::validate(&schema, &mut bare)),
        [
            "pod.apiVersion: Required value: must not be empty",
            "pod.kind: Required value: must not be empty",
        ]
    );
}
