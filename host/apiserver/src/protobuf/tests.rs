use serde_json::{Value, json};

use super::{MAGIC, Malformed, to_json};

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
    serde_json::from_slice(&to_json(&body(version, kind, raw)).unwrap()).unwrap()
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
    assert_eq!(to_json(b"{}").unwrap_err(), Malformed::Magic);
    assert!(matches!(to_json(&body("v1", "Nothing", vec![])), Err(Malformed::Kind { .. })));
    let whole = body("v1", "ConfigMap", bytes(1, bytes(1, "name")));
    for end in 0..whole.len() {
        // Whatever is cut off, the answer is an answer.
        let _ = to_json(&whole[..end]);
    }
    assert!(matches!(
        to_json(&body("v1", "ConfigMap", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])),
        Err(Malformed::Wire(_))
    ));
    let deep = (0..2000).fold(vec![], |inner, _| bytes(11, inner));
    let _ = to_json(&body("apiextensions.k8s.io/v1", "CustomResourceDefinition", deep));
}
