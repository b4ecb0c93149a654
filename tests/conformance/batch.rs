//! The API of Jobs and CronJobs.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::lifecycle::{Resource, lifecycle};
use crate::world::{World, all, condition, name, pod};

fn job(name: &str, suspend: bool) -> Value {
    let mut template = pod("ignored", json!({}));
    template["spec"]["restartPolicy"] = "Never".into();
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "labels": {"job": name}},
        "spec": {"parallelism": 2, "completions": 4, "backoffLimit": 6, "suspend": suspend,
            "template": {"spec": template["spec"]}},
    })
}

#[tokio::test]
async fn jobs_manage_lifecycle() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("batch/v1", "jobs");
    let mut watch = world.watch_from_now(&path, "labelSelector=job%3Done").await?;
    world.post(&path, &job("one", true)).await?;
    watch.until("ADDED", |_| true).await?;
    let one = format!("{path}/one");
    let patch = json!({"metadata": {"labels": {"patched": world.namespace}}});
    world.merge(&one, patch).await?;
    watch.until("MODIFIED", |job| !job["metadata"]["labels"]["patched"].is_null()).await?;
    world
        .update(&one, |job| {
            job["spec"]["suspend"] = false.into();
            job["metadata"]["annotations"]["updated"] = "true".into();
        })
        .await?;
    watch.until("MODIFIED", |job| job["metadata"]["annotations"]["updated"] == "true").await?;
    world.until(&one, |job| job["status"]["active"] == 2).await?;
    let selector = format!("labelSelector=patched%3D{}", world.namespace);
    world.items(&format!("{}?{selector}", all("batch/v1", "jobs")), 1).await?;
    let options = json!({"propagationPolicy": "Background"});
    world.delete_with(&format!("{path}?{selector}"), options).await?;
    watch.until("DELETED", |job| name(job) == "one").await?;
    world.items(&world.path("v1", "pods"), 0).await?;
    Ok(())
}

#[tokio::test]
async fn jobs_apply_changes_to_status() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("batch/v1", "jobs");
    world.post(&path, &job("one", false)).await?;
    let one = format!("{path}/one");
    let running = world.until(&one, |job| job["status"]["active"] == 2).await?;
    let status = format!("{one}/status");
    // What the controller may say of a job with that many finished pods, and no more.
    let patch = json!({"metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"startTime": running["status"]["startTime"]}});
    let patched = world.merge(&status, patch).await?;
    ensure!(patched["metadata"]["annotations"]["patchedstatus"] == "true", "{patched}");
    let entry = json!({"type": "Test", "status": "True", "reason": "E2E", "message": "x"});
    let updated = world
        .update(&status, |job| {
            let mut all = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
            all.push(entry.clone());
            job["status"]["conditions"] = all.into();
        })
        .await?;
    ensure!(condition(&updated, "Test")["reason"] == "E2E", "{updated}");
    ensure!(world.get(&status).await?["status"]["startTime"] == running["status"]["startTime"]);
    Ok(())
}

#[tokio::test]
async fn cronjob_api_operations() -> Result<()> {
    let world = World::new().await?;
    let job = job("ignored", false);
    let resource = Resource {
        group_version: "batch/v1",
        plural: "cronjobs",
        kind: "CronJob",
        namespaced: true,
        object: json!({"spec": {"schedule": "0 0 1 1 *", "concurrencyPolicy": "Allow", "suspend": true,
            "jobTemplate": {"spec": job["spec"]}}}),
        status: Some(json!({"lastScheduleTime": "2026-01-02T03:04:05Z"})),
    };
    lifecycle(&world, &resource).await
}
