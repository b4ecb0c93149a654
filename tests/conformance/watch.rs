//! Watches of ConfigMaps: everybody sees everything, once, in one order.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::world::{World, name};

fn map(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"watch": label}}})
}

fn version(object: &Value) -> Result<String> {
    Ok(object["metadata"]["resourceVersion"].as_str().context("a version")?.to_owned())
}

/// Makes the change number `mutation`.
async fn mutate(world: &World, path: &str, mutation: u32) -> Result<Value> {
    world.merge(path, json!({"data": {"mutation": mutation.to_string()}})).await
}

#[tokio::test]
async fn watch_configmaps_with_multiple_watchers() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "configmaps");
    let mut a = world.watch_from_now(&path, "labelSelector=watch%3Da").await?;
    let mut b = world.watch_from_now(&path, "labelSelector=watch%3Db").await?;
    let mut both = world.watch_from_now(&path, "labelSelector=watch%20in%20(a,b)").await?;
    let one = format!("{path}/a");
    world.post(&path, &map("a", "a")).await?;
    mutate(&world, &one, 1).await?;
    mutate(&world, &one, 2).await?;
    world.delete(&one).await?;
    world.post(&path, &map("b", "b")).await?;
    world.delete(&format!("{path}/b")).await?;
    let first =
        [("ADDED", "a", ""), ("MODIFIED", "a", "1"), ("MODIFIED", "a", "2"), ("DELETED", "a", "2")];
    let second = [("ADDED", "b", ""), ("DELETED", "b", "")];
    let all: Vec<_> = first.iter().chain(&second).copied().collect();
    for (watch, expected) in [(&mut a, &first[..]), (&mut b, &second[..]), (&mut both, &all[..])] {
        for wanted in expected {
            let (kind, object) = watch.event().await?;
            let mutation = object["data"]["mutation"].as_str().unwrap_or_default();
            ensure!(
                (kind.as_str(), name(&object).as_str(), mutation) == *wanted,
                "{kind} {object}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn watch_configmaps_from_resource_version() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "configmaps");
    world.post(&path, &map("map", "version")).await?;
    let one = format!("{path}/map");
    let from = version(&mutate(&world, &one, 1).await?)?;
    mutate(&world, &one, 2).await?;
    world.delete(&one).await?;
    let mut watch = world
        .watch(&format!("{path}?labelSelector=watch%3Dversion&resourceVersion={from}"))
        .await?;
    let (kind, object) = watch.event().await?;
    ensure!(kind == "MODIFIED" && object["data"]["mutation"] == "2", "{kind} {object}");
    let (kind, object) = watch.event().await?;
    ensure!(kind == "DELETED" && object["data"]["mutation"] == "2", "{kind} {object}");
    Ok(())
}

#[tokio::test]
async fn watch_configmaps_closed_and_restarted() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "configmaps");
    let mut watch = world.watch_from_now(&path, "labelSelector=watch%3Dagain").await?;
    world.post(&path, &map("map", "again")).await?;
    let one = format!("{path}/map");
    mutate(&world, &one, 1).await?;
    watch.until("ADDED", |_| true).await?;
    let last = version(&watch.until("MODIFIED", |_| true).await?)?;
    drop(watch);
    mutate(&world, &one, 2).await?;
    let from = format!("{path}?labelSelector=watch%3Dagain&resourceVersion={last}");
    let mut watch = world.watch(&from).await?;
    world.delete(&one).await?;
    let (kind, object) = watch.event().await?;
    ensure!(kind == "MODIFIED" && object["data"]["mutation"] == "2", "{kind} {object}");
    let (kind, _) = watch.event().await?;
    ensure!(kind == "DELETED", "{kind}");
    Ok(())
}

#[tokio::test]
async fn watch_configmaps_label_changed() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "configmaps");
    let mut watch = world.watch_from_now(&path, "labelSelector=watch%3Dyes").await?;
    world.post(&path, &map("map", "yes")).await?;
    let one = format!("{path}/map");
    mutate(&world, &one, 1).await?;
    world.merge(&one, json!({"metadata": {"labels": {"watch": "no"}}})).await?;
    // Nobody who selects it sees what happens while it is not selected.
    mutate(&world, &one, 2).await?;
    world.merge(&one, json!({"metadata": {"labels": {"watch": "yes"}}})).await?;
    mutate(&world, &one, 3).await?;
    world.delete(&one).await?;
    let expected = [
        ("ADDED", ""),
        ("MODIFIED", "1"),
        ("DELETED", "1"),
        ("ADDED", "2"),
        ("MODIFIED", "3"),
        ("DELETED", "3"),
    ];
    for wanted in expected {
        let (kind, object) = watch.event().await?;
        let mutation = object["data"]["mutation"].as_str().unwrap_or_default();
        ensure!((kind.as_str(), mutation) == wanted, "{wanted:?}: {kind} {object}");
    }
    Ok(())
}

#[tokio::test]
async fn watch_consistency() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "configmaps");
    let mut whole = world.watch_from_now(&path, "labelSelector=watch").await?;
    let mut versions = Vec::new();
    for number in 0..30 {
        let one = format!("{path}/map-{}", number % 5);
        if number < 5 {
            world.post(&path, &map(&format!("map-{number}"), "all")).await?;
        } else if number % 7 == 0 {
            world.delete(&one).await?;
            whole_version(&mut whole, &mut versions).await?;
            world.post(&path, &map(&format!("map-{}", number % 5), "all")).await?;
        } else {
            mutate(&world, &one, number).await?;
        }
        whole_version(&mut whole, &mut versions).await?;
    }
    // A watch that begins anywhere in between sees just the rest, in the same order.
    for start in [0, 3, 11, versions.len() - 2] {
        let from = format!("{path}?labelSelector=watch&resourceVersion={}", versions[start]);
        let mut watch = world.watch(&from).await?;
        for expected in &versions[start + 1..] {
            let (kind, object) = watch.event().await?;
            ensure!(version(&object)? == *expected, "after {start}: {kind} {object}");
        }
    }
    Ok(())
}

async fn whole_version(watch: &mut crate::world::Watch, versions: &mut Vec<String>) -> Result<()> {
    let (_, object) = watch.event().await?;
    versions.push(version(&object)?);
    Ok(())
}
