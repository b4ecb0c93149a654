//! A pretended node: it renews its lease and says of each of its pods that it runs, unless its image
//! is `broken`; one of image `exits-3` ends a second later with that code. Asked to go, pods go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use coracle_api::clock;
use coracle_api::conditions::Condition;
use futures::StreamExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};

const LEASE: Duration = Duration::from_secs(10);
/// For how long a pod runs that ends by itself.
const RUN: Duration = Duration::from_secs(1);

/// Whether a node is heard of.
#[derive(Clone, Default)]
pub(crate) struct Health(Arc<AtomicBool>);

impl Health {
    pub(crate) fn cut_off(&self, is_cut_off: bool) {
        self.0.store(is_cut_off, Ordering::SeqCst);
    }

    fn is_cut_off(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) async fn register(client: &Client, name: &str, changes: Value) {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    });
    json_patch::merge(&mut node, &changes);
    let node: Node = serde_json::from_value(node).unwrap();
    let api = Api::<Node>::all(client.clone());
    api.create(&PostParams::default(), &node).await.unwrap();
    renew(client, name).await;
    post_status(client, name).await;
}

async fn post_status(client: &Client, name: &str) {
    let ready = NodeCondition::new("Ready", "True", "KubeletReady", "pretending");
    let capacity = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    let status = json!({"status": {
        "capacity": capacity, "allocatable": capacity, "conditions": [ready]}});
    let api = Api::<Node>::all(client.clone());
    let patch = Patch::Strategic(status);
    api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn renew(client: &Client, name: &str) {
    let api = Api::<Lease>::namespaced(client.clone(), "kube-node-lease");
    let spec = LeaseSpec {
        holder_identity: Some(name.to_owned()),
        renew_time: Some(MicroTime(clock::now())),
        lease_duration_seconds: Some(40),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let lease = Lease { metadata, spec: Some(spec) };
    let patch = Patch::Merge(json!({"spec": lease.spec}));
    match api.patch(name, &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            api.create(&PostParams::default(), &lease).await.unwrap();
        }
        result => drop(result.unwrap()),
    }
}

/// Lives until it is dropped.
pub(crate) async fn run(client: Client, name: String, health: Health) {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={name}"));
    let pods = watcher::watcher(Api::<Pod>::all(client.clone()), config);
    let mut pods = std::pin::pin!(pods);
    let mut leases = tokio::time::interval(LEASE);
    let mut was_cut_off = false;
    let mut known = Vec::new();
    loop {
        tokio::select! {
            _ = leases.tick() => {
                if health.is_cut_off() {
                    was_cut_off = true;
                    continue;
                }
                renew(&client, &name).await;
                if std::mem::take(&mut was_cut_off) {
                    post_status(&client, &name).await;
                    for pod in std::mem::take(&mut known) {
                        look_after(&client, &pod).await;
                    }
                }
            }
            Some(event) = pods.next() => {
                if let Event::Apply(pod) | Event::InitApply(pod) = event.unwrap() {
                    if health.is_cut_off() {
                        known.push(pod);
                    } else {
                        look_after(&client, &pod).await;
                    }
                }
            }
        }
    }
}

static NEXT_ADDRESS: AtomicU32 = AtomicU32::new(1);

async fn look_after(client: &Client, pod: &Pod) {
    let name = pod.metadata.name.as_deref().unwrap();
    let api = Api::<Pod>::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap());
    if pod.metadata.deletion_timestamp.is_some() {
        let _ = api.delete(name, &DeleteParams::default().grace_period(0)).await;
        return;
    }
    if coracle_api::pods::phase(pod) != "Pending" {
        return;
    }
    let image = pod.spec.as_ref().unwrap().containers[0].image.as_deref();
    let ready = if image == Some("broken") { "False" } else { "True" };
    let ready = PodCondition::new("Ready", ready, "", "");
    let number = NEXT_ADDRESS.fetch_add(1, Ordering::SeqCst);
    let address = format!("10.244.{}.{}", number / 250, number % 250 + 1);
    let patch = json!({"status": {"phase": "Running", "conditions": [ready],
        "podIP": address, "podIPs": [{"ip": address}]}});
    let _ = api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    let code = image.and_then(|image| image.strip_prefix("exits-"));
    if let Some(code) = code.and_then(|code| code.parse().ok()) {
        let name = name.to_owned();
        tokio::spawn(async move {
            tokio::time::sleep(RUN).await;
            // It may have been deleted meanwhile.
            let _ = end(&api, &name, code).await;
        });
    }
}

/// Says of a pod that its container has ended.
pub(crate) async fn end(api: &Api<Pod>, name: &str, code: i32) -> kube::Result<Pod> {
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let ready = PodCondition::new("Ready", "False", "PodCompleted", "");
    let ended = json!({"exitCode": code, "finishedAt": Time(clock::now())});
    let patch = json!({"status": {"phase": phase, "conditions": [ready], "containerStatuses": [
        {"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": ended}}]}});
    api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await
}
