//! Pod disruption budgets, and evictions that they refuse.

use anyhow::{Result, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::lifecycle::discovered;
use crate::world::{World, all, condition, items, pod};

const GROUP: &str = "policy/v1";

fn budget(name: &str, minimum: Value) -> Value {
    json!({
        "apiVersion": GROUP, "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "labels": {"budget": "yes"}},
        "spec": {"minAvailable": minimum, "selector": {"matchLabels": {"app": "guarded"}}},
    })
}

async fn guarded(world: &World, count: usize) -> Result<()> {
    let pods = world.path("v1", "pods");
    for number in 0..count {
        world.post(&pods, &pod(&format!("pod-{number}"), json!({"app": "guarded"}))).await?;
    }
    let ready = |pod: &Value| condition(pod, "Ready")["status"] == "True";
    world.until(&pods, |list| items(list).iter().filter(|pod| ready(pod)).count() == count).await?;
    Ok(())
}

#[tokio::test]
async fn poddisruptionbudget_create_update_patch_and_delete_object() -> Result<()> {
    let world = World::new().await?;
    discovered(&world, GROUP, &["poddisruptionbudgets", "poddisruptionbudgets/status"]).await?;
    let path = world.path(GROUP, "poddisruptionbudgets");
    world.post(&path, &budget("one", "1%".into())).await?;
    let one = format!("{path}/one");
    world.until(&one, |one| one["status"]["observedGeneration"] == 1).await?;
    let updated = world.update(&one, |one| one["spec"]["minAvailable"] = "2%".into()).await?;
    ensure!(updated["spec"]["minAvailable"] == "2%", "{updated}");
    world.until(&one, |one| one["status"]["observedGeneration"] == 2).await?;
    let patched = world.merge(&one, json!({"spec": {"minAvailable": "3%"}})).await?;
    ensure!(patched["metadata"]["generation"] == 3, "{patched}");
    world.delete(&one).await?;
    world.gone(&one).await
}

#[tokio::test]
async fn poddisruptionbudget_list_and_delete_collection() -> Result<()> {
    let world = World::new().await?;
    let path = world.path(GROUP, "poddisruptionbudgets");
    for name in ["one", "two"] {
        world.post(&path, &budget(name, 1.into())).await?;
    }
    let list = world.get(&all(GROUP, "poddisruptionbudgets")).await?;
    let here = |one: &&Value| one["metadata"]["namespace"] == world.namespace.as_str();
    ensure!(items(&list).iter().filter(here).count() == 2, "{list}");
    let selected = format!("{path}?labelSelector=budget%3Dyes");
    world.items(&selected, 2).await?;
    world.delete(&selected).await?;
    world.items(&path, 0).await?;
    Ok(())
}

#[tokio::test]
async fn poddisruptionbudget_status_updates() -> Result<()> {
    let world = World::new().await?;
    let path = world.path(GROUP, "poddisruptionbudgets");
    world.post(&path, &budget("one", 1.into())).await?;
    guarded(&world, 3).await?;
    let one = format!("{path}/one");
    let status = world.until(&one, |one| one["status"]["disruptionsAllowed"] == 2).await?;
    let status = &status["status"];
    ensure!(status["currentHealthy"] == 3 && status["expectedPods"] == 3, "{status}");
    ensure!(status["desiredHealthy"] == 1, "{status}");
    Ok(())
}

#[tokio::test]
async fn poddisruptionbudget_update_and_patch_status() -> Result<()> {
    let world = World::new().await?;
    let path = world.path(GROUP, "poddisruptionbudgets");
    world.post(&path, &budget("one", 1.into())).await?;
    guarded(&world, 1).await?;
    let one = format!("{path}/one");
    world.until(&one, |one| one["status"]["currentHealthy"] == 1).await?;
    let status = format!("{one}/status");
    let disrupted = json!({"pod-0": "2026-01-02T03:04:05Z"});
    let updated =
        world.update(&status, |one| one["status"]["disruptedPods"] = disrupted.clone()).await?;
    ensure!(updated["status"]["disruptedPods"] == disrupted, "{updated}");
    let patch = json!({"status": {"disruptedPods": {"pod-1": "2026-01-02T03:04:05Z"}}});
    let patched = world.merge(&status, patch).await?;
    ensure!(patched["status"]["disruptedPods"]["pod-1"].is_string(), "{patched}");
    ensure!(patched["spec"] == updated["spec"], "{patched}");
    Ok(())
}

#[tokio::test]
async fn poddisruptionbudget_block_an_eviction_until_the_pdb_is_updated_to_allow_it() -> Result<()>
{
    let world = World::new().await?;
    let path = world.path(GROUP, "poddisruptionbudgets");
    world.post(&path, &budget("one", 3.into())).await?;
    guarded(&world, 3).await?;
    let one = format!("{path}/one");
    let counted = |allowed: i64| {
        move |one: &Value| {
            one["status"]["disruptionsAllowed"] == allowed
                && one["status"]["currentHealthy"] == 3
                && one["status"]["observedGeneration"] == one["metadata"]["generation"]
        }
    };
    world.until(&one, counted(0)).await?;
    let evict = world.path("v1", "pods/pod-0/eviction");
    let eviction = json!({"apiVersion": GROUP, "kind": "Eviction", "metadata": {"name": "pod-0"}});
    let refused = (429, "TooManyRequests");
    let message = world.refused(Method::POST, &evict, &eviction, refused).await?;
    ensure!(
        message.contains("Cannot evict pod as it would violate the pod's disruption budget."),
        "{message}"
    );
    ensure!(
        world.get(&world.path("v1", "pods/pod-0")).await?["metadata"]["deletionTimestamp"]
            .is_null()
    );
    world.update(&one, |one| one["spec"]["minAvailable"] = 2.into()).await?;
    world.until(&one, counted(1)).await?;
    world.post(&evict, &eviction).await?;
    world.gone(&world.path("v1", "pods/pod-0")).await
}
