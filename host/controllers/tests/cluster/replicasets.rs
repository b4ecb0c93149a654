//! ReplicaSets from the outside.

use coracle_api::owner;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::harness::{Cluster, pod};

fn replica_set(name: &str, replicas: i32) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"set": name}},
        "template": {"metadata": {"labels": {"set": name}},
            "spec": {"containers": [{"name": "main", "image": "good"}]}}}})
}

async fn held(cluster: &Cluster, set: &ReplicaSet) -> Vec<String> {
    let uid = set.metadata.uid.as_deref().unwrap();
    let pods = cluster.list::<Pod>().await.into_iter();
    let held = pods.filter(|pod| {
        owner::is_controlled_by(&pod.metadata, uid) && coracle_api::pods::is_active(pod)
    });
    held.filter_map(|pod| pod.metadata.name).collect()
}

async fn holds(cluster: &Cluster, set: &ReplicaSet, count: usize) -> Vec<String> {
    cluster
        .until(&format!("{count} pods are held"), async || {
            let held = held(cluster, set).await;
            (held.len() == count).then_some(held)
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn exactly_as_many_pods_as_asked_for_are_made() {
    let cluster = Cluster::new(3).await;
    let set = cluster.create::<ReplicaSet>(replica_set("web", 60)).await;
    holds(&cluster, &set, 60).await;
    let ready = cluster
        .until("all are ready", async || {
            let status = cluster.get::<ReplicaSet>("web").await.status?;
            (status.ready_replicas == Some(60)).then_some(status)
        })
        .await;
    assert_eq!((ready.replicas, ready.available_replicas), (60, Some(60)));
    assert_eq!(cluster.list::<Pod>().await.len(), 60, "none was made twice");
    cluster.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 7}})).await;
    holds(&cluster, &set, 7).await;
    let victim = holds(&cluster, &set, 7).await.remove(0);
    cluster.delete::<Pod>(&victim, DeleteParams::default()).await;
    cluster
        .until("the lost one is replaced", async || {
            let held = held(&cluster, &set).await;
            (held.len() == 7 && !held.contains(&victim)).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn orphans_are_adopted_and_strangers_released() {
    let cluster = Cluster::new(1).await;
    let mut orphan = pod("orphan", json!({}));
    orphan["metadata"]["labels"] = json!({"set": "web"});
    cluster.create::<Pod>(orphan).await;
    let set = cluster.create::<ReplicaSet>(replica_set("web", 2)).await;
    let held_now = holds(&cluster, &set, 2).await;
    assert!(held_now.contains(&"orphan".to_owned()));
    cluster.patch::<Pod>("orphan", json!({"metadata": {"labels": {"set": "other"}}})).await;
    cluster
        .until("it is released and replaced", async || {
            let held = held(&cluster, &set).await;
            let orphan = cluster.get::<Pod>("orphan").await;
            let released = owner::controller_of(&orphan.metadata).is_none();
            (released && held.len() == 2).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_pod_is_reported_not_hammered() {
    let cluster = Cluster::new(1).await;
    cluster.refuse_pods(true);
    let set = cluster.create::<ReplicaSet>(replica_set("web", 100)).await;
    cluster.told("FailedCreate", "Error creating: pods are forbidden: no more").await;
    let status = cluster
        .until("its condition says so", async || {
            let status = cluster.get::<ReplicaSet>("web").await.status?;
            coracle_api::conditions::find(status.conditions.as_ref(), "ReplicaFailure").cloned()
        })
        .await;
    assert_eq!(status.reason.as_deref(), Some("FailedCreate"));
    assert_eq!(status.message.as_deref(), Some("pods are forbidden: no more"));
    let events = cluster.list::<Event>().await;
    let attempts: i32 = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("FailedCreate"))
        .filter_map(|event| event.count)
        .sum();
    assert!(
        attempts < 10,
        "a reason that refuses every pod is not met a hundred times: {attempts}"
    );
    cluster.refuse_pods(false);
    holds(&cluster, &set, 100).await;
    cluster
        .until("the failure is taken back", async || {
            let status = cluster.get::<ReplicaSet>("web").await.status?;
            status.conditions.is_none_or(|conditions| conditions.is_empty()).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn availability_waits_for_min_ready_seconds() {
    let cluster = Cluster::new(1).await;
    let mut wish = replica_set("web", 1);
    wish["spec"]["minReadySeconds"] = json!(30);
    cluster.create::<ReplicaSet>(wish).await;
    let status = async || cluster.get::<ReplicaSet>("web").await.status.unwrap_or_default();
    cluster
        .until("it is ready", async || (status().await.ready_replicas == Some(1)).then_some(()))
        .await;
    assert_eq!(status().await.available_replicas.unwrap_or(0), 0);
    let start = tokio::time::Instant::now();
    cluster
        .until("it is available", async || {
            (status().await.available_replicas == Some(1)).then_some(())
        })
        .await;
    assert!((25..=31).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}
