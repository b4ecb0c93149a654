//! The API of workloads: status, scale, collections, revisions.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::world::{STRATEGIC, World, all, condition, name, workload};

/// Makes a workload and waits until its pods are ready.
async fn ready(world: &World, kind: &str, plural: &str, replicas: i64) -> Result<String> {
    let path = world.path("apps/v1", plural);
    world.post(&path, &workload(kind, "one", replicas)).await?;
    let one = format!("{path}/one");
    let done = |one: &Value| match kind {
        "DaemonSet" => {
            let wanted = one["status"]["desiredNumberScheduled"].as_i64().unwrap_or(0);
            wanted > 0 && one["status"]["numberReady"] == wanted
        }
        _ => one["status"]["readyReplicas"] == replicas,
    };
    world.until(&one, done).await?;
    Ok(one)
}

/// Status is read, updated and patched on its own; the changes are seen by a watch.
async fn status_subresource(kind: &str, plural: &str) -> Result<()> {
    let world = World::new().await?;
    let one = ready(&world, kind, plural, 1).await?;
    let status = format!("{one}/status");
    ensure!(world.get(&status).await?["kind"] == kind);
    let selector = "labelSelector=app%3Done";
    let mut watch = world.watch_from_now(&world.path("apps/v1", plural), selector).await?;
    let entry = |kind: &str| json!({"type": kind, "status": "True", "reason": "E2E", "message": "Set by a test"});
    let updated = world
        .update(&status, |one| {
            let mut all = one["status"]["conditions"].as_array().cloned().unwrap_or_default();
            all.push(entry("StatusUpdate"));
            one["status"]["conditions"] = all.into();
            one["spec"]["template"]["spec"]["containers"][0]["image"] = "ignored".into();
        })
        .await?;
    ensure!(condition(&updated, "StatusUpdate")["message"] == "Set by a test", "{updated}");
    let image = &updated["spec"]["template"]["spec"]["containers"][0]["image"];
    ensure!(*image == "pause", "status changed spec: {updated}");
    watch.until("MODIFIED", |one| !condition(one, "StatusUpdate").is_null()).await?;
    let patch = json!({"status": {"conditions": [entry("StatusPatched")]}});
    let patched = world.merge(&status, patch).await?;
    ensure!(!condition(&patched, "StatusPatched").is_null(), "{patched}");
    watch.until("MODIFIED", |one| !condition(one, "StatusPatched").is_null()).await?;
    Ok(())
}

#[tokio::test]
async fn deployment_status_sub_resource() -> Result<()> {
    status_subresource("Deployment", "deployments").await
}

#[tokio::test]
async fn replicaset_status_sub_resource() -> Result<()> {
    status_subresource("ReplicaSet", "replicasets").await
}

#[tokio::test]
async fn statefulset_status_sub_resource() -> Result<()> {
    status_subresource("StatefulSet", "statefulsets").await
}

#[tokio::test]
async fn daemonset_status_sub_resource() -> Result<()> {
    status_subresource("DaemonSet", "daemonsets").await
}

/// Scale is read, updated and patched on its own.
async fn scale_subresource(kind: &str, plural: &str) -> Result<()> {
    let world = World::new().await?;
    let one = ready(&world, kind, plural, 1).await?;
    let path = format!("{one}/scale");
    let mut scale = world.get(&path).await?;
    ensure!(scale["kind"] == "Scale" && scale["apiVersion"] == "autoscaling/v1", "{scale}");
    ensure!(scale["spec"]["replicas"] == 1 && scale["status"]["replicas"] == 1, "{scale}");
    ensure!(scale["status"]["selector"] == "app=one", "{scale}");
    scale["metadata"]["resourceVersion"] = "".into();
    scale["spec"]["replicas"] = 2.into();
    let scaled = world.put(&path, &scale).await?;
    ensure!(scaled["spec"]["replicas"] == 2, "{scaled}");
    ensure!(world.get(&one).await?["spec"]["replicas"] == 2);
    let patched = world.patch(&path, STRATEGIC, json!({"spec": {"replicas": 3}})).await;
    let patched = match patched {
        Ok(patched) => patched,
        Err(_) => world.merge(&path, json!({"spec": {"replicas": 3}})).await?,
    };
    ensure!(patched["spec"]["replicas"] == 3, "{patched}");
    world.until(&one, |one| one["status"]["readyReplicas"] == 3).await?;
    Ok(())
}

#[tokio::test]
async fn deployment_completes_the_scaling_of_a_deployment_subresource() -> Result<()> {
    scale_subresource("Deployment", "deployments").await
}

#[tokio::test]
async fn replicaset_completes_the_scaling_of_a_replicaset_subresource() -> Result<()> {
    scale_subresource("ReplicaSet", "replicasets").await
}

#[tokio::test]
async fn statefulset_resource_replica_scaling() -> Result<()> {
    scale_subresource("StatefulSet", "statefulsets").await
}

/// Listed everywhere by label, patched, and deleted together.
async fn collection(kind: &str, plural: &str) -> Result<()> {
    let world = World::new().await?;
    let one = ready(&world, kind, plural, 1).await?;
    world.merge(&one, json!({"metadata": {"labels": {"set": world.namespace}}})).await?;
    let selector = format!("labelSelector=set%3D{}", world.namespace);
    let everywhere = format!("{}?{selector}", all("apps/v1", plural));
    world.items(&everywhere, 1).await?;
    world.delete(&format!("{}?{selector}", world.path("apps/v1", plural))).await?;
    world.items(&everywhere, 0).await?;
    world.items(&world.path("v1", "pods"), 0).await?;
    Ok(())
}

#[tokio::test]
async fn daemonset_list_and_delete_a_collection_of_daemonsets() -> Result<()> {
    collection("DaemonSet", "daemonsets").await
}

#[tokio::test]
async fn replicaset_list_and_delete_a_collection_of_replicasets() -> Result<()> {
    collection("ReplicaSet", "replicasets").await
}

#[tokio::test]
async fn statefulset_list_patch_and_delete_a_collection_of_statefulsets() -> Result<()> {
    collection("StatefulSet", "statefulsets").await
}

#[tokio::test]
async fn deployment_completes_the_lifecycle_of_a_deployment() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("apps/v1", "deployments");
    let mut watch = world.watch_from_now(&path, "labelSelector=app%3Done").await?;
    let one = ready(&world, "Deployment", "deployments", 2).await?;
    watch.until("ADDED", |one| name(one) == "one").await?;
    let patch = json!({"metadata": {"labels": {"test-deployment": "patched"}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [
            {"name": "c", "image": "ticker", "env": [{"name": "A", "value": "B"}]}]}}}});
    let patched = world.patch(&one, STRATEGIC, patch).await?;
    // A Deployment's annotations count too, and its controller writes the revision there.
    let generation = patched["metadata"]["generation"].as_i64();
    watch
        .until("MODIFIED", |one| one["metadata"]["labels"]["test-deployment"] == "patched")
        .await?;
    world
        .until(&one, |one| {
            one["status"]["observedGeneration"].as_i64() >= generation
                && one["status"]["updatedReplicas"] == 1
                && one["status"]["replicas"] == 1
                && one["status"]["readyReplicas"] == 1
        })
        .await?;
    let labelled =
        format!("{}?labelSelector=test-deployment%3Dpatched", all("apps/v1", "deployments"));
    let found = world.get(&labelled).await?;
    ensure!(found.to_string().contains(&world.namespace), "{found}");
    world.update(&one, |one| one["spec"]["replicas"] = 2.into()).await?;
    watch.until("MODIFIED", |one| one["spec"]["replicas"] == 2).await?;
    watch.until("MODIFIED", |one| one["status"]["readyReplicas"] == 2).await?;
    let status = json!({"status": {"readyReplicas": 2}});
    let patched = world.merge(&format!("{one}/status"), status).await?;
    ensure!(patched["status"]["readyReplicas"] == 2, "{patched}");
    world.delete(&one).await?;
    watch.until("DELETED", |one| name(one) == "one").await?;
    Ok(())
}

#[tokio::test]
async fn controllerrevision_resource_lifecycle() -> Result<()> {
    let world = World::new().await?;
    let daemons = ready(&world, "DaemonSet", "daemonsets", 0).await?;
    let path = world.path("apps/v1", "controllerrevisions");
    let selector = format!("{path}?labelSelector=app%3Done");
    let first = world.items(&selector, 1).await?.pop().context("a revision")?;
    let patch = json!({"metadata": {"labels": {"first": "patched"}}});
    let patched = world.merge(&format!("{path}/{}", name(&first)), patch).await?;
    ensure!(patched["metadata"]["labels"]["first"] == "patched", "{patched}");
    let mut second = json!({
        "metadata": {"name": "one-second", "labels": {"app": "one", "second": "made"},
            "ownerReferences": first["metadata"]["ownerReferences"]},
        "data": first["data"], "revision": 2,
    });
    second["metadata"]["ownerReferences"][0]["controller"] = true.into();
    let made = world.post(&path, &second).await?;
    ensure!(made["revision"] == 2 && made["data"] == first["data"], "{made}");
    world.items(&selector, 2).await?;
    let mut changed = made.clone();
    changed["data"] = json!({"other": true});
    let one = format!("{path}/one-second");
    let message = world.refused(http::Method::PUT, &one, &changed, (422, "Invalid")).await?;
    ensure!(
        message.contains("data: Invalid value") && message.contains("field is immutable"),
        "{message}"
    );
    world.update(&one, |one| one["revision"] = 3.into()).await?;
    world.delete(&format!("{path}/{}", name(&first))).await?;
    let labelled = format!("{path}?labelSelector=second%3Dmade");
    world.delete(&labelled).await?;
    world.items(&labelled, 0).await?;
    // The controller makes the revision of its present template again; a template that changed
    // before it did would leave one revision only.
    world.items(&selector, 1).await?;
    let patch = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}});
    world.merge(&daemons, patch).await?;
    world.until(&selector, |list| crate::world::items(list).len() >= 2).await?;
    Ok(())
}
