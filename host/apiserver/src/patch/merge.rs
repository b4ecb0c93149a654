//! Merge patches (RFC 7386): maps are merged, null removes, everything else replaces.

use serde_json::Value;

pub(super) fn apply(mut current: Value, patch: Value) -> Value {
    json_patch::merge(&mut current, &patch);
    current
}

#[cfg(test)]
mod tests {
    use super::apply;
    use serde_json::json;

    #[test]
    fn merges() {
        let patched = apply(
            json!({"a": {"b": 1, "c": 2}, "l": [1]}),
            json!({"a": {"b": null, "d": 3}, "l": [2], "n": {"x": null}}),
        );
        assert_eq!(patched, json!({"a": {"c": 2, "d": 3}, "l": [2], "n": {}}));
    }
}
