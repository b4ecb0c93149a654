//! ReplicaSets and ReplicationControllers: adoption, release, scale, lifecycle.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::world::{STRATEGIC, World, all, name, pod, workload};

fn owner(pod: &Value) -> &Value {
    &pod["metadata"]["ownerReferences"][0]
}

/// A pod that matches is adopted; one that no longer does is released and replaced.
async fn adopts_and_releases(kind: &str, group_version: &str, plural: &str) -> Result<()> {
    let world = World::new().await?;
    let pods = world.path("v1", "pods");
    world.post(&pods, &pod("orphan", json!({"app": "one"}))).await?;
    let path = world.path(group_version, plural);
    world.post(&path, &workload(kind, "one", 1)).await?;
    let orphan = format!("{pods}/orphan");
    let adopted = world.until(&orphan, |pod| owner(pod)["name"] == "one").await?;
    ensure!(owner(&adopted)["kind"] == kind && owner(&adopted)["controller"] == true, "{adopted}");
    world.merge(&orphan, json!({"metadata": {"labels": {"app": "not-one"}}})).await?;
    world.until(&orphan, |pod| owner(pod).is_null()).await?;
    world
        .until(&format!("{pods}?labelSelector=app%3Done"), |list| {
            crate::world::items(list).iter().any(|pod| owner(pod)["name"] == "one")
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn replica_set_adopt_matching_pods_and_release_non_matching_pods() -> Result<()> {
    adopts_and_releases("ReplicaSet", "apps/v1", "replicasets").await
}

#[tokio::test]
async fn replication_controller_adopt_matching_pods() -> Result<()> {
    adopts_and_releases("ReplicationController", "v1", "replicationcontrollers").await
}

#[tokio::test]
async fn replication_controller_release_pods() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "replicationcontrollers");
    world.post(&path, &workload("ReplicationController", "one", 2)).await?;
    let pods = world.path("v1", "pods");
    let first = name(world.items(&pods, 2).await?.first().context("a pod")?);
    world.merge(&format!("{pods}/{first}"), json!({"metadata": {"labels": {"app": null}}})).await?;
    world.until(&format!("{pods}/{first}"), |pod| owner(pod).is_null()).await?;
    world.items(&pods, 3).await?;
    world.items(&format!("{pods}?labelSelector=app%3Done"), 2).await?;
    Ok(())
}

#[tokio::test]
async fn replication_controller_get_and_update_replicationcontroller_scale() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "replicationcontrollers");
    world.post(&path, &workload("ReplicationController", "one", 1)).await?;
    let scale = format!("{path}/one/scale");
    let mut read = world.get(&scale).await?;
    ensure!(read["kind"] == "Scale" && read["spec"]["replicas"] == 1, "{read}");
    read["metadata"]["resourceVersion"] = "".into();
    read["spec"]["replicas"] = 2.into();
    world.put(&scale, &read).await?;
    world.until(&format!("{path}/one"), |rc| rc["status"]["readyReplicas"] == 2).await?;
    Ok(())
}

#[tokio::test]
async fn replication_controller_lifecycle() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "replicationcontrollers");
    let mut watch = world.watch_from_now(&path, "labelSelector=app%3Done").await?;
    world.post(&path, &workload("ReplicationController", "one", 1)).await?;
    watch.until("ADDED", |_| true).await?;
    let one = format!("{path}/one");
    watch.until("MODIFIED", |rc| rc["status"]["readyReplicas"] == 1).await?;
    let patch = json!({"metadata": {"labels": {"patched": "yes"}}});
    world.patch(&one, STRATEGIC, patch).await?;
    watch.until("MODIFIED", |rc| rc["metadata"]["labels"]["patched"] == "yes").await?;
    let status = format!("{one}/status");
    ensure!(world.get(&status).await?["kind"] == "ReplicationController");
    let patched = world
        .merge(&status, json!({"status": {"readyReplicas": 0, "availableReplicas": 0}}))
        .await?;
    ensure!(patched["status"]["readyReplicas"].as_i64().unwrap_or(0) == 0, "{patched}");
    watch.until("MODIFIED", |rc| rc["status"]["readyReplicas"] == 1).await?;
    world.merge(&format!("{one}/scale"), json!({"spec": {"replicas": 2}})).await?;
    watch.until("MODIFIED", |rc| rc["status"]["readyReplicas"] == 2).await?;
    let found = world
        .get(&format!("{}?labelSelector=patched%3Dyes", all("v1", "replicationcontrollers")))
        .await?;
    ensure!(found.to_string().contains(&world.namespace), "{found}");
    world.update(&one, |rc| rc["spec"]["replicas"] = 1.into()).await?;
    watch.until("MODIFIED", |rc| rc["status"]["replicas"] == 1).await?;
    world.delete(&format!("{path}?labelSelector=patched%3Dyes")).await?;
    watch.until("DELETED", |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn replicaset_is_created_replaced_and_patched() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("apps/v1", "replicasets");
    world.post(&path, &workload("ReplicaSet", "one", 1)).await?;
    let one = format!("{path}/one");
    world.until(&one, |rs| rs["status"]["readyReplicas"] == 1).await?;
    world.update(&one, |rs| rs["spec"]["replicas"] = 2.into()).await?;
    world.until(&one, |rs| rs["status"]["readyReplicas"] == 2).await?;
    let patch = json!({"metadata": {"labels": {"test-rs": "patched"}}, "spec": {"replicas": 3,
        "template": {"spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "ticker"}]}}}});
    let patched = world.patch(&one, STRATEGIC, patch).await?;
    ensure!(patched["metadata"]["labels"]["test-rs"] == "patched", "{patched}");
    let done = world.until(&one, |rs| rs["status"]["readyReplicas"] == 3).await?;
    ensure!(done["spec"]["template"]["spec"]["containers"][0]["image"] == "ticker", "{done}");
    Ok(())
}
