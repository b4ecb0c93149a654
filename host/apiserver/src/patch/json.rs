//! JSON patches: a list of operations (RFC 6902).

use json_patch::PatchOperation;
use serde_json::Value;

use super::PatchError;

/// The most operations that one patch may have.
const MAX_OPERATIONS: usize = 10_000;

pub(super) fn apply(mut current: Value, patch: &[u8]) -> Result<Value, PatchError> {
    let patch: json_patch::Patch = serde_json::from_slice(patch)
        .map_err(|error| PatchError::Malformed(format!("error decoding patch: {error}")))?;
    let actual = patch.0.len();
    if actual > MAX_OPERATIONS {
        return Err(PatchError::TooLong { max: MAX_OPERATIONS, actual });
    }
    // The tree is thrown away on errors: there is nothing to roll back.
    for operation in &patch.0 {
        if is_absent(&current, operation) {
            continue;
        }
        json_patch::patch_unsafe(&mut current, std::slice::from_ref(operation)).map_err(|_| {
            let text = "the server rejected our request due to an error in our request";
            PatchError::Unfit(text.into())
        })?;
    }
    Ok(current)
}

/// Whether the operation tests that a field is not there, and it is not: in Go, what is missing
/// equals null.
fn is_absent(current: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let path = test.path.as_str();
    let parent = path.rsplit_once('/').and_then(|(parent, _)| current.pointer(parent));
    test.value.is_null() && parent.is_some_and(Value::is_object) && current.pointer(path).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations() {
        let patch =
            br#"[{"op":"test","path":"/a","value":1},{"op":"replace","path":"/a","value":2},
            {"op":"add","path":"/b/-","value":3},{"op":"remove","path":"/c"}]"#;
        let patched = apply(json!({"a": 1, "b": [], "c": 0}), patch).unwrap();
        assert_eq!(patched, json!({"a": 2, "b": [3]}));
    }

    #[test]
    fn what_is_missing_equals_null() {
        let patch =
            br#"[{"op":"test","path":"/a/b","value":null},{"op":"add","path":"/a/b","value":1}]"#;
        assert_eq!(apply(json!({"a": {}}), patch).unwrap(), json!({"a": {"b": 1}}));
        assert!(apply(json!({"a": {"b": 2}}), patch).is_err());
        assert!(apply(json!({}), patch).is_err());
    }

    #[test]
    fn faults() {
        let unfit = apply(json!({}), br#"[{"op":"remove","path":"/a"}]"#).unwrap_err();
        assert!(matches!(unfit, PatchError::Unfit(_)));
        let failed = apply(json!({"a": 1}), br#"[{"op":"test","path":"/a","value":2}]"#);
        assert!(matches!(failed, Err(PatchError::Unfit(_))));
        assert!(matches!(apply(json!({}), b"{}"), Err(PatchError::Malformed(_))));
        let many = format!("[{}]", vec![r#"{"op":"test","path":"","value":{}}"#; 10_001].join(","));
        assert!(matches!(apply(json!({}), many.as_bytes()), Err(PatchError::TooLong { .. })));
    }
}
