//! `extensions/v1beta1`, where much began that has a group of its own today.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use serde_json::{Map, Value, json};

use super::{default, select_template, spec, template_labels, unchanged, version};
use crate::strategy::daemonset::TEMPLATE_GENERATION;
use crate::{Names, Strategy, Version};

/// As often as can be said: without end.
const UNBOUNDED: i32 = i32::MAX;

pub(super) fn versions() -> Vec<Version> {
    // What is short means the kinds of today.
    const fn names(own: Names) -> Names {
        Names { group: "extensions", version: "v1beta1", short: &[], categories: &[], ..own }
    }
    vec![
        version::<DaemonSet>(names(DaemonSet::NAMES), daemon_set, daemon_set_out),
        version::<Deployment>(names(Deployment::NAMES), deployment, unchanged),
        version::<Ingress>(names(Ingress::NAMES), ingress, ingress_out),
        version::<NetworkPolicy>(names(NetworkPolicy::NAMES), unchanged, unchanged),
        version::<ReplicaSet>(names(ReplicaSet::NAMES), replica_set, unchanged),
    ]
}

/// Takes selector and labels from the template where there are none.
fn from_template(object: &mut Map<String, Value>) {
    let Some(own) = spec(object) else { return };
    select_template(own);
    let Some(labels) = template_labels(own) else { return };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        default(metadata, "labels", labels);
    }
}

fn replica_set(object: &mut Map<String, Value>) {
    from_template(object);
}

fn deployment(object: &mut Map<String, Value>) {
    from_template(object);
    let Some(spec) = spec(object) else { return };
    default(spec, "progressDeadlineSeconds", json!(UNBOUNDED));
    default(spec, "revisionHistoryLimit", json!(UNBOUNDED));
    default(spec, "strategy", json!({}));
    let Some(Value::Object(strategy)) = spec.get_mut("strategy") else { return };
    default(strategy, "type", json!("RollingUpdate"));
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        default(strategy, "rollingUpdate", json!({}));
        if let Some(Value::Object(rolling)) = strategy.get_mut("rollingUpdate") {
            default(rolling, "maxUnavailable", json!(1));
            default(rolling, "maxSurge", json!(1));
        }
    }
}

/// Daemons were replaced when they were deleted, and their templates counted in a field.
fn daemon_set(object: &mut Map<String, Value>) {
    from_template(object);
    let Some(spec) = spec(object) else { return };
    default(spec, "updateStrategy", json!({ "type": "OnDelete" }));
    spec.remove("templateGeneration");
}

fn daemon_set_out(object: &mut Map<String, Value>) {
    let annotations = object.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let count = annotations.and_then(|annotations| annotations.get(TEMPLATE_GENERATION));
    let count: Option<i64> = count.and_then(Value::as_str).and_then(|count| count.parse().ok());
    if let (Some(count), Some(spec)) = (count, spec(object)) {
        spec.insert("templateGeneration".into(), json!(count));
    }
}

fn ingress(object: &mut Map<String, Value>) {
    let Some(spec) = spec(object) else { return };
    if let Some(mut backend) = spec.remove("backend") {
        backend_into_hub(&mut backend);
        spec.insert("defaultBackend".into(), backend);
    }
    each_path(spec, &|path| {
        default(path, "pathType", json!("ImplementationSpecific"));
        path.get_mut("backend").into_iter().for_each(backend_into_hub);
    });
}

fn ingress_out(object: &mut Map<String, Value>) {
    let Some(spec) = spec(object) else { return };
    if let Some(mut backend) = spec.remove("defaultBackend") {
        backend_out_of_hub(&mut backend);
        spec.insert("backend".into(), backend);
    }
    each_path(spec, &|path| path.get_mut("backend").into_iter().for_each(backend_out_of_hub));
}

fn each_path(spec: &mut Map<String, Value>, change: &dyn Fn(&mut Map<String, Value>)) {
    let rules = spec.get_mut("rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let paths = rule.get_mut("http").and_then(|http| http.get_mut("paths")?.as_array_mut());
        paths.into_iter().flatten().filter_map(Value::as_object_mut).for_each(change);
    }
}

fn backend_into_hub(backend: &mut Value) {
    let Some(backend) = backend.as_object_mut() else { return };
    let name = backend.remove("serviceName");
    let port = backend.remove("servicePort");
    if name.is_none() && port.is_none() {
        return;
    }
    let mut service = Map::new();
    service.extend(name.map(|name| ("name".into(), name)));
    let port = port.map(|port| match port {
        Value::String(_) => json!({ "name": port }),
        _ => json!({ "number": port }),
    });
    service.extend(port.map(|port| ("port".into(), port)));
    backend.insert("service".into(), service.into());
}

fn backend_out_of_hub(backend: &mut Value) {
    let Some(backend) = backend.as_object_mut() else { return };
    let Some(Value::Object(mut service)) = backend.remove("service") else { return };
    backend.extend(service.remove("name").map(|name| ("serviceName".into(), name)));
    let port = service.get("port").and_then(|port| port.get("name").or(port.get("number")));
    backend.extend(port.map(|port| ("servicePort".into(), port.clone())));
}
