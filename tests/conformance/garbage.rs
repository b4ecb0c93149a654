//! The garbage collector: what owners take with them, and what they leave.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::world::{World, items, name, pod, workload};

const RC: &str = "replicationcontrollers";

/// A ReplicationController with that many pods, which exist.
async fn controller(world: &World, name: &str, replicas: i64) -> Result<(String, Value)> {
    let path = world.path("v1", RC);
    let created = world.post(&path, &workload("ReplicationController", name, replicas)).await?;
    let pods = world.path("v1", &format!("pods?labelSelector=app%3D{name}"));
    world.items(&pods, usize::try_from(replicas)?).await?;
    let one = format!("{path}/{name}");
    world.until(&one, |rc| rc["status"]["replicas"] == replicas).await?;
    Ok((one, created))
}

fn owner(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
    })
}

#[tokio::test]
async fn garbage_collector_delete_replication_controller_propagation_policy_background()
-> Result<()> {
    let world = World::new().await?;
    let (one, _) = controller(&world, "rc", 2).await?;
    world.delete_with(&one, json!({"propagationPolicy": "Background"})).await?;
    world.items(&world.path("v1", "pods"), 0).await?;
    world.gone(&one).await
}

#[tokio::test]
async fn garbage_collector_delete_replication_controller_propagation_policy_orphan() -> Result<()> {
    let world = World::new().await?;
    let (one, _) = controller(&world, "rc", 2).await?;
    world.delete_with(&one, json!({"propagationPolicy": "Orphan"})).await?;
    world.gone(&one).await?;
    let orphaned = |list: &Value| {
        items(list).len() == 2
            && items(list).iter().all(|pod| pod["metadata"]["ownerReferences"].is_null())
    };
    world.until(&world.path("v1", "pods"), orphaned).await?;
    // The collector lets them be.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    ensure!(orphaned(&world.get(&world.path("v1", "pods")).await?));
    Ok(())
}

async fn deployment(world: &World) -> Result<String> {
    let path = world.path("apps/v1", "deployments");
    world.post(&path, &workload("Deployment", "dep", 2)).await?;
    world.items(&world.path("apps/v1", "replicasets"), 1).await?;
    world.items(&world.path("v1", "pods"), 2).await?;
    Ok(format!("{path}/dep"))
}

#[tokio::test]
async fn garbage_collector_delete_deployment_propagation_policy_background() -> Result<()> {
    let world = World::new().await?;
    let one = deployment(&world).await?;
    world.delete_with(&one, json!({"propagationPolicy": "Background"})).await?;
    world.items(&world.path("apps/v1", "replicasets"), 0).await?;
    world.items(&world.path("v1", "pods"), 0).await?;
    Ok(())
}

#[tokio::test]
async fn garbage_collector_delete_deployment_propagation_policy_orphan() -> Result<()> {
    let world = World::new().await?;
    let one = deployment(&world).await?;
    world.delete_with(&one, json!({"propagationPolicy": "Orphan"})).await?;
    world.gone(&one).await?;
    let sets = world.items(&world.path("apps/v1", "replicasets"), 1).await?;
    let set = world.path("apps/v1", &format!("replicasets/{}", name(&sets[0])));
    world.until(&set, |set| set["metadata"]["ownerReferences"].is_null()).await?;
    let pods = world.items(&world.path("v1", "pods"), 2).await?;
    for pod in pods {
        ensure!(pod["metadata"]["ownerReferences"][0]["name"] == name(&sets[0]), "{pod}");
    }
    Ok(())
}

/// Deleted in the foreground, the owner stays until what it owns is gone.
#[tokio::test]
async fn garbage_collector_delete_replication_controller_after_owned_pods() -> Result<()> {
    let world = World::new().await?;
    let (one, _) = controller(&world, "rc", 2).await?;
    let pods = world.items(&world.path("v1", "pods"), 2).await?;
    let held = world.path("v1", &format!("pods/{}", name(&pods[0])));
    world.merge(&held, json!({"metadata": {"finalizers": ["example.com/held"]}})).await?;
    world.delete_with(&one, json!({"propagationPolicy": "Foreground"})).await?;
    world.items(&world.path("v1", "pods"), 1).await?;
    let waiting = world.get(&one).await?;
    ensure!(waiting["metadata"]["deletionTimestamp"].is_string(), "{waiting}");
    ensure!(waiting["metadata"]["finalizers"] == json!(["foregroundDeletion"]), "{waiting}");
    world.merge(&held, json!({"metadata": {"finalizers": null}})).await?;
    world.gone(&one).await?;
    world.items(&world.path("v1", "pods"), 0).await?;
    Ok(())
}

/// What has two owners outlives the one that is deleted in the foreground.
#[tokio::test]
async fn garbage_collector_multiple_owners() -> Result<()> {
    let world = World::new().await?;
    let (dying, _) = controller(&world, "dying", 4).await?;
    let (_, staying) = controller(&world, "staying", 0).await?;
    let pods = world.items(&world.path("v1", "pods?labelSelector=app%3Ddying"), 4).await?;
    for pod in &pods[..2] {
        let path = world.path("v1", &format!("pods/{}", name(pod)));
        world
            .update(&path, |pod| {
                if let Some(owners) = pod["metadata"]["ownerReferences"].as_array_mut() {
                    owners.push(owner(&staying));
                }
            })
            .await?;
    }
    world.delete_with(&dying, json!({"propagationPolicy": "Foreground"})).await?;
    world.gone(&dying).await?;
    let left = world.items(&world.path("v1", "pods?labelSelector=app%3Ddying"), 2).await?;
    for pod in left {
        let owners = &pod["metadata"]["ownerReferences"];
        ensure!(owners.as_array().is_some_and(|all| all.len() == 1), "{owners}");
        ensure!(owners[0]["name"] == "staying", "{owners}");
        ensure!(pod["metadata"]["deletionTimestamp"].is_null(), "{pod}");
    }
    Ok(())
}

#[tokio::test]
async fn garbage_collector_dependency_cycle() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "pods");
    let mut made = Vec::new();
    for number in 1..=3 {
        made.push(world.post(&path, &pod(&format!("pod{number}"), json!({}))).await?);
    }
    for number in 0..3 {
        let mut reference = owner(&made[(number + 2) % 3]);
        (reference["apiVersion"], reference["kind"]) = ("v1".into(), "Pod".into());
        reference["blockOwnerDeletion"] = true.into();
        reference["controller"] = true.into();
        let patch = json!({"metadata": {"ownerReferences": [reference]}});
        world.merge(&format!("{path}/{}", name(&made[number])), patch).await?;
    }
    world.delete_with(&format!("{path}/pod1"), json!({"propagationPolicy": "Foreground"})).await?;
    world.items(&path, 0).await?;
    Ok(())
}
