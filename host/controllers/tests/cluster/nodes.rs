//! Nodes that are lost and come back, from the outside.

use std::time::Duration;

use coracle_api::conditions;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams};
use serde_json::json;

use crate::harness::{Cluster, deployment, pod};

fn ready(node: &Node) -> String {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions::find(conditions, "Ready").map(|ready| ready.status.clone()).unwrap_or_default()
}

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let mut taints: Vec<_> =
        taints.map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
    taints.sort();
    taints
}

#[tokio::test(start_paused = true)]
async fn every_node_gets_a_range_of_its_own() {
    let cluster = Cluster::new(3).await;
    let nodes = Api::<Node>::all(cluster.client.clone());
    let mut ranges = Vec::new();
    for name in ["node-0", "node-1", "node-2"] {
        let range = cluster
            .until("there is a range", async || nodes.get(name).await.unwrap().spec?.pod_cidr)
            .await;
        ranges.push(range);
    }
    ranges.sort();
    assert_eq!(ranges, ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_is_replaced_and_comes_back() {
    let cluster = Cluster::new(3).await;
    let nodes = Api::<Node>::all(cluster.client.clone());
    let mut wish = deployment("web", 6, "good");
    wish["spec"]["template"]["spec"]["tolerations"] = json!([
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": 300}]);
    cluster.create::<Deployment>(wish).await;
    cluster.rolled_out("web").await;

    cluster.cut_off("node-1", true);
    let start = tokio::time::Instant::now();
    cluster
        .until("it is unknown", async || {
            (ready(&nodes.get("node-1").await.unwrap()) == "Unknown").then_some(())
        })
        .await;
    let silent = start.elapsed().as_secs();
    assert!((30..=41).contains(&silent), "{silent}");
    let lost = cluster
        .until("it is tainted", async || {
            let node = nodes.get("node-1").await.unwrap();
            (taints(&node)
                == [
                    "node.kubernetes.io/unreachable:NoExecute",
                    "node.kubernetes.io/unreachable:NoSchedule",
                ])
            .then_some(node)
        })
        .await;
    let conditions = lost.status.unwrap().conditions;
    let condition = conditions::find(conditions.as_ref(), "Ready").unwrap();
    assert_eq!(condition.reason.as_deref(), Some("NodeStatusUnknown"));
    cluster
        .until("its pods are not ready", async || {
            let pods = cluster.list::<Pod>().await;
            let lost = pods
                .iter()
                .filter(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some("node-1"));
            lost.clone().all(|pod| !coracle_api::pods::is_ready(pod)).then_some(())
        })
        .await;
    // They are tolerated to stay for five minutes, then they are replaced elsewhere.
    cluster.rolled_out("web").await;
    let waited = start.elapsed().as_secs();
    assert!((330..=345).contains(&waited), "{waited}");

    cluster.cut_off("node-1", false);
    cluster
        .until("it is back and clean", async || {
            let node = nodes.get("node-1").await.unwrap();
            let pods = cluster.list::<Pod>().await;
            (ready(&node) == "True" && taints(&node).is_empty() && pods.len() == 6).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn if_all_nodes_are_lost_no_pod_is_told_to_leave() {
    let cluster = Cluster::new(2).await;
    let nodes = Api::<Node>::all(cluster.client.clone());
    cluster.create::<Deployment>(deployment("web", 2, "good")).await;
    cluster.rolled_out("web").await;
    cluster.cut_off("node-0", true);
    cluster.cut_off("node-1", true);
    cluster
        .until("both are unknown", async || {
            let both = [nodes.get("node-0").await.unwrap(), nodes.get("node-1").await.unwrap()];
            both.iter().all(|node| ready(node) == "Unknown").then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(900)).await;
    let pods = cluster.list::<Pod>().await;
    assert!(pods.iter().all(|pod| !coracle_api::pods::is_terminating(pod)));
}

#[tokio::test(start_paused = true)]
async fn pods_of_vanished_nodes_are_taken_away() {
    let cluster = Cluster::new(1).await;
    cluster.create::<Pod>(pod("p", json!({}))).await;
    cluster
        .until("it runs", async || {
            let pod = cluster.get::<Pod>("p").await;
            coracle_api::pods::is_ready(&pod).then_some(())
        })
        .await;
    cluster.cut_off("node-0", true);
    let nodes = Api::<Node>::all(cluster.client.clone());
    nodes.delete("node-0", &DeleteParams::default()).await.unwrap();
    cluster
        .until("it is gone", async || {
            cluster.api::<Pod>().get_opt("p").await.unwrap().is_none().then_some(())
        })
        .await;
}
