//! What holds for every kind, and the rules of single kinds that are not worth a file.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Part, Strategy};

fn object<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// A created object: completed, and cleared of what its creator may not set.
pub(super) fn created<T: Strategy>(json: Value) -> T {
    let mut object: T = object(json);
    object.default_fields();
    object.prepare_create();
    object
}

/// `old` updated by `change`, a merge patch.
fn updated<T: Strategy>(old: &T, change: Value, part: Part) -> T {
    let mut value = serde_json::to_value(old).unwrap();
    json_patch::merge(&mut value, &change);
    let mut new: T = object(value);
    new.default_fields();
    new.prepare_update(old, part);
    new
}

fn cells<T: Strategy>(object: &T) -> Vec<(&'static str, Value)> {
    T::COLUMNS.iter().map(|column| &*column.name).zip(object.row()).collect()
}

pub(super) fn cell<T: Strategy>(object: &T, name: &str) -> Value {
    cells(object).into_iter().find(|(column, _)| *column == name).unwrap().1
}

#[test]
fn rows_fit_columns_and_selectors_their_values() {
    for kind in super::table() {
        let names = kind.names();
        let bare = json!({"apiVersion": names.api_version(),
            "kind": names.kind, "metadata": {"name": "a"},
            "spec": {"tags": [], "selector": {}}});
        let bare = serde_json::to_vec(&bare).unwrap();
        let mut object = kind.restore(&bare).unwrap();
        for _ in 0..2 {
            assert_eq!(kind.row(&*object).len(), kind.columns().len(), "{}", names.kind);
            assert_eq!(kind.select(&*object).len(), kind.selectable().len(), "{}", names.kind);
            kind.default(&mut *object);
            kind.prepare_create(&mut *object);
        }
        let once = object.json().unwrap();
        kind.default(&mut *object);
        assert_eq!(object.json().unwrap(), once, "{}: defaults are not stable", names.kind);
    }
}

fn deployment() -> Deployment {
    created(json!({
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
        "status": {"replicas": 7},
    }))
}

#[test]
fn deployments() {
    let old = deployment();
    let spec = serde_json::to_value(&old.spec).unwrap();
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["revisionHistoryLimit"], 10);
    assert_eq!(spec["progressDeadlineSeconds"], 600);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert!(spec["template"]["spec"].get("enableServiceLinks").is_none());
    assert_eq!(old.status, Some(Default::default()));
    assert_eq!(old.metadata.generation, Some(1));

    let scaled =
        updated(&old, json!({"spec": {"replicas": 3}, "status": {"replicas": 3}}), Part::Main);
    assert_eq!(scaled.metadata.generation, Some(2));
    assert_eq!(scaled.status, old.status);
    let same = updated(&old, json!({"metadata": {"labels": {"a": "b"}}}), Part::Main);
    assert_eq!(same.metadata.generation, Some(1));
    let annotated = updated(&old, json!({"metadata": {"annotations": {"a": "b"}}}), Part::Main);
    assert_eq!(annotated.metadata.generation, Some(2));

    let status = json!({"spec": {"replicas": 9}, "status": {"replicas": 1, "readyReplicas": 1}});
    let reported = updated(&old, status, Part::Status);
    assert_eq!(reported.spec, old.spec);
    assert_eq!(cell(&reported, "Ready"), "1/1");
    assert_eq!(cell(&reported, "Images"), "i");
    assert_eq!(cell(&reported, "Selector"), "app=a");
    assert_eq!(reported.scale().unwrap().selector, "app=a");
    let moved =
        updated(&old, json!({"spec": {"selector": {"matchLabels": {"app": "b"}}}}), Part::Main);
    assert_eq!(moved.validate_update(&old, Part::Main)[0].field, "spec.selector");
}

#[test]
fn replicasets() {
    let set: ReplicaSet = created(json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}));
    assert_eq!(set.spec.as_ref().unwrap().replicas, Some(1));
    assert_eq!(cell(&set, "Desired"), 1);
    assert_eq!(cell(&set, "Selector"), "a=b");
}

#[test]
fn services() {
    let old: Service = created(json!({"spec": {
        "type": "NodePort", "clusterIP": "10.96.0.5", "selector": {"a": "b"},
        "ports": [{"port": 80, "nodePort": 30080}],
    }}));
    let spec = serde_json::to_value(&old.spec).unwrap();
    assert_eq!(spec["clusterIPs"], json!(["10.96.0.5"]));
    assert_eq!(spec["ipFamilies"], json!(["IPv4"]));
    assert_eq!(spec["ipFamilyPolicy"], "SingleStack");
    assert_eq!(spec["externalTrafficPolicy"], "Cluster");
    assert_eq!(spec["internalTrafficPolicy"], "Cluster");
    assert_eq!(spec["sessionAffinity"], "None");
    assert_eq!(spec["ports"][0]["targetPort"], 80);
    assert_eq!(cell(&old, "Port(s)"), "80:30080/TCP");
    assert_eq!(cell(&old, "External-IP"), "<none>");

    // What was allocated stays when the manifest is applied again as it was written.
    let again = json!({"spec": {"clusterIP": null, "clusterIPs": null, "ports": [{"port": 80}]}});
    let again = updated(&old, again, Part::Main);
    assert_eq!(again.spec, old.spec);
    // It goes when the service no longer has a use for it.
    let inner = updated(&old, json!({"spec": {"type": "ClusterIP"}}), Part::Main);
    assert_eq!(inner.spec.as_ref().unwrap().ports.as_ref().unwrap()[0].node_port, None);
    assert_eq!(inner.validate(), []);
    let name = json!({"spec": {"type": "ExternalName", "externalName": "x.y"}});
    let name = updated(&old, name, Part::Main);
    assert_eq!(name.spec.as_ref().unwrap().cluster_ip, None);
    assert_eq!(name.validate(), []);
    assert_eq!(name.validate_update(&old, Part::Main), []);
}

#[test]
fn namespaces() {
    let namespace: Namespace = created(json!({"metadata": {"name": "n"}}));
    assert_eq!(
        serde_json::to_value(&namespace).unwrap(),
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
    );
    let emptied = updated(&namespace, json!({"spec": {"finalizers": []}}), Part::Main);
    assert_eq!(emptied.spec, namespace.spec);
}

#[test]
fn secrets() {
    let secret: Secret = created(json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}}));
    let value = serde_json::to_value(&secret).unwrap();
    assert_eq!(value["data"], json!({"a": "eA==", "b": "eQ=="}));
    assert_eq!(value["type"], "Opaque");
    assert!(value.get("stringData").is_none());
    assert_eq!(cell(&secret, "Data"), "2");
}

#[test]
fn nodes() {
    let node: Node = created(json!({
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/edge": "", "kubernetes.io/role": "a"}},
        "spec": {"unschedulable": true},
        "status": {"capacity": {"memory": "1024Mi"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
    }));
    assert_eq!(cell(&node, "Status"), "Ready,SchedulingDisabled");
    assert_eq!(cell(&node, "Roles"), "a,edge");
    assert_eq!(cell(&node, "Internal-IP"), "10.0.0.1");
    assert_eq!(cell(&node, "OS-Image"), "<unknown>");
    let allocatable = node.status.unwrap().allocatable.unwrap();
    assert_eq!(allocatable["memory"].0, "1Gi");
}

#[test]
fn pods() {
    let pod: Pod = created(json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a", "image": "b", "resources": {"limits": {"cpu": "1"}}}]},
        "status": {"phase": "Running"},
    }));
    let status = pod.status.clone().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(status.qos_class.as_deref(), Some("Burstable"));
    assert_eq!(pod.grace(), 0);
    let bound = updated(&pod, json!({"spec": {"nodeName": "n"}}), Part::Main);
    assert_eq!(bound.grace(), 30);
    assert_eq!(bound.metadata.generation, Some(2));
    let over = updated(&bound, json!({"status": {"phase": "Failed"}}), Part::Status);
    assert_eq!(over.grace(), 0);
    assert_eq!(over.status.unwrap().qos_class.as_deref(), Some("Burstable"));
}

#[test]
fn nulls_are_nothing() {
    let table = super::table();
    let kind = table.iter().find(|kind| &*kind.names().kind == "ConfigMap").unwrap();
    let body =
        br#"{"metadata": {"name": "a", "labels": {"x": null}}, "data": {"k": null}, "y": null}"#;
    let decoded = kind.decode(body).unwrap();
    let value: Value = serde_json::from_slice(&decoded.object.json().unwrap()).unwrap();
    assert_eq!(value["data"], json!({"k": ""}));
    assert_eq!(value["metadata"]["labels"], json!({"x": ""}));
    assert!(kind.decode(br#"{"data": {"k": 1}}"#).is_err());
}

/// kubectl warns of short names that mean several kinds, and `get all` would show objects twice.
#[test]
fn what_is_short_means_the_kinds_of_today() {
    let kinds = super::table();
    let old = |names: &crate::ApiResource| {
        &*names.group == "extensions" || names.version.contains("alpha")
    };
    let old: Vec<_> = kinds.iter().map(|kind| kind.names()).filter(|names| old(names)).collect();
    assert!(old.len() > 7, "{old:?}");
    for names in old {
        assert!(names.short.is_empty() && names.categories.is_empty(), "{names:?}");
    }
}
