use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::builtin::schema_of_kind;
use crate::fieldset::FieldSet;
use crate::schema::Schema;
use crate::tree::Tree;

static DEPLOYMENT: LazyLock<Schema> =
    LazyLock::new(|| schema_of_kind("apps", "v1", "Deployment").unwrap());
static RESET: LazyLock<FieldSet<'static>> = LazyLock::new(|| FieldSet::of_fields(&[&["status"]]));

fn rules() -> Rules<'static> {
    Rules {
        schema: &DEPLOYMENT,
        api_version: "apps/v1",
        subresource: "",
        reset: &RESET,
        versions: &OneVersion,
    }
}

fn tree(value: &Value) -> Tree<'static> {
    Tree::parse(value.to_string().as_bytes()).unwrap().into_owned()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn by(name: &str, second: i64) -> Owner<'_> {
    Owner { name, now: at(second) }
}

/// An object and its owners, as writes leave them.
struct Object {
    value: Value,
    managed: Managed<'static>,
}

impl Object {
    fn empty() -> Self {
        Self { value: json!({}), managed: Managed::default() }
    }

    fn created(value: Value) -> Self {
        let mut value = value;
        value["metadata"]["uid"] = json!("u");
        let managed = rules().create(&tree(&value), by("creator", 1));
        Self { value, managed }
    }

    fn apply(&mut self, config: Value, name: &str, force: bool) -> Result<(), String> {
        let live = tree(&self.value);
        let applied = rules()
            .apply(self.managed.clone(), &live, &tree(&config), by(name, 2), force)
            .map_err(|error| error.to_string())?;
        self.value = serde_json::to_value(&applied.value).unwrap();
        self.managed = applied.managed;
        Ok(())
    }

    fn update(&mut self, value: Value, name: &str, second: i64) {
        rules().update(&mut self.managed, &tree(&self.value), &tree(&value), by(name, second));
        self.value = value;
    }

    /// The owners, as `name operation fields`.
    fn owners(&self) -> Vec<String> {
        let list: Value = serde_json::from_str(&self.managed.write()).unwrap();
        let line = |entry: &Value| {
            let word = |name: &str| entry[name].as_str().unwrap().to_owned();
            format!("{} {} {}", word("manager"), word("operation"), entry["fieldsV1"])
        };
        list.as_array().unwrap().iter().map(line).collect()
    }
}

fn config(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec})
}

#[test]
fn appliers_share_what_they_agree_on() {
    let mut object = Object::empty();
    object.apply(config(json!({"replicas": 1, "paused": false})), "a", false).unwrap();
    object.apply(config(json!({"replicas": 1})), "b", false).unwrap();
    assert_eq!(
        object.owners(),
        [
            r#"b Apply {"f:spec":{"f:replicas":{}}}"#,
            r#"a Apply {"f:spec":{"f:paused":{},"f:replicas":{}}}"#,
        ]
    );
    let conflict = object.apply(config(json!({"replicas": 2})), "b", false).unwrap_err();
    assert_eq!(conflict, "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas");
    object.apply(config(json!({"replicas": 2})), "b", true).unwrap();
    assert_eq!(object.value["spec"], json!({"replicas": 2, "paused": false}));
    assert_eq!(
        object.owners(),
        [r#"a Apply {"f:spec":{"f:paused":{}}}"#, r#"b Apply {"f:spec":{"f:replicas":{}}}"#]
    );
    // What its applier no longer mentions goes, if nobody else owns it.
    object.apply(config(json!({})), "a", false).unwrap();
    assert_eq!(object.value["spec"], json!({"replicas": 2}));
}

#[test]
fn an_updater_is_in_the_way_too() {
    let mut object = Object::created(config(json!({"replicas": 1, "paused": true})));
    let conflict = object.apply(config(json!({"replicas": 2})), "a", false).unwrap_err();
    assert_eq!(
        conflict,
        "Apply failed with 1 conflict: conflict with \"creator\" using apps/v1: .spec.replicas"
    );
    let both = config(json!({"replicas": 2, "paused": false}));
    let conflict = object.apply(both, "a", false).unwrap_err();
    assert_eq!(
        conflict,
        "Apply failed with 2 conflicts: conflicts with \"creator\" using apps/v1:\n- \
         .spec.paused\n- .spec.replicas"
    );
    // What an updater owns is not pruned.
    object.apply(config(json!({"replicas": 1, "paused": true})), "a", false).unwrap();
    object.apply(config(json!({})), "a", false).unwrap();
    assert_eq!(object.value["spec"], json!({"replicas": 1, "paused": true}));
}

#[test]
fn objects_without_owners_have_one_before() {
    let mut object = Object::created(config(json!({"replicas": 1})));
    object.managed = Managed::default();
    let conflict = object.apply(config(json!({"replicas": 2})), "a", false).unwrap_err();
    assert!(conflict.contains("conflict with \"before-first-apply\" using apps/v1"), "{conflict}");
    object.apply(config(json!({"replicas": 1})), "a", false).unwrap();
    assert_eq!(object.owners().len(), 2);
}

#[test]
fn items_of_lists_are_merged_and_pruned() {
    let containers = |list: Value| config(json!({"template": {"spec": {"containers": list}}}));
    let mut object = Object::empty();
    let both = json!([{"name": "x", "image": "1"}, {"name": "y", "image": "1"}]);
    object.apply(containers(both), "a", false).unwrap();
    object.apply(containers(json!([{"name": "z", "image": "1"}])), "b", false).unwrap();
    object.apply(containers(json!([{"name": "y", "image": "2"}])), "a", false).unwrap();
    let names: Vec<_> = object.value["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| (container["name"].clone(), container["image"].clone()))
        .collect();
    assert_eq!(names, [(json!("y"), json!("2")), (json!("z"), json!("1"))]);
}

#[test]
fn updates_take_what_they_change() {
    let mut object = Object::created(config(json!({"replicas": 1, "paused": true})));
    object.update(config(json!({"replicas": 2, "paused": true, "minReadySeconds": 1})), "u", 5);
    let creator = r#"creator Update {"f:spec":{"f:paused":{}}}"#;
    assert_eq!(
        object.owners(),
        [creator, r#"u Update {"f:spec":{"f:minReadySeconds":{},"f:replicas":{}}}"#]
    );
    // What is removed is nobody's; what may not be touched is not looked at.
    let mut less = config(json!({"replicas": 2, "paused": true}));
    less["status"] = json!({"replicas": 7});
    object.update(less, "v", 6);
    assert_eq!(object.owners(), [creator, r#"u Update {"f:spec":{"f:replicas":{}}}"#]);
    assert_eq!(object.managed.entries().iter().map(|e| e.time).max(), Some(Some(at(5))));
}

#[test]
fn updaters_are_counted() {
    let mut object = Object::created(config(json!({"replicas": 0})));
    for round in 1..=12 {
        let mut value = object.value.clone();
        value["metadata"]["labels"][format!("l{round:02}")] = json!("x");
        object.update(value, &format!("u{round:02}"), 10 + round);
    }
    let owners = object.owners();
    assert_eq!(owners.len(), 10, "{owners:#?}");
    assert!(owners[0].starts_with("ancient-changes Update "), "{owners:#?}");
    for field in ["f:replicas", "f:l01", "f:l02", "f:l03"] {
        assert!(owners[0].contains(field), "{owners:#?}");
    }
    assert!(owners[1].starts_with("u04 Update "), "{owners:#?}");
}

#[test]
fn kubectl_takes_over_what_it_applied_by_itself() {
    let applied = config(json!({"replicas": 1}));
    let mut live = applied.clone();
    live["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": applied.to_string()});
    let mut object = Object::created(live);
    let next = config(json!({"replicas": 3}));
    assert!(object.apply(next.clone(), "other", false).is_err());
    object.apply(next.clone(), "kubectl", false).unwrap();
    let kept = &object.value["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    assert_eq!(serde_json::from_str::<Value>(kept.as_str().unwrap()).unwrap(), next);
    // What somebody else changed since is still his.
    let mut changed = object.value.clone();
    changed["spec"]["replicas"] = json!(9);
    object.update(changed, "hand", 9);
    let conflict = object.apply(next, "kubectl", false).unwrap_err();
    assert!(conflict.contains("\"hand\""), "{conflict}");
}

#[test]
fn lists_of_owners() {
    let list = json!([
        {"manager": "b", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:02Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:a": {}}, "subresource": "status"},
        {"manager": "a", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T02:00:01+02:00",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:b": {}}},
        {"manager": "z", "operation": "Apply", "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:b": {}}},
    ])
    .to_string();
    let managed = Managed::read(list.as_bytes()).unwrap();
    let written = managed.write();
    assert_eq!(
        written,
        concat!(
            r#"[{"manager":"z","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:b":{}}},"#,
            r#"{"manager":"a","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:01Z","fieldsType":"FieldsV1","fieldsV1":{"f:b":{}}},"#,
            r#"{"manager":"b","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:02Z","fieldsType":"FieldsV1","fieldsV1":{"f:a":{}},"subresource":"status"}]"#,
        )
    );
    let mut later = managed.clone();
    later.0[1].time = Some(at(99));
    assert_eq!(later.with_times_of(&managed).unwrap(), managed);
    later.0[1].fields = FieldSet::default();
    assert_eq!(later.with_times_of(&managed), None);
    for (bad, why) in [
        (json!([{"manager": "a"}]), "operation must be `Apply` or `Update`"),
        (json!([{"operation": "Apply"}]), "apiVersion must not be empty"),
        (
            json!([{"operation": "Apply", "apiVersion": "v1"}]),
            "missing fieldsType in managed fields entry 0",
        ),
        (
            json!([{"operation": "Apply", "apiVersion": "v1", "fieldsType": "V2"}]),
            "invalid fieldsType \"V2\" in managed fields entry 0",
        ),
    ] {
        let bad = bad.to_string();
        assert_eq!(Managed::read(bad.as_bytes()).unwrap_err().to_string(), why);
    }
}
