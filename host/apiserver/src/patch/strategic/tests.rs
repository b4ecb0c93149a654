use super::*;
use serde_json::json;

fn pod() -> Schema {
    Schema::of_kind("", "v1", "Pod").unwrap()
}

fn patched(current: Value, patch: Value) -> Value {
    apply(current, patch, pod()).unwrap()
}

fn refused(current: Value, patch: Value) -> String {
    apply(current, patch, pod()).unwrap_err().to_string()
}

#[test]
fn maps_and_scalars() {
    assert_eq!(
        patched(
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeName": "x"}}),
            json!({"metadata": {"labels": {"b": null, "c": "3"}}, "spec": {"nodeName": "y"}}),
        ),
        json!({"metadata": {"labels": {"a": "1", "c": "3"}}, "spec": {"nodeName": "y"}}),
    );
    assert_eq!(
        patched(json!({}), json!({"spec": {"a": null, "nodeSelector": {"b": null, "c": "d"}}})),
        json!({"spec": {"nodeSelector": {"c": "d"}}}),
    );
}

#[test]
fn lists_merge_by_key() {
    let current = json!({"spec": {"containers": [
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]},
        {"name": "b", "image": "1"},
    ]}});
    assert_eq!(
        patched(
            current.clone(),
            json!({"spec": {"containers": [
                {"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]},
            ]}}),
        ),
        json!({"spec": {"containers": [
            {"name": "a", "image": "2", "env": [
                {"name": "Y", "value": "2"}, {"name": "X", "value": "1"},
            ]},
            {"name": "b", "image": "1"},
        ]}}),
    );
    // A new item comes first, as it cannot be compared with those that were there.
    assert_eq!(
        patched(current, json!({"spec": {"containers": [{"name": "c"}]}})),
        json!({"spec": {"containers": [
            {"name": "c"},
            {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]},
            {"name": "b", "image": "1"},
        ]}}),
    );
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    assert_eq!(
        patched(
            json!({"spec": {"tolerations": [{"key": "a"}], "containers": [{"name": "a", "args": ["1"]}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "a", "args": ["2"]}]}}),
        ),
        json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "a", "args": ["2"]}]}}),
    );
}

#[test]
fn items_are_deleted_and_lists_replaced() {
    let current = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
    assert_eq!(
        patched(
            current.clone(),
            json!({"spec": {"containers": [{"$patch": "delete", "name": "a"}]}}),
        ),
        json!({"spec": {"containers": [{"name": "b"}]}}),
    );
    assert_eq!(
        patched(current, json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}),),
        json!({"spec": {"containers": [{"name": "c"}]}}),
    );
}

#[test]
fn maps_are_replaced_and_deleted() {
    let current = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"nodeSelector": {"a": "1"}}});
    assert_eq!(
        patched(
            current,
            json!({
                "metadata": {"labels": {"$patch": "replace", "b": "2"}},
                "spec": {"nodeSelector": {"$patch": "delete"}},
            }),
        ),
        json!({"metadata": {"labels": {"b": "2"}}, "spec": {"nodeSelector": {}}}),
    );
}

#[test]
fn primitive_lists() {
    let current = json!({"metadata": {"finalizers": ["a", "b", "c"]}});
    assert_eq!(
        patched(current.clone(), json!({"metadata": {"finalizers": ["d", "a"]}})),
        json!({"metadata": {"finalizers": ["d", "a", "b", "c"]}}),
    );
    assert_eq!(
        patched(
            current.clone(),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b", "x"]}}),
        ),
        json!({"metadata": {"finalizers": ["a", "c"]}}),
    );
    assert_eq!(
        patched(
            current,
            json!({"metadata": {
                "$deleteFromPrimitiveList/finalizers": ["a"],
                "$setElementOrder/finalizers": ["c", "d", "b"],
                "finalizers": ["d"],
            }}),
        ),
        json!({"metadata": {"finalizers": ["c", "d", "b"]}}),
    );
}

#[test]
fn order() {
    let current =
        json!({"spec": {"containers": [{"name": "a"}, {"name": "server"}, {"name": "b"}]}});
    assert_eq!(
        patched(
            current.clone(),
            json!({"spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "b", "image": "1"}],
            }}),
        ),
        json!({"spec": {"containers": [
            {"name": "server"}, {"name": "b", "image": "1"}, {"name": "a"},
        ]}}),
    );
    assert_eq!(
        patched(
            current.clone(),
            json!({"spec": {
                "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
                "containers": [{"name": "c", "image": "1"}],
            }}),
        ),
        json!({"spec": {"containers": [
            {"name": "a"}, {"name": "server"}, {"name": "b"}, {"name": "c", "image": "1"},
        ]}}),
    );
    let error = refused(
        current,
        json!({"spec": {
            "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
            "containers": [{"name": "b"}, {"name": "a"}],
        }}),
    );
    assert!(error.contains("doesn't match $setElementOrder list"), "{error}");
}

#[test]
fn retained_keys() {
    let schema = Schema::of_kind("apps", "v1", "Deployment").unwrap();
    let current = json!({"spec": {"strategy": {
        "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1},
    }}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(
        apply(current.clone(), patch, schema).unwrap(),
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
    );
    let bad = json!({"spec": {"strategy": {"$retainKeys": ["x"], "type": "Recreate"}}});
    let error = apply(current, bad, schema).unwrap_err();
    assert_eq!(error, PatchError::Malformed("invalid patch format of retainKeys".into()));
}

#[test]
fn refusals() {
    let current = json!({"spec": {"containers": [{"name": "a"}]}});
    assert_eq!(
        refused(current.clone(), json!({"spec": {"containers": [{"image": "b"}]}})),
        "map: map[image:b] does not contain declared merge key: name",
    );
    assert_eq!(
        refused(current.clone(), json!({"spec": {"containers": [{"$patch": "x", "name": "a"}]}})),
        "Unknown patch type found: x",
    );
    assert_eq!(refused(current, json!({"spec": {"$patch": "x"}})), "Unknown patch type found: x",);
}
