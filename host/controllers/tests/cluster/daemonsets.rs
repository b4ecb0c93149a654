//! DaemonSets from the outside.

use std::collections::BTreeSet;

use coracle_api::pods;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::Cluster;

fn set(changes: &Value) -> Value {
    let mut set = json!({"metadata": {"name": "agent"}, "spec": {
        "selector": {"matchLabels": {"app": "agent"}},
        "template": {"metadata": {"labels": {"app": "agent"}},
            "spec": {"terminationGracePeriodSeconds": 1,
                "containers": [{"name": "main", "image": "one"}]}}}});
    json_patch::merge(&mut set["spec"], changes);
    set
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

fn node_of(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()
}

/// Where pods are, in the order of the nodes' names.
async fn nodes(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.list::<Pod>().await;
    let mut nodes: Vec<_> = pods.iter().filter(|pod| pods::is_active(pod)).map(node_of).collect();
    nodes.sort();
    nodes
}

async fn on(cluster: &Cluster, expected: &[&str]) {
    cluster
        .until(&format!("pods are on {expected:?}"), async || {
            (nodes(cluster).await == expected).then_some(())
        })
        .await;
}

async fn status(
    cluster: &Cluster,
    what: &str,
    done: impl Fn(&DaemonSetStatus) -> bool,
) -> DaemonSetStatus {
    cluster
        .until(what, async || {
            let set = cluster.get::<DaemonSet>("agent").await;
            let status = set.status?;
            let seen = status.observed_generation >= set.metadata.generation;
            (seen && done(&status)).then_some(status)
        })
        .await
}

async fn change_node(cluster: &Cluster, name: &str, patch: Value) {
    let api = Api::<Node>::all(cluster.client.clone());
    api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_node_that_fits_has_one() {
    let mut cluster = Cluster::new(2).await;
    cluster
        .add_node("tainted", json!({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}))
        .await;
    cluster.create::<DaemonSet>(set(&json!({}))).await;
    on(&cluster, &["node-0", "node-1"]).await;
    let seen = status(&cluster, "both are ready", |status| status.number_ready == 2).await;
    assert_eq!((seen.desired_number_scheduled, seen.current_number_scheduled), (2, 2));
    assert_eq!((seen.updated_number_scheduled, seen.number_available), (Some(2), Some(2)));
    assert_eq!((seen.number_unavailable, seen.number_misscheduled), (None, 0));
    // Nodes come, are cordoned, change.
    cluster.add_node("node-9", json!({"spec": {"unschedulable": true}})).await;
    on(&cluster, &["node-0", "node-1", "node-9"]).await;
    change_node(&cluster, "tainted", json!({"spec": {"taints": null}})).await;
    on(&cluster, &["node-0", "node-1", "node-9", "tainted"]).await;
    let taint = json!({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}});
    change_node(&cluster, "node-0", taint).await;
    let seen = status(&cluster, "one is misplaced", |status| status.number_misscheduled == 1).await;
    assert_eq!(seen.desired_number_scheduled, 3);
    let taint = json!({"spec": {"taints": [{"key": "gpu", "effect": "NoExecute"}]}});
    change_node(&cluster, "node-0", taint).await;
    on(&cluster, &["node-1", "node-9", "tainted"]).await;
    // The set itself chooses.
    let choice = json!({"spec": {"template": {"spec": {
        "nodeSelector": {"kubernetes.io/hostname": "node-1"}}}}});
    cluster.patch::<DaemonSet>("agent", choice).await;
    on(&cluster, &["node-1"]).await;
    // Who is lost is replaced.
    let pod = cluster.list::<Pod>().await.into_iter().find(pods::is_active).unwrap();
    let name = pod.metadata.name.clone().unwrap();
    cluster.delete::<Pod>(&name, kube::api::DeleteParams::default()).await;
    cluster
        .until("another takes its place", async || {
            let pods = cluster.list::<Pod>().await;
            let again =
                pods.iter().any(|one| pods::is_ready(one) && one.metadata.uid != pod.metadata.uid);
            again.then_some(())
        })
        .await;
    on(&cluster, &["node-1"]).await;
}

#[tokio::test(start_paused = true)]
async fn updates_keep_their_promises_and_are_undone() {
    let cluster = Cluster::new(4).await;
    let strategy = json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": "50%"}}});
    cluster.create::<DaemonSet>(set(&strategy)).await;
    let all = |status: &DaemonSetStatus| {
        status.updated_number_scheduled == Some(4) && status.number_available == Some(4)
    };
    status(&cluster, "all are there", all).await;
    let first = cluster.list::<ControllerRevision>().await.remove(0);
    cluster.patch::<DaemonSet>("agent", image("two")).await;
    cluster
        .until("all are replaced", async || {
            let pods = cluster.list::<Pod>().await;
            let ready = pods.iter().filter(|pod| pods::is_ready(pod) && pods::is_active(pod));
            assert!(ready.count() >= 2);
            let nodes: BTreeSet<_> = pods.iter().map(node_of).filter(|n| !n.is_empty()).collect();
            let placed = pods.iter().filter(|pod| !node_of(pod).is_empty()).count();
            assert_eq!(nodes.len(), placed, "two on one node");
            let new = |pod: &Pod| {
                pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("two")
            };
            (pods.len() == 4 && pods.iter().all(new)).then_some(())
        })
        .await;
    status(&cluster, "all are updated", all).await;
    let pods = cluster.list::<Pod>().await;
    let generation = &pods[0].metadata.labels.as_ref().unwrap()["pod-template-generation"];
    assert_eq!(generation, "2");

    cluster.patch::<DaemonSet>("agent", first.data.clone().unwrap().0).await;
    let name = first.metadata.name.as_deref().unwrap();
    cluster
        .until("the first revision is the newest", async || {
            let revision = cluster.get::<ControllerRevision>(name).await;
            (revision.revision == 3).then_some(())
        })
        .await;
    status(&cluster, "it is undone", all).await;
    assert_eq!(cluster.list::<ControllerRevision>().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_surge_nobody_is_missed() {
    let cluster = Cluster::new(3).await;
    let strategy =
        json!({"updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}});
    cluster.create::<DaemonSet>(set(&strategy)).await;
    status(&cluster, "all are there", |status| status.number_available == Some(3)).await;
    cluster.patch::<DaemonSet>("agent", image("two")).await;
    cluster
        .until("all are replaced", async || {
            let pods = cluster.list::<Pod>().await;
            let active: Vec<_> = pods.iter().filter(|pod| pods::is_active(pod)).collect();
            let served: BTreeSet<_> =
                active.iter().filter(|pod| pods::is_ready(pod)).map(|pod| node_of(pod)).collect();
            assert_eq!(served.len(), 3, "every node is served at every moment");
            assert!(active.len() <= 4, "one more than nodes at most");
            let new = |pod: &&Pod| {
                pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("two")
            };
            (active.len() == 3 && active.iter().all(new)).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn on_delete_waits_for_deletions() {
    let cluster = Cluster::new(2).await;
    cluster.create::<DaemonSet>(set(&json!({"updateStrategy": {"type": "OnDelete"}}))).await;
    status(&cluster, "both are there", |status| status.number_available == Some(2)).await;
    cluster.patch::<DaemonSet>("agent", image("two")).await;
    status(&cluster, "it is seen", |status| status.updated_number_scheduled.is_none()).await;
    let pod = cluster.list::<Pod>().await.remove(0);
    let name = pod.metadata.name.as_deref().unwrap();
    cluster.delete::<Pod>(name, kube::api::DeleteParams::default()).await;
    status(&cluster, "one is updated", |status| {
        status.updated_number_scheduled == Some(1) && status.number_available == Some(2)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn failed_pods_are_replaced_ever_more_slowly() {
    let cluster = Cluster::new(1).await;
    cluster.create::<DaemonSet>(set(&json!({}))).await;
    let mut waited = Vec::new();
    for _ in 0..5 {
        let pod = cluster
            .until("it runs", async || {
                let pods = cluster.list::<Pod>().await;
                pods.into_iter().find(|pod| pods::is_ready(pod) && pods::is_active(pod))
            })
            .await;
        let name = pod.metadata.name.as_deref().unwrap();
        let failed = Patch::Strategic(json!({"status": {"phase": "Failed"}}));
        let api: Api<Pod> = cluster.api();
        api.patch_status(name, &PatchParams::default(), &failed).await.unwrap();
        let start = tokio::time::Instant::now();
        cluster
            .until("it is taken away", async || {
                let pod = api.get_opt(name).await.unwrap();
                pod.is_none_or(|pod| pods::is_terminating(&pod)).then_some(())
            })
            .await;
        waited.push(start.elapsed().as_secs());
        let message =
            format!("Found failed daemon pod default/{name} on node node-0, will try to kill it");
        cluster.told("FailedDaemonPod", &message).await;
    }
    assert!(waited.is_sorted() && waited[0] == 0 && (2..=8).contains(&waited[4]), "{waited:?}");
}
