//! Pods as an API: lifecycle, generation, status, what they may not ask for.

use anyhow::{Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::world::{STRATEGIC, World, all, condition, name, pod};

async fn running(world: &World, body: &Value) -> Result<String> {
    let path = world.path("v1", "pods");
    world.post(&path, body).await?;
    let one = format!("{path}/{}", name(body));
    world.until(&one, |pod| pod["status"]["phase"] == "Running").await?;
    Ok(one)
}

#[tokio::test]
async fn pods_delete_a_collection() -> Result<()> {
    let world = World::new().await?;
    for number in 0..3 {
        running(&world, &pod(&format!("pod-{number}"), json!({"type": "Testing"}))).await?;
    }
    let selected = world.path("v1", "pods?labelSelector=type%3DTesting");
    world.items(&selected, 3).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    Ok(())
}

#[tokio::test]
async fn pods_qos() -> Result<()> {
    let world = World::new().await?;
    for (name, resources, class) in [
        (
            "guaranteed",
            json!({"requests": {"cpu": "100m", "memory": "100Mi"},
            "limits": {"cpu": "100m", "memory": "100Mi"}}),
            "Guaranteed",
        ),
        ("burstable", json!({"requests": {"cpu": "10m"}}), "Burstable"),
        ("best-effort", json!({}), "BestEffort"),
    ] {
        let mut body = pod(name, json!({}));
        body["spec"]["containers"][0]["resources"] = resources;
        let made = world.post(&world.path("v1", "pods"), &body).await?;
        ensure!(made["status"]["qosClass"] == class, "{made}");
    }
    Ok(())
}

#[tokio::test]
async fn pods_patching_status() -> Result<()> {
    let world = World::new().await?;
    let one = running(&world, &pod("pod", json!({}))).await?;
    let status = format!("{one}/status");
    let entry = json!({"type": "TestStatus", "status": "True", "reason": "E2E", "message": "Set by a test"});
    let patch = json!({"status": {"conditions": [entry], "message": "Patched by a test"}});
    let patched = world.patch(&status, STRATEGIC, patch).await?;
    ensure!(condition(&patched, "TestStatus")["reason"] == "E2E", "{patched}");
    ensure!(patched["status"]["message"] == "Patched by a test", "{patched}");
    // The others, merged by their type, are still there.
    ensure!(!condition(&patched, "Ready").is_null(), "{patched}");
    Ok(())
}

#[tokio::test]
async fn pods_completes_the_lifecycle_of_a_pod_and_the_podstatus() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "pods");
    let mut watch = world.watch_from_now(&path, "labelSelector=test-pod-static%3Dtrue").await?;
    let one = running(&world, &pod("pod", json!({"test-pod-static": "true"}))).await?;
    watch.until("ADDED", |pod| name(pod) == "pod").await?;
    watch.until("MODIFIED", |pod| pod["status"]["phase"] == "Running").await?;
    let patch = json!({"metadata": {"labels": {"test-pod": "patched"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "ticker"}]}});
    let body = serde_json::to_vec(&patch)?;
    let refused = world.call(Method::PATCH, &one, STRATEGIC, body).await?;
    ensure!(refused.code == 422, "only some fields of a pod may change: {refused:?}");
    let patch = json!({"metadata": {"labels": {"test-pod": "patched"}},
        "spec": {"containers": [{"name": "c", "image": "ticker"}]}});
    world.patch(&one, STRATEGIC, patch).await?;
    watch.until("MODIFIED", |pod| pod["metadata"]["labels"]["test-pod"] == "patched").await?;
    let status = format!("{one}/status");
    let changed = world
        .update(&status, |pod| {
            let mut all = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            for entry in &mut all {
                if entry["type"] == "Ready" {
                    entry["message"] = "replaced".into();
                }
            }
            pod["status"]["conditions"] = all.into();
        })
        .await?;
    ensure!(condition(&changed, "Ready")["message"] == "replaced", "{changed}");
    world.delete(&format!("{path}?labelSelector=test-pod-static%3Dtrue")).await?;
    watch.until("DELETED", |pod| name(pod) == "pod").await?;
    world.gone(&one).await
}

#[tokio::test]
async fn pods_generation_updates() -> Result<()> {
    let world = World::new().await?;
    let one = running(&world, &pod("pod", json!({}))).await?;
    ensure!(world.get(&one).await?["metadata"]["generation"] == 1);
    let labelled = world.merge(&one, json!({"metadata": {"labels": {"a": "b"}}})).await?;
    ensure!(labelled["metadata"]["generation"] == 1, "labels are no part of the spec: {labelled}");
    let toleration = json!({"key": "foo", "operator": "Exists", "effect": "NoSchedule"});
    let updated = world
        .update(&one, |pod| {
            if let Some(all) = pod["spec"]["tolerations"].as_array_mut() {
                all.push(toleration.clone());
            }
        })
        .await?;
    ensure!(updated["metadata"]["generation"] == 2, "{updated}");
    let updated = world.merge(&one, json!({"spec": {"activeDeadlineSeconds": 5000}})).await?;
    ensure!(updated["metadata"]["generation"] == 3, "{updated}");
    world.until(&one, |pod| pod["status"]["observedGeneration"] == 3).await?;
    Ok(())
}

#[tokio::test]
async fn pods_generation_500_updates() -> Result<()> {
    let world = World::new().await?;
    let one = running(&world, &pod("pod", json!({}))).await?;
    for number in 0..499 {
        let deadline = 100_000 - number;
        world.merge(&one, json!({"spec": {"activeDeadlineSeconds": deadline}})).await?;
    }
    let settled = world.until(&one, |pod| pod["status"]["observedGeneration"] == 500).await?;
    ensure!(settled["metadata"]["generation"] == 500, "{settled}");
    Ok(())
}

#[tokio::test]
#[ignore = "see not-yet.toml"]
async fn ephemeral_container_update_ephemeral_containers() -> Result<()> {
    let world = World::new().await?;
    let one = running(&world, &pod("pod", json!({}))).await?;
    let path = format!("{one}/ephemeralcontainers");
    for (count, debugger) in [(1, "debugger"), (2, "debugger2")] {
        let container = json!({"name": debugger, "image": "ticker"});
        let added = world.update(&path.replace("/ephemeralcontainers", ""), |_| {}).await.map(
            |mut pod| {
                let mut all =
                    pod["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
                all.push(container);
                pod["spec"]["ephemeralContainers"] = all.into();
                pod
            },
        )?;
        let body = json!({"spec": {"ephemeralContainers": added["spec"]["ephemeralContainers"]}});
        let answer = world.patch(&path, STRATEGIC, body).await?;
        let all = answer["spec"]["ephemeralContainers"].as_array().map_or(0, Vec::len);
        ensure!(all == count, "{answer}");
        world
            .until(&one, |pod| {
                let all = pod["status"]["ephemeralContainerStatuses"].as_array();
                all.into_iter().flatten().filter(|one| !one["state"]["running"].is_null()).count()
                    == count
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn pod_with_the_non_existing_runtimeclass_is_rejected() -> Result<()> {
    let world = World::new().await?;
    let mut body = pod("pod", json!({}));
    body["spec"]["runtimeClassName"] = world.unique("none").into();
    let refused = (403, "Forbidden");
    let message = world.refused(Method::POST, &world.path("v1", "pods"), &body, refused).await?;
    let name = world.unique("none");
    let expected = format!("pod rejected: RuntimeClass \"{name}\" not found");
    ensure!(message.contains(&expected), "{message}");
    Ok(())
}

#[tokio::test]
async fn runtimeclass_overhead_field_must_be_respected() -> Result<()> {
    let world = World::new().await?;
    let overhead = json!({"cpu": "10m", "memory": "1Mi"});
    let class = json!({"metadata": {"name": world.unique("class")}, "handler": "handler",
        "overhead": {"podFixed": overhead}});
    world.post(&all("node.k8s.io/v1", "runtimeclasses"), &class).await?;
    let mut body = pod("pod", json!({}));
    body["spec"]["runtimeClassName"] = world.unique("class").into();
    let path = world.path("v1", "pods");
    for _ in 0..50 {
        let answer = world.call(Method::POST, &path, "application/json", body.to_string()).await?;
        if answer.code == 201 {
            let made = answer.json()?;
            ensure!(made["spec"]["overhead"] == overhead, "{made}");
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    bail!("the class is never known")
}

#[tokio::test]
async fn sysctls_reject_invalid_sysctls() -> Result<()> {
    let world = World::new().await?;
    let mut body = pod("pod", json!({}));
    body["spec"]["securityContext"] = json!({"sysctls": [
        {"name": "foo-", "value": "bar"},
        {"name": "kernel.shmmax", "value": "100000000"},
        {"name": "safe-and-unsafe", "value": "100000000"},
        {"name": "bar..", "value": "42"},
    ]});
    let refused = (422, "Invalid");
    let message = world.refused(Method::POST, &world.path("v1", "pods"), &body, refused).await?;
    for (index, name) in [(0, "foo-"), (3, "bar..")] {
        let expected =
            format!("spec.securityContext.sysctls[{index}].name: Invalid value: \"{name}\"");
        ensure!(message.contains(&expected), "{message}");
    }
    ensure!(!message.contains("sysctls[1].name: Invalid"), "{message}");
    Ok(())
}
