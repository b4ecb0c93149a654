//! ConfigMaps, Secrets, Leases, PodTemplates and other objects that nobody but their readers acts on.

use anyhow::{Result, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::lifecycle::{Resource, lifecycle};
use crate::world::{STRATEGIC, World, all, items, name, names};

const INVALID: (u16, &str) = (422, "Invalid");

#[tokio::test]
async fn configmap_with_empty_key() -> Result<()> {
    let world = World::new().await?;
    let body = json!({"metadata": {"name": "empty"}, "data": {"": "value"}});
    let path = world.path("v1", "configmaps");
    let message = world.refused(Method::POST, &path, &body, INVALID).await?;
    ensure!(message.contains("data[]: Invalid value: \"\""), "{message}");
    Ok(())
}

#[tokio::test]
async fn secrets_with_empty_key() -> Result<()> {
    let world = World::new().await?;
    let body = json!({"metadata": {"name": "empty"}, "data": {"": "dmFsdWU="}});
    let path = world.path("v1", "secrets");
    let message = world.refused(Method::POST, &path, &body, INVALID).await?;
    ensure!(message.contains("data[]: Invalid value: \"\""), "{message}");
    Ok(())
}

#[tokio::test]
async fn configmap_lifecycle() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "configmaps");
    let mut watch = world.watch_from_now(&path, "labelSelector=test%3Dstatic").await?;
    let labels = json!({"test": "static"});
    let body = json!({"metadata": {"name": "map", "labels": labels}, "data": {"value": "before"}});
    world.post(&path, &body).await?;
    watch.until("ADDED", |one| name(one) == "map").await?;
    let map = format!("{path}/map");
    let patch = json!({"metadata": {"labels": {"stage": "patched"}}, "data": {"value": "after"}});
    world.patch(&map, STRATEGIC, patch).await?;
    let changed = watch.until("MODIFIED", |one| name(one) == "map").await?;
    ensure!(changed["data"]["value"] == "after", "{changed}");
    ensure!(world.get(&map).await?["metadata"]["labels"]["stage"] == "patched");
    let everywhere = format!("{}?labelSelector=test%3Dstatic", all("v1", "configmaps"));
    let list = world.get(&everywhere).await?;
    let here = |one: &&Value| one["metadata"]["namespace"] == world.namespace.as_str();
    ensure!(items(&list).iter().filter(here).count() == 1, "{list}");
    world.delete(&format!("{path}?labelSelector=test%3Dstatic")).await?;
    watch.until("DELETED", |one| name(one) == "map").await?;
    world.items(&format!("{path}?labelSelector=test%3Dstatic"), 0).await?;
    Ok(())
}

/// Immutable data stays as it is, and stays immutable; labels may change.
async fn immutability(resource: &str, before: &str, after: &str) -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", resource);
    world.post(&path, &json!({"metadata": {"name": "fixed"}, "data": {"key": before}})).await?;
    let object = format!("{path}/fixed");
    world.update(&object, |one| one["data"]["key"] = after.into()).await?;
    world.update(&object, |one| one["immutable"] = true.into()).await?;
    let read = world.get(&object).await?;
    let mut changed = read.clone();
    changed["data"]["key"] = before.into();
    let message = world.refused(Method::PUT, &object, &changed, INVALID).await?;
    ensure!(message.contains("field is immutable when `immutable` is set"), "{message}");
    let mut changed = read.clone();
    changed["immutable"] = false.into();
    let message = world.refused(Method::PUT, &object, &changed, INVALID).await?;
    ensure!(message.contains("immutable: Forbidden"), "{message}");
    let labelled =
        world.update(&object, |one| one["metadata"]["labels"] = json!({"a": "b"})).await?;
    ensure!(labelled["metadata"]["labels"]["a"] == "b", "{labelled}");
    world.delete(&object).await?;
    world.gone(&object).await
}

#[tokio::test]
async fn configmap_volume_immutability() -> Result<()> {
    immutability("configmaps", "one", "two").await
}

#[tokio::test]
async fn secrets_volume_immutability() -> Result<()> {
    immutability("secrets", "b25l", "dHdv").await
}

#[tokio::test]
async fn secret_patching() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "secrets");
    let selected = format!("{path}?labelSelector=testsecret%3Dtrue");
    let labels = json!({"testsecret-constant": "true"});
    let body = json!({
        "metadata": {"name": "secret", "labels": labels}, "data": {"key": "dmFsdWU="}, "type": "Opaque",
    });
    world.post(&path, &body).await?;
    world.items(&selected, 0).await?;
    let patch =
        json!({"metadata": {"labels": {"testsecret": "true"}}, "data": {"key": "dmFsdWUx"}});
    world.patch(&format!("{path}/secret"), STRATEGIC, patch).await?;
    let found = world.items(&selected, 1).await?;
    ensure!(found[0]["data"]["key"] == "dmFsdWUx", "{found:?}");
    world.delete(&selected).await?;
    let left = world.get(&path).await?;
    ensure!(!names(items(&left)).contains(&"secret".to_owned()), "{left}");
    Ok(())
}

#[tokio::test]
async fn lease_api_should_be_available() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("coordination.k8s.io/v1", "leases");
    let spec = json!({
        "holderIdentity": "holder", "leaseDurationSeconds": 30, "leaseTransitions": 0,
        "acquireTime": "2026-01-02T03:04:05.000006Z", "renewTime": "2026-01-02T03:04:06.000007Z",
    });
    let lease = json!({"metadata": {"name": "lease", "labels": {"l": "1"}}, "spec": spec});
    world.post(&path, &lease).await?;
    let one = format!("{path}/lease");
    ensure!(world.get(&one).await?["spec"] == spec, "{}", world.get(&one).await?);
    let updated = world
        .update(&one, |lease| {
            lease["spec"]["holderIdentity"] = "other".into();
            lease["spec"]["leaseTransitions"] = 1.into();
        })
        .await?;
    ensure!(world.get(&one).await?["spec"] == updated["spec"]);
    world.patch(&one, STRATEGIC, json!({"spec": {"leaseDurationSeconds": 60}})).await?;
    ensure!(world.get(&one).await?["spec"]["leaseDurationSeconds"] == 60);
    let second = json!({"metadata": {"name": "second", "labels": {"l": "1"}}, "spec": spec});
    world.post(&path, &second).await?;
    let selected = format!("{path}?labelSelector=l%3D1");
    world.items(&selected, 2).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    world.post(&path, &lease).await?;
    world.delete(&one).await?;
    world.gone(&one).await
}

fn template(name: &str, labels: Value) -> Value {
    let pod = crate::world::pod("ignored", json!({"pod": "yes"}));
    json!({
        "metadata": {"name": name, "labels": labels},
        "template": {"metadata": {"labels": {"pod": "yes"}}, "spec": pod["spec"]},
    })
}

#[tokio::test]
async fn podtemplate_lifecycle() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "podtemplates");
    world.post(&path, &template("template", json!({"static": world.namespace}))).await?;
    let one = format!("{path}/template");
    let patch = json!({"metadata": {"labels": {"podtemplate": "patched"}}});
    world.patch(&one, STRATEGIC, patch).await?;
    ensure!(world.get(&one).await?["metadata"]["labels"]["podtemplate"] == "patched");
    let everywhere = format!(
        "{}?labelSelector=podtemplate%3Dpatched,static%3D{}",
        all("v1", "podtemplates"),
        world.namespace
    );
    world.items(&everywhere, 1).await?;
    world.delete(&one).await?;
    world.items(&everywhere, 0).await?;
    Ok(())
}

#[tokio::test]
async fn podtemplate_replace() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "podtemplates");
    world.post(&path, &template("template", json!({}))).await?;
    let updated = world
        .update(&format!("{path}/template"), |one| {
            one["metadata"]["annotations"] = json!({"updated": "true"});
        })
        .await?;
    ensure!(updated["metadata"]["annotations"]["updated"] == "true", "{updated}");
    Ok(())
}

#[tokio::test]
async fn podtemplate_delete_a_collection() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "podtemplates");
    for number in 0..3 {
        let labels = json!({"podtemplate-set": "true"});
        world.post(&path, &template(&format!("set-{number}"), labels)).await?;
    }
    world.post(&path, &template("other", json!({}))).await?;
    let selected = format!("{path}?labelSelector=podtemplate-set%3Dtrue");
    world.items(&selected, 3).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    world.items(&path, 1).await?;
    Ok(())
}

#[tokio::test]
async fn scheduler_verify_priorityclass_endpoints() -> Result<()> {
    let world = World::new().await?;
    let path = all("scheduling.k8s.io/v1", "priorityclasses");
    let labels = json!({"test": world.namespace});
    for (number, value) in [(1, 1001), (2, 1002)] {
        let name = world.unique(&format!("p{number}"));
        let metadata = json!({"name": name, "labels": labels});
        world.post(&path, &json!({"metadata": metadata, "value": value})).await?;
    }
    let selected = format!("{path}?labelSelector=test%3D{}", world.namespace);
    world.items(&selected, 2).await?;
    let one = format!("{path}/{}", world.unique("p1"));
    let patched = world.merge(&one, json!({"description": "patched"})).await?;
    ensure!(patched["description"] == "patched", "{patched}");
    let updated = world.update(&one, |class| class["description"] = "updated".into()).await?;
    ensure!(updated["description"] == "updated", "{updated}");
    let value = json!({"value": 1003});
    let message = world.refused(Method::PATCH, &one, &value, INVALID).await?;
    ensure!(
        message.contains("value: Invalid value: 1003: field is immutable")
            || message.contains("Forbidden: may not be changed in an update"),
        "{message}"
    );
    let policy = json!({"preemptionPolicy": "Never"});
    world.refused(Method::PATCH, &one, &policy, INVALID).await?;
    world.delete(&selected).await?;
    Ok(())
}

#[tokio::test]
async fn runtimeclass_api() -> Result<()> {
    let world = World::new().await?;
    let resource = Resource {
        group_version: "node.k8s.io/v1",
        plural: "runtimeclasses",
        kind: "RuntimeClass",
        namespaced: false,
        object: json!({"handler": "handler"}),
        status: None,
    };
    lifecycle(&world, &resource).await
}

#[tokio::test]
async fn priority_and_fairness_flowschema_api() -> Result<()> {
    let world = World::new().await?;
    let condition = json!({
        "type": "Dangling", "status": "False", "reason": "Test", "message": "x",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    });
    let resource = Resource {
        group_version: "flowcontrol.apiserver.k8s.io/v1",
        plural: "flowschemas",
        kind: "FlowSchema",
        namespaced: false,
        object: json!({"spec": {
            "matchingPrecedence": 10000,
            "priorityLevelConfiguration": {"name": "global-default"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": "nobody-of-that-name"}}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            }],
        }}),
        status: Some(json!({"conditions": [condition]})),
    };
    lifecycle(&world, &resource).await
}

#[tokio::test]
async fn priority_and_fairness_prioritylevelconfiguration_api() -> Result<()> {
    let world = World::new().await?;
    let condition = json!({
        "type": "Test", "status": "False", "reason": "Test", "message": "x",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    });
    let resource = Resource {
        group_version: "flowcontrol.apiserver.k8s.io/v1",
        plural: "prioritylevelconfigurations",
        kind: "PriorityLevelConfiguration",
        namespaced: false,
        object: json!({"spec": {
            "type": "Limited",
            "limited": {"nominalConcurrencyShares": 2, "limitResponse": {"type": "Reject"}},
        }}),
        status: Some(json!({"conditions": [condition]})),
    };
    lifecycle(&world, &resource).await
}
