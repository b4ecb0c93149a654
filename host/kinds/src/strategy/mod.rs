//! The table of built-in kinds: one line a kind, one file a kind for what is special about it
//! (names, defaults, what an update may touch, columns of `kubectl get`). The rules that objects
//! must obey stand in [`crate::validation`]. Knows nothing of HTTP or the store.

mod address;
mod admissionregistration;
mod apiservice;
mod certificatesigningrequest;
mod class;
mod componentstatus;
mod configmap;
mod controllerrevision;
mod cronjob;
mod customresourcedefinition;
mod daemonset;
mod deployment;
mod endpoints;
mod endpointslice;
mod event;
mod flowcontrol;
mod generation;
mod horizontalpodautoscaler;
mod ingress;
mod job;
mod lease;
mod legacy;
mod limitrange;
mod module;
mod namespace;
mod networkpolicy;
mod node;
mod persistentvolume;
mod persistentvolumeclaim;
mod pod;
mod poddisruptionbudget;
mod podtemplate;
mod rbac;
mod replicaset;
mod replicationcontroller;
mod resourcequota;
mod secret;
mod service;
mod serviceaccount;
mod statefulset;
mod storage;
mod table;

use std::sync::Arc;

use coracle_api::module::Module;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume,
    PersistentVolumeClaim, Pod, PodTemplate, ReplicationController, ResourceQuota, Secret, Service,
    ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::api::networking::v1::{
    IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

use crate::{Builtin, Kind};

pub(crate) use job::{CONTROLLER_UID, JOB_NAME};
pub use table::{AGE, NAME};
pub(crate) use table::{NAME_AND_AGE, name_and_age};

/// Every built-in kind, in the order of `kubectl api-resources`.
pub fn table() -> Vec<Arc<dyn Kind>> {
    let mut kinds = vec![
        Builtin::<ComponentStatus>::kind(),
        Builtin::<ConfigMap>::kind(),
        Builtin::<Endpoints>::kind(),
        Builtin::<Event>::kind(),
        Builtin::<LimitRange>::kind(),
        Builtin::<Namespace>::kind(),
        Builtin::<Node>::kind(),
        Builtin::<PersistentVolumeClaim>::kind(),
        Builtin::<PersistentVolume>::kind(),
        Builtin::<Pod>::kind(),
        Builtin::<PodTemplate>::kind(),
        Builtin::<ReplicationController>::kind(),
        Builtin::<ResourceQuota>::kind(),
        Builtin::<Secret>::kind(),
        Builtin::<ServiceAccount>::kind(),
        Builtin::<Service>::kind(),
        Builtin::<MutatingAdmissionPolicy>::kind(),
        Builtin::<MutatingAdmissionPolicyBinding>::kind(),
        Builtin::<MutatingWebhookConfiguration>::kind(),
        Builtin::<ValidatingAdmissionPolicy>::kind(),
        Builtin::<ValidatingAdmissionPolicyBinding>::kind(),
        Builtin::<ValidatingWebhookConfiguration>::kind(),
        Builtin::<APIService>::kind(),
        Builtin::<ControllerRevision>::kind(),
        Builtin::<DaemonSet>::kind(),
        Builtin::<CustomResourceDefinition>::kind(),
        Builtin::<Deployment>::kind(),
        Builtin::<ReplicaSet>::kind(),
        Builtin::<StatefulSet>::kind(),
        Builtin::<HorizontalPodAutoscaler>::kind(),
        Arc::new(horizontalpodautoscaler::v1()),
        Builtin::<CronJob>::kind(),
        Builtin::<Job>::kind(),
        Builtin::<CertificateSigningRequest>::kind(),
        Builtin::<Lease>::kind(),
        Builtin::<Module>::kind(),
        Builtin::<EndpointSlice>::kind(),
        Arc::new(event::v1()),
        Builtin::<FlowSchema>::kind(),
        Builtin::<PriorityLevelConfiguration>::kind(),
        Builtin::<IngressClass>::kind(),
        Builtin::<Ingress>::kind(),
        Builtin::<IPAddress>::kind(),
        Builtin::<NetworkPolicy>::kind(),
        Builtin::<ServiceCIDR>::kind(),
        Builtin::<RuntimeClass>::kind(),
        Builtin::<PodDisruptionBudget>::kind(),
        Builtin::<ClusterRoleBinding>::kind(),
        Builtin::<ClusterRole>::kind(),
        Builtin::<RoleBinding>::kind(),
        Builtin::<Role>::kind(),
        Builtin::<PriorityClass>::kind(),
        Builtin::<CSIDriver>::kind(),
        Builtin::<CSINode>::kind(),
        Builtin::<CSIStorageCapacity>::kind(),
        Builtin::<StorageClass>::kind(),
        Builtin::<VolumeAttachment>::kind(),
        Builtin::<VolumeAttributesClass>::kind(),
    ];
    // Behind all others, so that none is the preferred version of a group that has another.
    kinds.extend(
        legacy::versions().into_iter().map(|version| -> Arc<dyn Kind> { Arc::new(version) }),
    );
    kinds
}

#[cfg(test)]
mod tests;
