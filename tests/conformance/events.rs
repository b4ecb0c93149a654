//! Events in both of their groups.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::world::{STRATEGIC, World, all, items, name};

const GROUP: &str = "events.k8s.io/v1";

fn core(world: &World, name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"testevent": "yes"}},
        "involvedObject": {"kind": "Event", "name": name, "namespace": world.namespace},
        "message": "This is a test event", "reason": "Test", "type": "Normal", "count": 1,
        "source": {"component": "tester"},
    })
}

fn modern(world: &World, name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"testevent-set": "yes"}},
        "regarding": {"kind": "Pod", "name": "pod", "namespace": world.namespace},
        "note": "This is a note", "reason": "Test", "type": "Normal", "action": "Do",
        "reportingController": "test-controller", "reportingInstance": "test-node",
        "eventTime": "2026-01-02T03:04:05.000006Z",
    })
}

#[tokio::test]
async fn event_manage_lifecycle_of_an_event() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "events");
    world.post(&path, &core(&world, "event")).await?;
    let everywhere = format!("{}?labelSelector=testevent%3Dyes", all("v1", "events"));
    let list = world.get(&everywhere).await?;
    let here = |one: &&Value| one["metadata"]["namespace"] == world.namespace.as_str();
    ensure!(items(&list).iter().filter(here).count() == 1, "{list}");
    let one = format!("{path}/event");
    world.patch(&one, STRATEGIC, json!({"message": "patched"})).await?;
    ensure!(world.get(&one).await?["message"] == "patched");
    let series = json!({"count": 100, "lastObservedTime": "2026-01-02T03:04:05.000006Z"});
    world.update(&one, |event| event["series"] = series.clone()).await?;
    ensure!(world.get(&one).await?["series"] == series);
    // The same event, as the other group shows it.
    let modern = world.get(&world.path(GROUP, "events/event")).await?;
    ensure!(modern["note"] == "patched" && modern["regarding"]["name"] == "event", "{modern}");
    world.delete(&one).await?;
    world.gone(&one).await
}

#[tokio::test]
async fn event_delete_a_collection() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "events");
    for number in 0..3 {
        world.post(&path, &core(&world, &format!("event-{number}"))).await?;
    }
    let selected = format!("{path}?labelSelector=testevent%3Dyes");
    world.items(&selected, 3).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    Ok(())
}

#[tokio::test]
async fn new_event_resource_lifecycle_testing_a_single_event() -> Result<()> {
    let world = World::new().await?;
    let path = world.path(GROUP, "events");
    world.post(&path, &modern(&world, "event")).await?;
    let one = format!("{path}/event");
    let found =
        world.get(&format!("{path}?fieldSelector=reportingController%3Dtest-controller")).await?;
    ensure!(items(&found).iter().any(|one| name(one) == "event"), "{found}");
    let series = json!({"count": 2, "lastObservedTime": "2026-01-02T03:05:05.000006Z"});
    let patched = world.patch(&one, STRATEGIC, json!({"series": series})).await?;
    ensure!(patched["series"] == series, "{patched}");
    let series = json!({"count": 100, "lastObservedTime": "2026-01-02T03:06:05.000006Z"});
    let updated = world.update(&one, |event| event["series"] = series.clone()).await?;
    ensure!(updated["series"] == series && updated["note"] == "This is a note", "{updated}");
    let core = world.get(&world.path("v1", "events/event")).await?;
    ensure!(
        core["involvedObject"]["name"] == "pod" && core["message"] == "This is a note",
        "{core}"
    );
    world.delete(&one).await?;
    world.gone(&one).await
}

#[tokio::test]
async fn new_event_resource_lifecycle_testing_a_list_of_events() -> Result<()> {
    let world = World::new().await?;
    let path = world.path(GROUP, "events");
    for number in 0..3 {
        world.post(&path, &modern(&world, &format!("event-{number}"))).await?;
    }
    let selected = format!("{path}?labelSelector=testevent-set%3Dyes");
    world.items(&selected, 3).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    Ok(())
}
