//! The rules that objects must obey. Pure: an object in, its faults out, with Kubernetes' paths
//! and sentences (`k8s.io/kubernetes/pkg/apis/*/validation`). Knows no verbs and no store.

mod meta;

use k8s_openapi::api::apps::v1::*;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::*;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use crate::error::Cause;
use coracle_api::module::Module;

pub(crate) use coracle_api::meta::{
    dns_1035_label, dns_1123_label as dns_label, dns_1123_subdomain as dns_subdomain,
};

pub(crate) use meta::object_meta;

/// One fault for each complaint about `value`.
fn all(path: &str, value: &str, complaints: Vec<String>) -> Vec<Cause> {
    complaints.iter().map(|complaint| Cause::invalid(path, value, complaint)).collect()
}

/// A field that may not change.
pub(crate) fn immutable<T: PartialEq + serde::Serialize>(path: &str, new: &T, old: &T) -> Vec<Cause> {
    if new == old {
        return vec![];
    }
    let value = serde_json::to_value(new).unwrap_or_default();
    vec![Cause::invalid(path, value, "field is immutable")]
}

pub(crate) fn configmap(_: &ConfigMap) -> Vec<Cause> { vec![] }
pub(crate) fn configmap_update(_: &ConfigMap, _: &ConfigMap) -> Vec<Cause> { vec![] }
pub(crate) fn secret(_: &Secret) -> Vec<Cause> { vec![] }
pub(crate) fn secret_update(_: &Secret, _: &Secret) -> Vec<Cause> { vec![] }
pub(crate) fn lease(_: &Lease) -> Vec<Cause> { vec![] }
pub(crate) fn namespace(_: &Namespace) -> Vec<Cause> { vec![] }
pub(crate) fn namespace_status(_: &Namespace) -> Vec<Cause> { vec![] }
pub(crate) fn node(_: &Node) -> Vec<Cause> { vec![] }
pub(crate) fn node_update(_: &Node, _: &Node) -> Vec<Cause> { vec![] }
pub(crate) fn endpoints(_: &Endpoints) -> Vec<Cause> { vec![] }
pub(crate) fn endpointslice(_: &EndpointSlice) -> Vec<Cause> { vec![] }
pub(crate) fn event(_: &Event) -> Vec<Cause> { vec![] }
pub(crate) fn module(_: &Module) -> Vec<Cause> { vec![] }
pub(crate) fn replicaset(_: &ReplicaSet) -> Vec<Cause> { vec![] }
pub(crate) fn replicaset_status(_: &ReplicaSet) -> Vec<Cause> { vec![] }
pub(crate) fn deployment(_: &Deployment) -> Vec<Cause> { vec![] }
pub(crate) fn deployment_status(_: &Deployment, _: &Deployment) -> Vec<Cause> { vec![] }
pub(crate) fn service(_: &Service) -> Vec<Cause> { vec![] }
pub(crate) fn service_update(_: &Service, _: &Service) -> Vec<Cause> { vec![] }
pub(crate) fn pod(_: &Pod) -> Vec<Cause> { vec![] }
pub(crate) fn pod_status(_: &Pod, _: &Pod) -> Vec<Cause> { vec![] }
pub(crate) fn tolerations(_: &[Toleration], _: &str) -> Vec<Cause> { vec![] }
