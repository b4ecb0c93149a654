//! Nulls in bodies. To Kubernetes a null is the same as nothing said, in a map of texts the empty
//! text; Rust types take it only where something may be missing.

use serde_json::{Map, Value};

/// The fields that are maps of texts.
const TEXT_MAPS: &[&str] =
    &["annotations", "data", "labels", "matchLabels", "nodeSelector", "selector", "stringData"];

/// `json` without its nulls; nothing if there are none or it is no JSON.
pub fn without_nulls(json: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    if !clear(&mut value, "") {
        return None;
    }
    serde_json::to_vec(&value).ok()
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
    use super::without_nulls;
    use serde_json::{Value, json};

    #[test]
    fn nulls_are_nothing() {
        let cleared = |value: Value| {
            let json = without_nulls(&serde_json::to_vec(&value).unwrap())?;
            Some(serde_json::from_slice::<Value>(&json).unwrap())
        };
        assert_eq!(cleared(json!({"a": [1, "b"]})), None);
        assert_eq!(
            cleared(json!({"metadata": {"labels": {"a": null, "b": "c"}}, "x": null,
                "spec": {"tags": null, "list": [{"y": null}]}})),
            Some(json!({"metadata": {"labels": {"a": "", "b": "c"}},
                "spec": {"list": [{}]}}))
        );
        assert_eq!(without_nulls(b"{"), None);
    }
}
