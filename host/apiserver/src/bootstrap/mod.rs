//! The objects that every cluster has from its first moment on, as plain lists, and their making
//! where they are missing. What people have made of one of them since stays as it is. Goes through
//! the API like everybody; imports nothing but the kinds' types.

mod apiservices;

use std::fmt::Debug;

use coracle_api::clock;
use coracle_kinds::validation::SYSTEM_PRIORITIES;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::authz::policy;
use crate::registry::{SERVICE_RANGE, Table, seconds};
pub(crate) use apiservices::priorities;

/// Makes what is missing.
pub(crate) async fn run(client: &Client, table: &Table) -> kube::Result<()> {
    policy::reconcile(client).await?;
    // What is made at once shares the store's commits.
    futures::future::try_join5(
        ensure(client, priority_classes()),
        ensure(client, coracle_kinds::flowcontrol::priority_levels()),
        ensure(client, coracle_kinds::flowcontrol::flow_schemas()),
        ensure(client, apiservices::local(table)),
        service_range(client),
    )
    .await
    .map(drop)
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// The classes of priority of what a cluster cannot do without.
fn priority_classes() -> Vec<PriorityClass> {
    let class = |&(name, value): &(&str, i32)| PriorityClass {
        metadata: named(name),
        value: Some(value),
        description: Some(match name {
            "system-node-critical" => "Used for system critical pods that must not be moved from \
                                       their current node."
                .into(),
            _ => "Used for system critical pods that must run in the cluster, but can be moved to \
                  another node if necessary."
                .into(),
        }),
        ..PriorityClass::default()
    };
    SYSTEM_PRIORITIES.iter().map(class).collect()
}

/// The range that addresses of Services come from.
async fn service_range(client: &Client) -> kube::Result<()> {
    const NAME: &str = "kubernetes";
    let mut range = ServiceCIDR { metadata: named(NAME), ..ServiceCIDR::default() };
    range.spec.get_or_insert_default().cidrs = Some(vec![SERVICE_RANGE.into()]);
    if !create(client, &range).await? {
        return Ok(());
    }
    let status = json!({"status": {"conditions": [{
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "Kubernetes Service CIDR is ready",
        "lastTransitionTime": Time(seconds(clock::now())),
    }]}});
    let all = Api::<ServiceCIDR>::all(client.clone());
    all.patch_status(NAME, &PatchParams::default(), &Patch::Merge(status)).await.map(drop)
}

async fn ensure<K>(client: &Client, objects: Vec<K>) -> kube::Result<()>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug,
{
    futures::future::try_join_all(objects.iter().map(|object| create(client, object)))
        .await
        .map(drop)
}

/// Creates the object unless there is one of its name; whether it was created.
async fn create<K>(client: &Client, object: &K) -> kube::Result<bool>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug,
{
    match Api::<K>::all(client.clone()).create(&PostParams::default(), object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(false),
        Err(error) => Err(error),
    }
}
