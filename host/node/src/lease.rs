//! The node's lease in `kube-node-lease`: renewed every ten seconds, its loss means the node's.

use std::time::Duration;

use coracle_api::clock;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::MissedTickBehavior;

const NAMESPACE: &str = "kube-node-lease";
const DURATION: Duration = Duration::from_secs(40);
const RENEWAL: Duration = Duration::from_secs(10);

/// Renews the lease of `node` for ever.
pub(crate) async fn keep(client: Client, node: Node) {
    let api: Api<Lease> = Api::namespaced(client, NAMESPACE);
    let mut held: Option<Lease> = None;
    let mut ticks = tokio::time::interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match renew(&api, &node, held.take()).await {
            Ok(lease) => held = Some(lease),
            Err(error) => tracing::warn!(%error, "renewing the node's lease"),
        }
    }
}

async fn renew(api: &Api<Lease>, node: &Node, held: Option<Lease>) -> kube::Result<Lease> {
    let name = node.metadata.name.clone().unwrap_or_default();
    let known = match held {
        Some(lease) => Some(lease),
        None => api.get_opt(&name).await?,
    };
    let Some(mut lease) = known else {
        return api.create(&PostParams::default(), &fresh(node)).await;
    };
    let now = MicroTime(clock::now());
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(name.clone());
    spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
    spec.renew_time = Some(now);
    api.replace(&name, &PostParams::default(), &lease).await
}

fn fresh(node: &Node) -> Lease {
    let name = node.metadata.name.clone().unwrap_or_default();
    Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(NAMESPACE.into()),
            owner_references: node.metadata.uid.clone().map(|uid| {
                vec![OwnerReference {
                    api_version: "v1".into(),
                    kind: "Node".into(),
                    name: name.clone(),
                    uid,
                    ..Default::default()
                }]
            }),
            ..Default::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(MicroTime(clock::now())),
            ..Default::default()
        }),
    }
}
