//! The scheduler from the outside.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::harness::{Cluster, pod};

async fn placed(cluster: &Cluster, name: &str) -> String {
    cluster
        .until(&format!("{name} is placed"), async || {
            cluster.get::<Pod>(name).await.spec?.node_name.filter(|node| !node.is_empty())
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_room_and_is_told_why() {
    let mut cluster = Cluster::new(1).await;
    let heavy = json!({"containers": [{"name": "main", "image": "good",
        "resources": {"requests": {"cpu": "3"}}}]});
    cluster.create::<Pod>(pod("first", heavy.clone())).await;
    placed(&cluster, "first").await;
    cluster.told("Scheduled", "Successfully assigned default/first to node-0").await;
    cluster.create::<Pod>(pod("second", heavy)).await;
    let why = "0/1 nodes are available: 1 Insufficient cpu.";
    cluster.told("FailedScheduling", why).await;
    let status = cluster
        .until("its condition says so", async || {
            let status = cluster.get::<Pod>("second").await.status?;
            coracle_api::conditions::find(status.conditions.as_ref(), "PodScheduled").cloned()
        })
        .await;
    assert_eq!(
        (status.status.as_str(), status.reason.as_deref()),
        ("False", Some("Unschedulable"))
    );
    assert_eq!(status.message.as_deref(), Some(why));
    cluster.add_node("node-1", json!({})).await;
    assert_eq!(placed(&cluster, "second").await, "node-1");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_pod_lets_another_in() {
    let cluster = Cluster::new(1).await;
    let heavy = json!({"terminationGracePeriodSeconds": 1, "containers": [{"name": "main",
        "image": "good", "resources": {"requests": {"memory": "5Gi"}}}]});
    cluster.create::<Pod>(pod("first", heavy.clone())).await;
    placed(&cluster, "first").await;
    cluster.create::<Pod>(pod("second", heavy)).await;
    cluster.told("FailedScheduling", "0/1 nodes are available: 1 Insufficient memory.").await;
    cluster.delete::<Pod>("first", Default::default()).await;
    placed(&cluster, "second").await;
}

#[tokio::test(start_paused = true)]
async fn cordoned_nodes_are_left_alone_until_they_are_not() {
    let cluster = Cluster::new(1).await;
    let nodes = Api::<Node>::all(cluster.client.clone());
    let cordon = |cordoned: bool| {
        let nodes = nodes.clone();
        async move {
            let patch = Patch::Merge(json!({"spec": {"unschedulable": cordoned}}));
            nodes.patch("node-0", &PatchParams::default(), &patch).await.unwrap();
        }
    };
    cordon(true).await;
    cluster
        .until("the node is tainted", async || {
            let taints = nodes.get("node-0").await.unwrap().spec?.taints?;
            taints.iter().any(|taint| taint.key == "node.kubernetes.io/unschedulable").then_some(())
        })
        .await;
    cluster.create::<Pod>(pod("p", json!({}))).await;
    cluster
        .told("FailedScheduling", "0/1 nodes are available: 1 node(s) were unschedulable.")
        .await;
    cordon(false).await;
    assert_eq!(placed(&cluster, "p").await, "node-0");
}

#[tokio::test(start_paused = true)]
async fn many_pods_are_placed_evenly() {
    let cluster = Cluster::new(4).await;
    let set = json!({"metadata": {"name": "web"}, "spec": {"replicas": 200,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "main", "image": "good"}]}}}});
    cluster.create::<k8s_openapi::api::apps::v1::ReplicaSet>(set).await;
    let mut counts = cluster
        .until("all are placed", async || {
            let mut counts = std::collections::BTreeMap::<String, usize>::new();
            for pod in cluster.list::<Pod>().await {
                *counts.entry(pod.spec?.node_name?).or_default() += 1;
            }
            (counts.values().sum::<usize>() == 200).then_some(counts)
        })
        .await;
    let most = counts.values().copied().max().unwrap();
    let least = counts.values().copied().min().unwrap();
    assert!(counts.len() == 4 && most - least <= 2, "{counts:?}");
    counts.clear();
}
