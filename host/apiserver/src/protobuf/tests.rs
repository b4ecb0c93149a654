use std::collections::HashSet;

use serde_json::{Value, json};

use super::schema::{self, Else, Field, Message, Type};
use super::{Kind, MAGIC, Malformed, decode, event};

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while number >= 128 {
        bytes.push((number & 127) as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn bytes(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn integer(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value.cast_unsigned())].concat()
}

fn body(version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let meta = [bytes(1, version), bytes(2, kind)].concat();
    [MAGIC.to_vec(), bytes(1, meta), bytes(2, raw), bytes(3, ""), bytes(4, "")].concat()
}

fn read(version: &str, kind: &str, raw: Vec<u8>) -> Value {
    serde_json::from_slice(&decode(&body(version, kind, raw)).unwrap().json).unwrap()
}

#[test]
fn empty_fields_are_left_out_unless_they_mean_something() {
    let meta = [
        bytes(1, "web"),
        bytes(2, ""),
        integer(7, 0),
        bytes(8, ""),
        bytes(11, [bytes(1, "app"), bytes(2, "web")].concat()),
    ];
    let spec = [integer(1, 0), integer(5, 0), integer(7, 0), integer(9, -1)];
    let raw = [bytes(1, meta.concat()), bytes(2, spec.concat())].concat();
    let expected = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": { "replicas": 0, "progressDeadlineSeconds": -1 },
    });
    assert_eq!(read("apps/v1", "Deployment", raw), expected);
}

#[test]
fn special_messages_read_as_in_json() {
    let quantity = |text: &str| bytes(1, text);
    let limits = [bytes(1, "cpu"), bytes(2, quantity("500m"))].concat();
    let path = [bytes(1, "/"), bytes(2, [integer(1, 1), integer(2, 0), bytes(3, "http")].concat())];
    let probe = [bytes(1, bytes(2, path.concat())), integer(2, 5)].concat();
    let container = [bytes(1, "main"), bytes(8, bytes(1, limits)), bytes(10, probe)].concat();
    let volume = [bytes(1, "data"), bytes(2, bytes(2, ""))].concat();
    let meta = bytes(8, [integer(1, 1_700_000_000), integer(2, 5)].concat());
    let raw = [bytes(1, meta), bytes(2, [bytes(1, volume), bytes(2, container)].concat())];
    let pod = read("v1", "Pod", raw.concat());
    assert_eq!(pod["metadata"]["creationTimestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(pod["spec"]["volumes"], json!([{ "name": "data", "emptyDir": {} }]));
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["cpu"], "500m");
    let probe = json!({
        "httpGet": { "path": "/", "port": "http" },
        "initialDelaySeconds": 5,
    });
    assert_eq!(container["livenessProbe"], probe);
}

#[test]
fn bytes_are_shown_in_base64() {
    let data = [bytes(1, "a"), bytes(2, "hello")].concat();
    let secret = read("v1", "Secret", bytes(2, data));
    assert_eq!(secret["data"]["a"], "aGVsbG8=");
}

#[test]
fn garbled_bodies_are_refused() {
    assert_eq!(decode(b"{}").unwrap_err(), Malformed::Magic);
    assert!(matches!(decode(&body("v1", "Nothing", vec![])), Err(Malformed::Kind { .. })));
    let whole = body("v1", "ConfigMap", bytes(1, bytes(1, "name")));
    for end in 0..whole.len() {
        // Whatever is cut off, the answer is an answer.
        let _ = decode(&whole[..end]);
    }
    assert!(matches!(
        decode(&body("v1", "ConfigMap", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])),
        Err(Malformed::Wire(_))
    ));
    let deep = (0..2000).fold(vec![], |inner, _| bytes(11, inner));
    let _ = decode(&body("apiextensions.k8s.io/v1", "CustomResourceDefinition", deep));
}

#[test]
fn what_nobody_knows_is_told() {
    let spec = bytes(2, [integer(1, 3), integer(99, 1), bytes(98, "new")].concat());
    let raw = [spec, bytes(77, "x")].concat();
    let decoded = decode(&body("apps/v1", "Deployment", raw)).unwrap();
    let json: Value = serde_json::from_slice(&decoded.json).unwrap();
    assert_eq!(json["spec"], json!({ "replicas": 3 }));
    assert_eq!(
        decoded.unknown,
        [
            "unknown field number 98 of apps/v1.DeploymentSpec in spec",
            "unknown field number 99 of apps/v1.DeploymentSpec in spec",
            "unknown field number 77 of apps/v1.Deployment in the object",
        ]
    );
}

/// A value that a field may hold. A message is filled where it is met first; elsewhere it is empty,
/// since it reads the same wherever it stands.
fn sample(field: &Field, seen: &mut HashSet<usize>) -> Value {
    let mut one = || match field.kind {
        Type::Text => json!("text \"quoted\" \u{e9}"),
        Type::Bool => json!(true),
        Type::Integer => json!(-7),
        Type::Float => json!(1.5),
        Type::Bytes => json!("aGVsbG8="),
        Type::Texts => json!(["a", "b"]),
        Type::Time => json!("2026-01-02T03:04:05Z"),
        Type::MicroTime => json!("2026-01-02T03:04:05.123456Z"),
        Type::Quantity => json!("1500m"),
        Type::IntOrString if field.number.is_multiple_of(2) => json!("http"),
        Type::IntOrString => json!(8080),
        Type::Json => json!({ "f:spec": { ".": {} } }),
        Type::SchemaOr(Else::Bool) => json!(field.number.is_multiple_of(2)),
        Type::SchemaOr(Else::Texts) => json!(["a", "b"]),
        Type::SchemaOr(Else::Schemas) => match schema::schema_props() {
            Type::Message(at) => json!([message(at, seen), message(at, seen)]),
            _ => json!([{}]),
        },
        Type::Message(at) => message(at, seen),
    };
    if field.map {
        json!({ "a/b": one(), "c": one() })
    } else if field.repeated {
        json!([one(), one()])
    } else {
        one()
    }
}

fn message(at: usize, seen: &mut HashSet<usize>) -> Value {
    if seen.insert(at) { filled(schema::message(at).unwrap(), seen) } else { json!({}) }
}

fn filled(message: &'static Message, seen: &mut HashSet<usize>) -> Value {
    message.every().map(|field| (field.name.to_string(), sample(field, seen))).collect()
}

#[test]
fn every_kind_is_read_as_it_was_written() {
    let mut kinds = 0;
    let mut seen = HashSet::new();
    for (group, package) in schema::GROUPS {
        for message in schema::all() {
            let Some((own, rest)) = message.name.split_once('/') else { continue };
            let Some((version, kind)) = rest.split_once('.') else { continue };
            if own != *package || schema::of_kind(&format!("{group}/{version}"), kind).is_none() {
                continue;
            }
            kinds += 1;
            let version =
                if group.is_empty() { version.into() } else { format!("{group}/{version}") };
            let mut object = filled(message, &mut seen);
            object["apiVersion"] = json!(version);
            object["kind"] = json!(kind);
            let (mut out, json) = (vec![], object.to_string());
            let found = Kind::find(&version, kind).unwrap();
            found.object(&version, kind, json.as_bytes(), &mut out).unwrap();
            let decoded = decode(&out).unwrap();
            assert_eq!(decoded.unknown, Vec::<String>::new());
            let read: Value = serde_json::from_slice(&decoded.json).unwrap();
            assert_eq!(read, object, "{}", message.name);
        }
    }
    assert!(kinds > 700, "{kinds}");
    assert!(seen.len() > 600, "{}", seen.len());
}

/// The names under which the types of the built-in kinds show their fields are those that have
/// numbers: nothing is lost on the way to a client.
#[test]
fn every_field_of_every_kind_has_a_number() {
    let mut generator = schemars::generate::SchemaSettings::draft07().into_generator();
    let mut checked = 0;
    for kind in coracle_kinds::table() {
        let names = kind.names();
        // Versions of old have no types whose fields could be compared.
        if &*names.group == "extensions" {
            continue;
        }
        let Some(message) = schema::of_kind(&names.api_version(), &names.kind) else { continue };
        let schema = kind.schema(&mut generator).to_value();
        let definitions = generator.definitions().clone();
        compare(message, &schema, &definitions, &mut vec![], &mut checked);
    }
    assert!(checked > 1000, "{checked}");
}

fn compare(
    message: &'static Message,
    schema: &Value,
    definitions: &serde_json::Map<String, Value>,
    seen: &mut Vec<&'static str>,
    checked: &mut usize,
) {
    let schema = resolved(schema, definitions);
    if seen.contains(&message.name.as_str()) {
        return;
    }
    seen.push(&message.name);
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        if matches!(name.as_str(), "apiVersion" | "kind") {
            continue;
        }
        *checked += 1;
        let field = message.shown(name);
        let (_, field) = field.unwrap_or_else(|| panic!("{} has no {name}", message.name));
        let Type::Message(inner) = field.kind else { continue };
        let mut inside = resolved(property, definitions);
        for part in ["items", "additionalProperties"] {
            if inside.get(part).is_some() {
                inside = resolved(&inside[part], definitions);
            }
        }
        compare(schema::message(inner).unwrap(), inside, definitions, seen, checked);
    }
}

/// What a schema that only refers to another one means.
fn resolved<'a>(schema: &'a Value, definitions: &'a serde_json::Map<String, Value>) -> &'a Value {
    let nested = schema["allOf"].get(0).or_else(|| {
        schema["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null"))
    });
    let schema = nested.unwrap_or(schema);
    let reference = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/"));
    match reference.and_then(|name| definitions.get(name)) {
        Some(found) => resolved(found, definitions),
        None => schema,
    }
}

#[test]
fn long_and_empty_content_has_its_length() {
    for size in [0, 1, 126, 127, 128, 200, 20_000, 3_000_000] {
        let text = "x".repeat(size);
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "a" }, "data": { "k": text },
        });
        let mut out = vec![];
        let kind = Kind::find("v1", "ConfigMap").unwrap();
        kind.object("v1", "ConfigMap", object.to_string().as_bytes(), &mut out).unwrap();
        let read: Value = serde_json::from_slice(&decode(&out).unwrap().json).unwrap();
        assert_eq!(read, object, "{size}");
        let frame = event("ADDED", &out);
        assert_eq!(frame[..4], u32::try_from(frame.len() - 4).unwrap().to_be_bytes());
    }
}

#[test]
fn what_is_no_object_of_the_kind_is_not_written() {
    let kind = Kind::find("v1", "Pod").unwrap();
    for json in [
        r#"{"spec":{"unheardOf":1}}"#,
        r#"{"spec":[]}"#,
        r#"{"metadata":{"name":1}}"#,
        r#"{"spec":{"containers":[{"ports":[{"containerPort":"x"}]}]}}"#,
        r#"{"metadata":{"creationTimestamp":"yesterday"}}"#,
        "{",
    ] {
        assert!(kind.object("v1", "Pod", json.as_bytes(), &mut vec![]).is_err(), "{json}");
    }
}
