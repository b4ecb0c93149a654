//! Namespaces: patched, updated, finalized, and deleted with everything in them, pods first.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::world::{World, all, condition, name, pod};

#[tokio::test]
async fn namespace_patching() -> Result<()> {
    let world = World::new().await?;
    let path = all("v1", &format!("namespaces/{}", world.namespace));
    world.merge(&path, json!({"metadata": {"labels": {"testLabel": "testValue"}}})).await?;
    ensure!(world.get(&path).await?["metadata"]["labels"]["testLabel"] == "testValue");
    Ok(())
}

#[tokio::test]
async fn namespace_apply_update_to_a_namespace() -> Result<()> {
    let world = World::new().await?;
    let path = all("v1", &format!("namespaces/{}", world.namespace));
    world
        .update(&path, |one| one["metadata"]["labels"][&world.namespace] = "updated".into())
        .await?;
    ensure!(world.get(&path).await?["metadata"]["labels"][&world.namespace] == "updated");
    Ok(())
}

#[tokio::test]
async fn namespace_apply_changes_to_a_namespace_status() -> Result<()> {
    let world = World::new().await?;
    let path = all("v1", &format!("namespaces/{}/status", world.namespace));
    ensure!(world.get(&path).await?["status"]["phase"] == "Active");
    let condition_ = |kind: &str| json!([{"type": kind, "status": "True", "reason": "E2E", "message": "set by a test"}]);
    let patch = json!({"status": {"conditions": condition_("StatusPatch")}});
    let patched = world.merge(&path, patch).await?;
    ensure!(condition(&patched, "StatusPatch")["status"] == "True", "{patched}");
    let updated =
        world.update(&path, |one| one["status"]["conditions"] = condition_("StatusUpdate")).await?;
    ensure!(condition(&updated, "StatusUpdate")["message"] == "set by a test", "{updated}");
    Ok(())
}

#[tokio::test]
async fn namespace_apply_finalizer_to_a_namespace() -> Result<()> {
    let world = World::new().await?;
    let unique = world.unique("finalized");
    world.post("/api/v1/namespaces", &json!({"metadata": {"name": unique}})).await?;
    let path = format!("/api/v1/namespaces/{unique}");
    let finalizers = |one: &serde_json::Value| one["spec"]["finalizers"].to_string();
    let added = world.update(&format!("{path}/finalize"), |_| {}).await;
    ensure!(added.is_err(), "a namespace is finalized through its own path only");
    let mut object = world.get(&path).await?;
    object["spec"]["finalizers"] = json!(["kubernetes", "example.com/fake"]);
    let answer = world.put(&format!("{path}/finalize"), &object).await?;
    ensure!(finalizers(&answer).contains("example.com/fake"), "{answer}");
    ensure!(finalizers(&world.get(&path).await?).contains("example.com/fake"));
    let mut object = world.get(&path).await?;
    object["spec"]["finalizers"] = json!(["kubernetes"]);
    world.put(&format!("{path}/finalize"), &object).await?;
    ensure!(!finalizers(&world.get(&path).await?).contains("example.com/fake"));
    world.delete(&path).await?;
    world.gone(&path).await
}

/// Makes a namespace with a service account, so that pods are let in.
async fn namespace(world: &World, prefix: &str) -> Result<String> {
    let unique = world.unique(prefix);
    world.post("/api/v1/namespaces", &json!({"metadata": {"name": unique}})).await?;
    let path = format!("/api/v1/namespaces/{unique}");
    world.until(&format!("{path}/serviceaccounts/default"), |_| true).await?;
    Ok(path)
}

#[tokio::test]
async fn namespace_deletion_removes_pods() -> Result<()> {
    let world = World::new().await?;
    let path = namespace(&world, "pods").await?;
    world.post(&format!("{path}/pods"), &pod("pod", json!({}))).await?;
    world.until(&format!("{path}/pods/pod"), |pod| pod["status"]["phase"] == "Running").await?;
    world.delete(&path).await?;
    world.gone(&path).await?;
    world.gone(&format!("{path}/pods/pod")).await?;
    let path = namespace(&world, "pods").await?;
    world.items(&format!("{path}/pods"), 0).await?;
    world.delete(&path).await?;
    Ok(())
}

#[tokio::test]
async fn namespace_deletion_removes_services() -> Result<()> {
    let world = World::new().await?;
    let path = namespace(&world, "services").await?;
    let service = json!({"metadata": {"name": "service"}, "spec": {"ports": [{"port": 80}]}});
    world.post(&format!("{path}/services"), &service).await?;
    world.delete(&path).await?;
    world.gone(&path).await?;
    let path = namespace(&world, "services").await?;
    world.items(&format!("{path}/services"), 0).await?;
    world.delete(&path).await?;
    Ok(())
}

/// While a pod is held, nothing else of its namespace goes.
#[tokio::test]
async fn ordered_namespace_deletion() -> Result<()> {
    let world = World::new().await?;
    let path = namespace(&world, "ordered").await?;
    let mut held = pod("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    world.post(&format!("{path}/pods"), &held).await?;
    world.post(&format!("{path}/configmaps"), &json!({"metadata": {"name": "map"}})).await?;
    world.delete(&path).await?;
    let stuck = world
        .until(&path, |one| condition(one, "NamespaceFinalizersRemaining")["status"] == "True")
        .await?;
    ensure!(stuck["status"]["phase"] == "Terminating", "{stuck}");
    let map = world.get(&format!("{path}/configmaps/map")).await?;
    ensure!(map["metadata"]["deletionTimestamp"].is_null() && name(&map) == "map", "{map}");
    let content = condition(&stuck, "NamespaceDeletionContentFailure");
    ensure!(content["status"] == "False", "{stuck}");
    world.merge(&format!("{path}/pods/held"), json!({"metadata": {"finalizers": null}})).await?;
    world.gone(&path).await
}
