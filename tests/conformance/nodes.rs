//! Node objects as an API.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::world::{World, all};

#[tokio::test]
async fn node_resource_lifecycle() -> Result<()> {
    let world = World::new().await?;
    let path = all("v1", "nodes");
    let node = world.unique("fake");
    // Nothing is placed on it.
    let body = json!({"metadata": {"name": node}, "spec": {"unschedulable": true}});
    world.post(&path, &body).await?;
    let one = format!("{path}/{node}");
    ensure!(world.get(&one).await?["metadata"]["name"] == node.as_str());
    let patched = world.merge(&one, json!({"metadata": {"labels": {"fake": node}}})).await?;
    ensure!(patched["metadata"]["labels"]["fake"] == node.as_str(), "{patched}");
    world.items(&format!("{path}?labelSelector=fake%3D{node}"), 1).await?;
    let updated =
        world.update(&one, |one| one["metadata"]["labels"]["updated"] = "yes".into()).await?;
    ensure!(updated["metadata"]["labels"]["updated"] == "yes", "{updated}");
    world.delete(&format!("{path}?labelSelector=fake%3D{node}")).await?;
    world.gone(&one).await
}
