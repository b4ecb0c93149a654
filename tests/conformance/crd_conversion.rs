//! Defined kinds whose versions a webhook converts into each other.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::crd::{define, group, named, object, version};
use crate::hook::Hook;
use crate::world::World;

/// `v1` has a host and a port together, `v2` apart.
fn convert(request: &Value) -> Value {
    let desired = &request["desiredAPIVersion"];
    let objects = request["objects"].as_array().cloned().unwrap_or_default();
    let converted: Vec<Value> = objects
        .into_iter()
        .map(|mut one| {
            let to_v2 = desired.as_str().is_some_and(|version| version.ends_with("/v2"));
            if to_v2 && one["hostPort"].is_string() {
                let both = one["hostPort"].as_str().unwrap_or_default().to_owned();
                let (host, port) = both.split_once(':').unwrap_or((both.as_str(), ""));
                (one["host"], one["port"]) = (host.into(), port.into());
                one.as_object_mut().map(|one| one.remove("hostPort"));
            } else if !to_v2 && one["host"].is_string() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                one["hostPort"] = format!("{}:{}", text(&one["host"]), text(&one["port"])).into();
                one.as_object_mut().map(|one| (one.remove("host"), one.remove("port")));
            }
            one["apiVersion"] = desired.clone();
            one
        })
        .collect();
    json!({"result": {"status": "Success"}, "convertedObjects": converted})
}

/// A definition of two versions, the first stored, and the webhook between them.
async fn two_versions(world: &World) -> Result<Hook> {
    let hook = Hook::serve(|_, request| convert(request)).await?;
    let text = json!({"type": "string"});
    let versions = json!([
        version("v1", true, object(json!({"hostPort": text}))),
        version("v2", false, object(json!({"host": text, "port": text}))),
    ]);
    let mut definition = named(&group(world), "Thing", versions);
    definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "clientConfig": hook.client("/convert"), "conversionReviewVersions": ["v1", "v1beta1"],
    }});
    define(world, definition).await?;
    Ok(hook)
}

fn make(world: &World, version: &str, name: &str, content: Value) -> (String, Value) {
    let group_version = format!("{}/{version}", group(world));
    let mut body =
        json!({"apiVersion": group_version, "kind": "Thing", "metadata": {"name": name}});
    for (key, value) in content.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    (world.path(&group_version, "things"), body)
}

#[tokio::test]
async fn custom_resource_definition_conversion_webhook_conversion_custom_resource() -> Result<()> {
    let world = World::new().await?;
    let hook = two_versions(&world).await?;
    let (path, body) = make(&world, "v1", "one", json!({"hostPort": "localhost:7070"}));
    world.post(&path, &body).await?;
    let (path, _) = make(&world, "v2", "one", json!({}));
    let read = world.get(&format!("{path}/one")).await?;
    ensure!(read["host"] == "localhost" && read["port"] == "7070", "{read}");
    ensure!(read["hostPort"].is_null(), "{read}");
    ensure!(!hook.seen().is_empty(), "the webhook was not asked");
    Ok(())
}

#[tokio::test]
async fn custom_resource_definition_conversion_webhook_convert_mixed_version_list() -> Result<()> {
    let world = World::new().await?;
    let _hook = two_versions(&world).await?;
    let (first, body) = make(&world, "v1", "one", json!({"hostPort": "localhost:7070"}));
    world.post(&first, &body).await?;
    let (second, body) = make(&world, "v2", "two", json!({"host": "elsewhere", "port": "8080"}));
    world.post(&second, &body).await?;
    // Now the other version is stored: the list has objects of both.
    let crd =
        format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{}", group(&world));
    world
        .update(&crd, |crd| {
            crd["spec"]["versions"][0]["storage"] = false.into();
            crd["spec"]["versions"][1]["storage"] = true.into();
        })
        .await?;
    let (_, body) = make(&world, "v2", "three", json!({"host": "third", "port": "9090"}));
    world.post(&second, &body).await?;
    let list = world.items(&first, 3).await?;
    ensure!(
        list.iter().all(|one| one["hostPort"].is_string() && one["host"].is_null()),
        "{list:?}"
    );
    let list = world.items(&second, 3).await?;
    ensure!(
        list.iter().all(|one| one["host"].is_string() && one["hostPort"].is_null()),
        "{list:?}"
    );
    Ok(())
}
