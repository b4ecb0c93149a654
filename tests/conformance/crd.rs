//! CustomResourceDefinitions, and the objects of the kinds that they define.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::world::{World, all, condition, items, name, names};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A group of the test's own.
pub(crate) fn group(world: &World) -> String {
    format!("{}.example.com", world.namespace)
}

/// A definition of the kind `Thing` with the version `v1` of that schema for its properties.
pub(crate) fn definition(world: &World, properties: Value) -> Value {
    named(&group(world), "Thing", json!([version("v1", true, object(properties))]))
}

/// A definition of the kind `kind` with those versions.
pub(crate) fn named(group: &str, kind: &str, versions: Value) -> Value {
    let singular = kind.to_lowercase();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{singular}s.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "versions": versions,
            "names": {"plural": format!("{singular}s"), "singular": singular, "kind": kind,
                      "listKind": format!("{kind}List")},
        },
    })
}

/// A version; one of them is stored.
pub(crate) fn version(name: &str, storage: bool, schema: Value) -> Value {
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}})
}

/// A schema of an object with those properties.
pub(crate) fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

/// Makes a definition and waits until its kind is served.
pub(crate) async fn define(world: &World, definition: Value) -> Result<Value> {
    let created = world.post(CRDS, &definition).await?;
    let path = format!("{CRDS}/{}", name(&created));
    let established =
        world.until(&path, |crd| condition(crd, "Established")["status"] == "True").await?;
    let spec = &definition["spec"];
    for version in spec["versions"].as_array().context("versions")? {
        if version["served"] == true {
            let group_version = format!("{}/{}", text(&spec["group"]), text(&version["name"]));
            world.until(&all(&group_version, text(&spec["names"]["plural"])), |_| true).await?;
        }
    }
    Ok(established)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An object of the kind `Thing`.
pub(crate) fn thing(world: &World, name: &str, more: Value) -> Value {
    let mut thing = json!({
        "apiVersion": format!("{}/v1", group(world)), "kind": "Thing", "metadata": {"name": name},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        thing[key] = value.clone();
    }
    thing
}

/// The path of the things in the test's namespace.
pub(crate) fn things(world: &World) -> String {
    world.path(&format!("{}/v1", group(world)), "things")
}

#[tokio::test]
async fn custom_resource_definition_create() -> Result<()> {
    let world = World::new().await?;
    let created = define(&world, definition(&world, json!({}))).await?;
    ensure!(created["status"]["acceptedNames"] == created["spec"]["names"], "{created}");
    ensure!(created["status"]["storedVersions"] == json!(["v1"]), "{created}");
    let path = format!("{CRDS}/{}", name(&created));
    world.delete(&path).await?;
    world.gone(&path).await?;
    world.gone(&things(&world)).await
}

#[tokio::test]
async fn custom_resource_definition_status_sub_resource() -> Result<()> {
    let world = World::new().await?;
    let crd = define(&world, definition(&world, json!({}))).await?;
    let status = format!("{CRDS}/{}/status", name(&crd));
    ensure!(world.get(&status).await?["status"] == crd["status"]);
    let conditions = json!([{"type": "StatusUpdate", "status": "True", "reason": "E2E",
        "message": "Set by a test", "lastTransitionTime": "2026-01-02T03:04:05Z"}]);
    let updated = world
        .update(&status, |crd| {
            let mut all = crd["status"]["conditions"].as_array().cloned().unwrap_or_default();
            all.extend(conditions.as_array().cloned().unwrap_or_default());
            crd["status"]["conditions"] = all.into();
        })
        .await?;
    ensure!(condition(&updated, "StatusUpdate")["reason"] == "E2E", "{updated}");
    let mut patch = updated["status"]["conditions"].clone();
    let last = patch.as_array_mut().and_then(|all| all.last_mut()).context("conditions")?;
    last["reason"] = "Patched".into();
    let patched = world.merge(&status, json!({"status": {"conditions": patch}})).await?;
    ensure!(patched["status"]["conditions"].as_array().is_some_and(|all| all.len() >= 3));
    ensure!(patched["spec"] == crd["spec"], "{patched}");
    Ok(())
}

#[tokio::test]
async fn custom_resource_definition_list() -> Result<()> {
    let world = World::new().await?;
    let kinds = ["One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];
    for (number, kind) in kinds.iter().enumerate() {
        let versions = json!([version("v1", true, object(json!({})))]);
        let mut crd = named(&group(&world), kind, versions);
        let label = if number < 9 { world.namespace.clone() } else { world.unique("other") };
        crd["metadata"]["labels"] = json!({"crd-list": label});
        world.post(CRDS, &crd).await?;
    }
    let selected = format!("{CRDS}?labelSelector=crd-list%3D{}", world.namespace);
    world.items(&selected, 9).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    let other = format!("{CRDS}?labelSelector=crd-list%3D{}", world.unique("other"));
    world.items(&other, 1).await?;
    Ok(())
}

#[tokio::test]
async fn custom_resource_definition_watch() -> Result<()> {
    let world = World::new().await?;
    define(&world, definition(&world, json!({"content": {"type": "string"}}))).await?;
    let path = things(&world);
    let mut watch = world.watch_from_now(&path, "fieldSelector=metadata.name!%3Dignored").await?;
    for name in ["a", "ignored", "b"] {
        world.post(&path, &thing(&world, name, json!({}))).await?;
    }
    for name in ["a", "b"] {
        world.merge(&format!("{path}/{name}"), json!({"content": "changed"})).await?;
        world.delete(&format!("{path}/{name}")).await?;
    }
    for (kind, wanted) in [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("MODIFIED", "b"),
        ("DELETED", "b"),
    ] {
        let (found, object) = watch.event().await?;
        ensure!((found.as_str(), name(&object).as_str()) == (kind, wanted), "{found} {object}");
    }
    Ok(())
}

#[tokio::test]
async fn custom_resource_definition_defaulting() -> Result<()> {
    let world = World::new().await?;
    let plain = json!({"a": {"type": "string"}, "b": {"type": "string"}});
    let crd = define(&world, definition(&world, plain)).await?;
    let crd = format!("{CRDS}/{}", name(&crd));
    let path = things(&world);
    world.post(&path, &thing(&world, "first", json!({}))).await?;
    let defaults = |a: Value, b: Value| json!({"a": a, "b": b});
    let with = json!({"type": "string", "default": "A"});
    let without = json!({"type": "string"});
    let properties = defaults(with, without.clone());
    world
        .update(&crd, |crd| {
            let version = &mut crd["spec"]["versions"][0];
            version["schema"]["openAPIV3Schema"]["properties"] = properties.clone();
        })
        .await?;
    let first = format!("{path}/first");
    world.until(&first, |thing| thing["a"] == "A" && thing["b"].is_null()).await?;
    let second = world.post(&path, &thing(&world, "second", json!({}))).await?;
    ensure!(second["a"] == "A", "{second}");
    let properties = defaults(without, json!({"type": "string", "default": "B"}));
    world
        .update(&crd, |crd| {
            let version = &mut crd["spec"]["versions"][0];
            version["schema"]["openAPIV3Schema"]["properties"] = properties.clone();
        })
        .await?;
    // What was defaulted at creation is stored; what was only read with a default is not.
    world.until(&format!("{path}/second"), |one| one["a"] == "A" && one["b"] == "B").await?;
    world.until(&first, |one| one["a"].is_null() && one["b"] == "B").await?;
    Ok(())
}

#[tokio::test]
async fn custom_resource_definition_field_selectors_list_watch_register_informers() -> Result<()> {
    let world = World::new().await?;
    let properties = json!({"color": {"type": "string"}, "quantity": {"type": "integer"}});
    let mut crd = definition(&world, properties);
    crd["spec"]["versions"][0]["selectableFields"] =
        json!([{"jsonPath": ".color"}, {"jsonPath": ".quantity"}]);
    define(&world, crd).await?;
    let path = things(&world);
    let mut blue = world.watch_from_now(&path, "fieldSelector=color%3Dblue").await?;
    for (name, color, quantity) in [("a", "blue", 1), ("b", "green", 2), ("c", "blue", 2)] {
        let more = json!({"color": color, "quantity": quantity});
        world.post(&path, &thing(&world, name, more)).await?;
    }
    for (selector, expected) in [
        ("color%3Dblue", vec!["a", "c"]),
        ("color!%3Dblue", vec!["b"]),
        ("quantity%3D2", vec!["b", "c"]),
        ("color%3Dblue,quantity%3D2", vec!["c"]),
    ] {
        let list = world.get(&format!("{path}?fieldSelector={selector}")).await?;
        ensure!(names(items(&list)) == expected, "{selector}: {list}");
    }
    world.merge(&format!("{path}/a"), json!({"color": "green"})).await?;
    for (kind, wanted) in [("ADDED", "a"), ("ADDED", "c"), ("DELETED", "a")] {
        let (found, object) = blue.event().await?;
        ensure!((found.as_str(), name(&object).as_str()) == (kind, wanted), "{found} {object}");
    }
    let unknown = format!("{path}?fieldSelector=size%3D1");
    world.refused(http::Method::GET, &unknown, &Value::Null, (400, "BadRequest")).await?;
    Ok(())
}
