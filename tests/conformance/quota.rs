//! Resource quotas and limit ranges.

use anyhow::{Result, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::world::{World, all, name, pod, workload};

const FORBIDDEN: (u16, &str) = (403, "Forbidden");

fn quota(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

fn hard() -> Value {
    json!({
        "pods": "5", "services": "10", "services.nodeports": "1", "services.loadbalancers": "1",
        "replicationcontrollers": "10", "resourcequotas": "1", "configmaps": "2", "secrets": "10",
        "cpu": "1", "memory": "500Mi", "persistentvolumeclaims": "10",
        "count/replicasets.apps": "5",
    })
}

/// A world with the quota `quota` of `hard`, which has been counted.
async fn world(spec: Value) -> Result<(World, String)> {
    let world = World::new().await?;
    let path = world.path("v1", "resourcequotas");
    world.post(&path, &quota("quota", spec.clone())).await?;
    let path = format!("{path}/quota");
    world.until(&path, |one| one["status"]["hard"] == spec["hard"]).await?;
    Ok((world, path))
}

/// Waits until the quota at `path` counts `value` of `resource`.
async fn used(world: &World, path: &str, resource: &str, value: &str) -> Result<()> {
    world.until(path, |one| one["status"]["used"][resource] == value).await.map(drop)
}

/// An object of a resource counts from its creation to its deletion.
async fn counted(resource: &str, group_version: &str, plural: &str, body: Value) -> Result<()> {
    let (world, quota) = world(json!({"hard": hard()})).await?;
    let before = world.get(&quota).await?["status"]["used"][resource].clone();
    let before: u32 = before.as_str().unwrap_or_default().parse()?;
    let path = world.path(group_version, plural);
    let made = world.post(&path, &body).await?;
    used(&world, &quota, resource, &(before + 1).to_string()).await?;
    world.delete(&format!("{path}/{}", name(&made))).await?;
    used(&world, &quota, resource, &before.to_string()).await
}

#[tokio::test]
async fn resourcequota_object_count_quota_resourcequotas() -> Result<()> {
    let (world, quota) = world(json!({"hard": hard()})).await?;
    used(&world, &quota, "resourcequotas", "1").await?;
    let second = self::quota("second", json!({"hard": {"pods": "1"}}));
    let path = world.path("v1", "resourcequotas");
    let message = world.refused(Method::POST, &path, &second, FORBIDDEN).await?;
    ensure!(message.contains("exceeded quota: quota, requested: resourcequotas=1, used: resourcequotas=1, limited: resourcequotas=1"), "{message}");
    Ok(())
}

#[tokio::test]
async fn resourcequota_object_count_quota_configmap() -> Result<()> {
    let body = json!({"metadata": {"name": "map"}});
    counted("configmaps", "v1", "configmaps", body).await
}

#[tokio::test]
async fn resourcequota_object_count_quota_secret() -> Result<()> {
    counted("secrets", "v1", "secrets", json!({"metadata": {"name": "secret"}})).await
}

#[tokio::test]
async fn resourcequota_object_count_quota_replicationcontroller() -> Result<()> {
    let body = workload("ReplicationController", "rc", 0);
    counted("replicationcontrollers", "v1", "replicationcontrollers", body).await
}

#[tokio::test]
async fn resourcequota_object_count_quota_replicaset() -> Result<()> {
    let body = workload("ReplicaSet", "rs", 0);
    counted("count/replicasets.apps", "apps/v1", "replicasets", body).await
}

#[tokio::test]
async fn resourcequota_object_count_quota_service() -> Result<()> {
    let (world, quota) = world(json!({"hard": hard()})).await?;
    let path = world.path("v1", "services");
    let service = |name: &str, kind: &str| json!({"metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 80}]}});
    world.post(&path, &service("cluster", "ClusterIP")).await?;
    world.post(&path, &service("node", "NodePort")).await?;
    used(&world, &quota, "services", "2").await?;
    used(&world, &quota, "services.nodeports", "1").await?;
    let second = service("second", "NodePort");
    let message = world.refused(Method::POST, &path, &second, FORBIDDEN).await?;
    ensure!(message.contains("services.nodeports=1"), "{message}");
    world.refused(Method::POST, &path, &service("balanced", "LoadBalancer"), FORBIDDEN).await?;
    world.delete(&format!("{path}/node")).await?;
    world.delete(&format!("{path}/cluster")).await?;
    used(&world, &quota, "services", "0").await?;
    used(&world, &quota, "services.nodeports", "0").await
}

/// A pod that asks for that much.
fn asking(name: &str, cpu: &str, memory: &str) -> Value {
    let mut pod = pod(name, json!({}));
    pod["spec"]["containers"][0]["resources"] = json!({
        "requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory},
    });
    pod
}

#[tokio::test]
async fn resourcequota_object_count_quota_pod() -> Result<()> {
    let (world, quota) = world(json!({"hard": hard()})).await?;
    let path = world.path("v1", "pods");
    world.post(&path, &asking("pod", "500m", "252Mi")).await?;
    used(&world, &quota, "cpu", "500m").await?;
    used(&world, &quota, "memory", "252Mi").await?;
    let message =
        world.refused(Method::POST, &path, &asking("big", "600m", "100Mi"), FORBIDDEN).await?;
    ensure!(
        message
            .contains("exceeded quota: quota, requested: cpu=600m, used: cpu=500m, limited: cpu=1"),
        "{message}"
    );
    let bare = pod("bare", json!({}));
    let message = world.refused(Method::POST, &path, &bare, FORBIDDEN).await?;
    ensure!(message.contains("failed quota: quota: must specify cpu"), "{message}");
    world.delete(&format!("{path}/pod")).await?;
    used(&world, &quota, "cpu", "0").await?;
    used(&world, &quota, "pods", "0").await
}

#[tokio::test]
async fn resourcequota_manage_lifecycle_of_a_resourcequota() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "resourcequotas");
    let labels = json!({"quota": world.namespace});
    let mut body = quota("quota", json!({"hard": {"pods": "5"}}));
    body["metadata"]["labels"] = labels;
    world.post(&path, &body).await?;
    let one = format!("{path}/quota");
    let patched = world
        .merge(&one, json!({"metadata": {"labels": {"patched": "yes"}}, "spec": {"hard": {"memory": "750Mi"}}}))
        .await?;
    ensure!(patched["spec"]["hard"] == json!({"pods": "5", "memory": "750Mi"}), "{patched}");
    let everywhere =
        format!("{}?labelSelector=quota%3D{}", all("v1", "resourcequotas"), world.namespace);
    world.items(&everywhere, 1).await?;
    world.delete(&format!("{path}?labelSelector=quota%3D{}", world.namespace)).await?;
    world.items(&everywhere, 0).await?;
    Ok(())
}

#[tokio::test]
async fn resourcequota_update_and_delete() -> Result<()> {
    let (world, quota) = world(json!({"hard": {"cpu": "1", "memory": "500Mi"}})).await?;
    let hard = json!({"cpu": "2", "memory": "1Gi"});
    world.update(&quota, |one| one["spec"]["hard"] = hard.clone()).await?;
    world.until(&quota, |one| one["status"]["hard"] == hard).await?;
    world.delete(&quota).await?;
    world.gone(&quota).await
}

#[tokio::test]
async fn resourcequota_apply_changes_to_a_resourcequota_status() -> Result<()> {
    let (world, quota) = world(json!({"hard": {"cpu": "500m", "memory": "500Mi"}})).await?;
    let status = format!("{quota}/status");
    let hard = json!({"cpu": "1", "memory": "1Gi"});
    // The controller corrects what is written there; what was answered is what was written.
    let updated = world.update(&status, |one| one["status"]["hard"] = hard.clone()).await?;
    ensure!(updated["status"]["hard"] == hard, "{updated}");
    ensure!(updated["spec"]["hard"]["cpu"] == "500m", "{updated}");
    world.until(&quota, |one| one["status"]["hard"] == one["spec"]["hard"]).await?;
    let patched = world.merge(&status, json!({"status": {"hard": hard}})).await?;
    ensure!(patched["status"]["hard"] == hard, "{patched}");
    Ok(())
}

/// Two quotas of opposite scopes each count the pods of theirs.
async fn scopes(first: &str, second: &str, of_first: Value, of_second: Value) -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "resourcequotas");
    for (name, scope) in [("first", first), ("second", second)] {
        let spec = json!({"hard": {"pods": "5"}, "scopes": [scope]});
        world.post(&path, &quota(name, spec)).await?;
        used(&world, &format!("{path}/{name}"), "pods", "0").await?;
    }
    for (body, one, other) in [(of_first, "first", "second"), (of_second, "second", "first")] {
        let pods = world.path("v1", "pods");
        let made = world.post(&pods, &body).await?;
        used(&world, &format!("{path}/{one}"), "pods", "1").await?;
        used(&world, &format!("{path}/{other}"), "pods", "0").await?;
        world.delete(&format!("{pods}/{}", name(&made))).await?;
        used(&world, &format!("{path}/{one}"), "pods", "0").await?;
    }
    Ok(())
}

#[tokio::test]
async fn resourcequota_quota_scope_besteffort_and_notbesteffort_scope() -> Result<()> {
    let asking = asking("burstable", "10m", "10Mi");
    scopes("BestEffort", "NotBestEffort", pod("best-effort", json!({})), asking).await
}

#[tokio::test]
async fn resourcequota_quota_scope_terminating_and_notterminating_scope() -> Result<()> {
    let mut ending = pod("ending", json!({}));
    ending["spec"]["activeDeadlineSeconds"] = 3600.into();
    scopes("Terminating", "NotTerminating", ending, pod("staying", json!({}))).await
}

fn limits(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"limits": [{
        "type": "Container",
        "min": {"cpu": "50m", "memory": "100Mi"}, "max": {"cpu": "500m", "memory": "500Mi"},
        "default": {"cpu": "500m", "memory": "500Mi"},
        "defaultRequest": {"cpu": "100m", "memory": "200Mi"},
    }]}})
}

#[tokio::test]
async fn limitrange_resources() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "limitranges");
    let made = world.post(&path, &limits("limits")).await?;
    ensure!(world.get(&format!("{path}/limits")).await?["spec"] == made["spec"]);
    let pods = world.path("v1", "pods?dryRun=All");
    let resources = |pod: &Value| pod["spec"]["containers"][0]["resources"].clone();
    let defaulted = world.post(&pods, &pod("plain", json!({}))).await?;
    ensure!(
        resources(&defaulted)
            == json!({"requests": {"cpu": "100m", "memory": "200Mi"},
        "limits": {"cpu": "500m", "memory": "500Mi"}}),
        "{defaulted}"
    );
    let mut partial = pod("partial", json!({}));
    partial["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "200m"}, "limits": {"memory": "300Mi"}});
    let partial = world.post(&pods, &partial).await?;
    ensure!(
        resources(&partial)
            == json!({"requests": {"cpu": "200m", "memory": "300Mi"},
        "limits": {"cpu": "500m", "memory": "300Mi"}}),
        "{partial}"
    );
    for (cpu, memory, word) in [("10m", "200Mi", "minimum"), ("600m", "200Mi", "maximum")] {
        let body = asking("outside", cpu, memory);
        let message = world.refused(Method::POST, &pods, &body, FORBIDDEN).await?;
        ensure!(message.contains(&format!("{word} cpu usage per Container is")), "{message}");
    }
    world
        .update(&format!("{path}/limits"), |one| {
            one["spec"]["limits"][0]["min"]["cpu"] = "5m".into();
        })
        .await?;
    world.post(&pods, &asking("small", "10m", "200Mi")).await?;
    world.delete(&format!("{path}/limits")).await?;
    let free = world.post(&pods, &pod("free", json!({}))).await?;
    ensure!(resources(&free) == json!({}), "{free}");
    Ok(())
}

#[tokio::test]
async fn limitrange_list_patch_and_delete_a_limitrange_by_collection() -> Result<()> {
    let (first, second) = (World::new().await?, World::new().await?);
    let mut body = limits("limits");
    body["metadata"]["labels"] = json!({"limits": first.namespace});
    for world in [&first, &second] {
        world.post(&world.path("v1", "limitranges"), &body).await?;
    }
    let selector = format!("labelSelector=limits%3D{}", first.namespace);
    let everywhere = format!("{}?{selector}", all("v1", "limitranges"));
    first.items(&everywhere, 2).await?;
    let one = first.path("v1", "limitranges/limits");
    let patch = json!({"spec": {"limits": [{"type": "Container", "min": {"cpu": "60m"}}]}});
    let patched = first.patch(&one, crate::world::STRATEGIC, patch).await?;
    ensure!(patched["spec"]["limits"].to_string().contains("60m"), "{patched}");
    first.delete(&first.path("v1", &format!("limitranges?{selector}"))).await?;
    let left = first.items(&everywhere, 1).await?;
    ensure!(left[0]["metadata"]["namespace"] == second.namespace.as_str(), "{left:?}");
    Ok(())
}

/// A controller whose pods do not fit says so, and no longer once they do.
#[tokio::test]
async fn replication_controller_check_for_issues_like_exceeding_allocated_quota() -> Result<()> {
    let (world, _) = world(json!({"hard": {"pods": "2"}})).await?;
    let path = world.path("v1", "replicationcontrollers");
    world.post(&path, &workload("ReplicationController", "rc", 3)).await?;
    let one = format!("{path}/rc");
    let failure = |rc: &Value| crate::world::condition(rc, "ReplicaFailure")["status"] == "True";
    let failed = world.until(&one, failure).await?;
    let reason = &crate::world::condition(&failed, "ReplicaFailure")["reason"];
    ensure!(*reason == "FailedCreate", "{failed}");
    world.update(&one, |rc| rc["spec"]["replicas"] = 2.into()).await?;
    world.until(&one, |rc| !failure(rc)).await?;
    Ok(())
}
