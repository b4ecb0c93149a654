//! What Kubernetes reads in bodies and Rust types do not. A null is the same as nothing said, in a
//! map of texts the empty text; the types take it only where something may be missing. Bytes in
//! base64 may be broken into lines.

use serde_json::{Map, Value};

/// The fields that are maps of texts.
const TEXT_MAPS: &[&str] =
    &["annotations", "data", "labels", "matchLabels", "nodeSelector", "selector", "stringData"];

/// `json` without its nulls, and without line ends in the encoded bytes at the paths `bytes`, in
/// which `*` is every item; nothing if there are none or it is no JSON.
pub fn as_go_reads(json: &[u8], bytes: &[&[&str]]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let mut any = clear(&mut value, "");
    for path in bytes {
        any |= unfold(&mut value, path);
    }
    if !any {
        return None;
    }
    serde_json::to_vec(&value).ok()
}

/// Takes the line ends out of the text at `path`. Whether there were any.
fn unfold(value: &mut Value, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return match value {
            Value::String(text) if text.contains(['\r', '\n']) => {
                text.retain(|letter| !matches!(letter, '\r' | '\n'));
                true
            }
            _ => false,
        };
    };
    match (value, *first) {
        (Value::Array(items), "*") => {
            items.iter_mut().fold(false, |any, item| unfold(item, rest) | any)
        }
        (Value::Object(map), "*") => {
            map.values_mut().fold(false, |any, item| unfold(item, rest) | any)
        }
        (Value::Object(map), name) => map.get_mut(name).is_some_and(|item| unfold(item, rest)),
        _ => false,
    }
}

/// Clears the value of the field `name` of nulls. Whether there were any.
fn clear(value: &mut Value, name: &str) -> bool {
    match value {
        Value::Array(items) => {
            let mut any = false;
            for item in items {
                any |= clear(item, "");
            }
            any
        }
        Value::Object(map) => clear_map(map, TEXT_MAPS.contains(&name)),
        _ => false,
    }
}

fn clear_map(map: &mut Map<String, Value>, texts: bool) -> bool {
    let mut any = false;
    // A map of texts has nothing but texts in it; other fields may have the same name.
    let texts = texts && map.values().all(|value| value.is_string() || value.is_null());
    if texts {
        for value in map.values_mut().filter(|value| value.is_null()) {
            *value = Value::String(String::new());
            any = true;
        }
        return any;
    }
    map.retain(|_, value| {
        any |= value.is_null();
        !value.is_null()
    });
    for (name, value) in map.iter_mut() {
        any |= clear(value, name);
    }
    any
}

#[cfg(test)]
mod tests {
    use super::as_go_reads;
    use serde_json::{Value, json};

    #[test]
    fn nulls_are_nothing() {
        let cleared = |value: Value| {
            let json = as_go_reads(&serde_json::to_vec(&value).unwrap(), &[])?;
            Some(serde_json::from_slice::<Value>(&json).unwrap())
        };
        assert_eq!(cleared(json!({"a": [1, "b"]})), None);
        assert_eq!(
            cleared(json!({"metadata": {"labels": {"a": null, "b": "c"}}, "x": null,
                "spec": {"tags": null, "list": [{"y": null}]}})),
            Some(json!({"metadata": {"labels": {"a": "", "b": "c"}},
                "spec": {"list": [{}]}}))
        );
        assert_eq!(as_go_reads(b"{", &[]), None);
    }

    #[test]
    fn bytes_may_be_broken_into_lines() {
        let body = json!({"data": {"a": "YQ\r\n==\n", "b": "YQ=="}, "metadata": {"name": "x\n"},
            "list": [{"ca": "a\nb"}, {"ca": 1}, "c\nd"]});
        let paths: &[&[&str]] = &[&["data", "*"], &["list", "*", "ca"], &["none", "*"]];
        let read = as_go_reads(&serde_json::to_vec(&body).unwrap(), paths).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&read).unwrap(),
            json!({"data": {"a": "YQ==", "b": "YQ=="}, "metadata": {"name": "x\n"},
                "list": [{"ca": "ab"}, {"ca": 1}, "c\nd"]})
        );
    }
}
