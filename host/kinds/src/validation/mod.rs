//! The rules that objects must obey. Pure: an object in, its faults out, with Kubernetes' paths
//! and sentences (`k8s.io/kubernetes/pkg/apis/*/validation`). Knows no verbs and no store.

mod address;
mod admissionregistration;
mod apiservice;
mod certificates;
mod class;
mod container;
mod cronjob;
mod customresourcedefinition;
mod daemonset;
mod data;
mod endpoints;
mod event;
mod flowcontrol;
mod horizontalpodautoscaler;
mod ingress;
mod job;
mod limitrange;
mod meta;
mod module;
mod namespace;
mod networkpolicy;
mod node;
mod node_selector;
mod nulls;
mod number;
mod persistentvolume;
mod persistentvolumeclaim;
mod placement;
mod pod;
mod poddisruptionbudget;
mod probe;
mod rbac;
mod resourcequota;
mod resources;
mod security;
mod selector;
mod service;
mod statefulset;
mod storage;
mod strict;
mod template;
mod toleration;
mod volume;
mod webhook_client;
mod workload;

use coracle_api::cause::Cause;
use serde::Serialize;

pub(crate) use address::{
    ip_address, ip_address_name, ip_address_update, service_cidr, service_cidr_update,
};
pub(crate) use admissionregistration::{
    mutating_admission_policy, mutating_admission_policy_binding, mutating_webhook_configuration,
    validating_admission_policy, validating_admission_policy_binding,
    validating_admission_policy_status, validating_webhook_configuration,
};
pub(crate) use apiservice::{api_service, api_service_status};
pub(crate) use certificates::certificate_signing_request;
pub(crate) use certificates::{Setting, certificate_signing_request_update};
pub use class::SYSTEM_PRIORITIES;
pub(crate) use class::{
    priority_class, priority_class_update, runtime_class, runtime_class_update,
};
pub use coracle_api::meta::dns_1123_subdomain as dns_subdomain;
pub(crate) use coracle_api::meta::{dns_1035_label, dns_1123_label as dns_label, path_segment};
pub(crate) use cronjob::cronjob;
pub(crate) use customresourcedefinition::{
    customresourcedefinition, customresourcedefinition_status, customresourcedefinition_update,
};
pub(crate) use daemonset::{daemonset, daemonset_status};
pub(crate) use data::{configmap, configmap_update, secret, secret_update};
pub(crate) use endpoints::{endpoints, endpointslice};
pub(crate) use event::{event, lease, new_event, new_event_update};
pub(crate) use flowcontrol::{
    flow_schema, flow_schema_status, priority_level, priority_level_status,
};
pub(crate) use horizontalpodautoscaler::{horizontalpodautoscaler, horizontalpodautoscaler_status};
pub(crate) use ingress::{
    ingress, ingress_class, ingress_class_update, ingress_create, ingress_status,
};
pub(crate) use job::{job, job_status, job_update};
pub(crate) use limitrange::limitrange;
pub use meta::{annotations, labels, object_meta};
pub(crate) use module::module;
pub(crate) use namespace::{namespace, namespace_status};
pub(crate) use networkpolicy::network_policy;
pub(crate) use node::{node, node_update};
pub use nulls::as_go_reads;
pub(crate) use persistentvolume::{persistent_volume, persistent_volume_update};
pub(crate) use persistentvolumeclaim::{
    persistent_volume_claim, persistent_volume_claim_status, persistent_volume_claim_update,
};
pub(crate) use pod::ephemeral_containers;
pub(crate) use pod::{pod, pod_create, pod_status};
pub(crate) use poddisruptionbudget::{poddisruptionbudget, poddisruptionbudget_status};
pub(crate) use rbac::{cluster_role, cluster_role_binding, role, role_binding, role_ref_update};
pub(crate) use resourcequota::{resourcequota, resourcequota_status, resourcequota_update};
pub(crate) use service::{service, service_update};
pub(crate) use statefulset::{
    controllerrevision, statefulset, statefulset_status, statefulset_update,
};
pub(crate) use storage::{
    csi_driver, csi_driver_update, csi_node, csi_node_update, csi_storage_capacity,
    csi_storage_capacity_update, storage_class, storage_class_update, volume_attachment,
    volume_attachment_status, volume_attributes_class, volume_attributes_class_update,
};
pub use strict::repeated_fields;
pub(crate) use strict::unknown_field;
pub(crate) use template::podtemplate;
pub(crate) use toleration::tolerations;
pub(crate) use workload::{
    deployment, deployment_status, replicaset, replicaset_status, replicationcontroller,
    replicationcontroller_status,
};

/// What is to be complained of in a text.
type Rule = fn(&str) -> Vec<String>;

/// One fault for each complaint about `value`.
fn all(path: &str, value: &str, complaints: Vec<String>) -> Vec<Cause> {
    complaints.iter().map(|complaint| Cause::invalid(path, value, complaint)).collect()
}

/// A field that may not change.
pub(crate) fn immutable<T: PartialEq + Serialize>(path: &str, new: &T, old: &T) -> Vec<Cause> {
    if new == old {
        return vec![];
    }
    let value = serde_json::to_value(new).unwrap_or_default();
    vec![Cause::invalid(path, value, "field is immutable")]
}

/// A text that must be given and be one of `valid`.
fn one_of(path: &str, text: Option<&str>, valid: &[&str]) -> Option<Cause> {
    match text.unwrap_or_default() {
        "" => Some(Cause::required(path, "")),
        text if valid.contains(&text) => None,
        text => Some(Cause::not_supported(path, text, valid)),
    }
}

/// Whether a text is given.
fn filled(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use coracle_api::cause::Cause;

    /// The faults as lines of text.
    pub(super) fn lines(faults: Vec<Cause>) -> Vec<String> {
        faults.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    /// An object from JSON.
    pub(super) fn object<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
        serde_json::from_value(json).unwrap()
    }
}
