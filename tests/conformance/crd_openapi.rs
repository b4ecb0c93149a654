//! What the OpenAPI documents say of defined kinds.

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::crd::{define, definition, group, named, object, thing, things, version};
use crate::world::{World, name};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The definition of a kind in the second version of OpenAPI.
async fn v2(world: &World, group: &str, version: &str, kind: &str) -> Result<Option<Value>> {
    let document = world.get("/openapi/v2").await?;
    let found = document["definitions"]
        .as_object()
        .context("definitions")?
        .values()
        .find(|schema| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.into_iter().flatten().any(|one| {
                one["group"] == group && one["version"] == version && one["kind"] == kind
            })
        })
        .cloned();
    Ok(found)
}

/// The same as soon as it is there and `done`.
async fn published(
    world: &World,
    (group, version, kind): (&str, &str, &str),
    done: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let mut last = None;
    for _ in 0..100 {
        last = v2(world, group, version, kind).await?;
        if let Some(schema) = last.as_ref().filter(|schema| done(schema)) {
            return Ok(schema.clone());
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    anyhow::bail!("{group}/{version} {kind} is not published so: {last:?}")
}

/// The same as soon as it is not there.
async fn withdrawn(world: &World, group: &str, version: &str, kind: &str) -> Result<()> {
    for _ in 0..100 {
        if v2(world, group, version, kind).await?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    anyhow::bail!("{group}/{version} {kind} is still published")
}

#[tokio::test]
async fn custom_resource_openapi_publish_with_validation_schema() -> Result<()> {
    let world = World::new().await?;
    let bars = json!({"type": "array", "items": {"type": "object", "required": ["name"],
        "properties": {"name": {"type": "string", "description": "Name of Bar."},
            "age": {"type": "string"}}}});
    let spec = json!({"type": "object", "description": "Specification of Foo",
        "properties": {"bars": bars}});
    let mut definition = definition(&world, json!({"spec": spec}));
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] =
        "Foo CRD for Testing".into();
    define(&world, definition).await?;
    let group = group(&world);
    let schema = published(&world, (&group, "v1", "Thing"), |_| true).await?;
    ensure!(schema["description"] == "Foo CRD for Testing", "{schema}");
    let bars = &schema["properties"]["spec"]["properties"]["bars"]["items"];
    ensure!(bars["required"] == json!(["name"]), "{schema}");
    ensure!(bars["properties"]["name"]["description"] == "Name of Bar.", "{schema}");
    ensure!(
        schema["properties"]["metadata"]["$ref"].is_string()
            || schema["properties"]["metadata"]["allOf"].is_array(),
        "{schema}"
    );
    // What does not fit is refused with what the schema says.
    let bad = thing(&world, "bad", json!({"spec": {"bars": [{"age": "10"}]}}));
    let path = things(&world);
    let message = world.refused(Method::POST, &path, &bad, (422, "Invalid")).await?;
    ensure!(message.contains("spec.bars[0].name: Required value"), "{message}");
    let good = thing(&world, "good", json!({"spec": {"bars": [{"name": "x"}]}}));
    world.post(&path, &good).await?;
    Ok(())
}

/// The kind is published, and keeps what its schema does not know where it says so.
async fn preserving(properties: Value, root: bool) -> Result<()> {
    let world = World::new().await?;
    let mut definition = definition(&world, properties);
    if root {
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        *schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    define(&world, definition).await?;
    let group = group(&world);
    published(&world, (&group, "v1", "Thing"), |_| true).await?;
    let more = json!({"spec": {"anything": {"at": ["all"]}}});
    let path = things(&world);
    let made = world.post(&path, &thing(&world, "any", more.clone())).await?;
    ensure!(made["spec"] == more["spec"], "{made}");
    Ok(())
}

#[tokio::test]
async fn custom_resource_openapi_publish_with_x_kubernetes_preserve_unknown_fields_at_root()
-> Result<()> {
    preserving(json!({}), true).await
}

#[tokio::test]
async fn custom_resource_openapi_publish_with_x_kubernetes_preserve_unknown_fields_in_object()
-> Result<()> {
    let spec = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    preserving(json!({"spec": spec}), false).await
}

#[tokio::test]
async fn custom_resource_openapi_publish_with_x_kubernetes_preserve_unknown_fields_in_embedded_object()
-> Result<()> {
    let world = World::new().await?;
    let embedded = json!({"type": "object", "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true});
    define(&world, definition(&world, json!({"spec": embedded}))).await?;
    let group = group(&world);
    let schema = published(&world, (&group, "v1", "Thing"), |_| true).await?;
    ensure!(schema["properties"]["spec"]["type"] == "object", "{schema}");
    let inner =
        json!({"apiVersion": "v1", "kind": "Any", "metadata": {"name": "x"}, "data": {"a": 1}});
    let path = things(&world);
    let made = world.post(&path, &thing(&world, "any", json!({"spec": inner}))).await?;
    ensure!(made["spec"] == inner, "{made}");
    let nameless = thing(&world, "none", json!({"spec": {"data": 1}}));
    world.refused(Method::POST, &path, &nameless, (422, "Invalid")).await?;
    Ok(())
}

fn schema() -> Value {
    object(json!({"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}))
}

#[tokio::test]
async fn custom_resource_openapi_publish_varying_groups() -> Result<()> {
    let world = World::new().await?;
    let groups = [format!("a.{}", group(&world)), format!("b.{}", group(&world))];
    for group in &groups {
        define(&world, named(group, "Thing", json!([version("v1", true, schema())]))).await?;
    }
    for group in &groups {
        published(&world, (group, "v1", "Thing"), |_| true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn custom_resource_openapi_publish_varying_versions() -> Result<()> {
    let world = World::new().await?;
    let group = group(&world);
    let versions = json!([version("v2", true, schema()), version("v3", false, schema())]);
    define(&world, named(&group, "Thing", versions)).await?;
    for version in ["v2", "v3"] {
        published(&world, (&group, version, "Thing"), |_| true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn custom_resource_openapi_publish_varying_kinds() -> Result<()> {
    let world = World::new().await?;
    let group = group(&world);
    for kind in ["Thing", "Other"] {
        define(&world, named(&group, kind, json!([version("v4", true, schema())]))).await?;
    }
    for kind in ["Thing", "Other"] {
        published(&world, (&group, "v4", kind), |_| true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn custom_resource_openapi_publish_version_rename() -> Result<()> {
    let world = World::new().await?;
    let group = group(&world);
    let versions = json!([version("v2", true, schema()), version("v3", false, schema())]);
    let crd = define(&world, named(&group, "Thing", versions)).await?;
    published(&world, (&group, "v3", "Thing"), |_| true).await?;
    let path = format!("{CRDS}/{}", name(&crd));
    world.update(&path, |crd| crd["spec"]["versions"][1]["name"] = "v4".into()).await?;
    published(&world, (&group, "v4", "Thing"), |_| true).await?;
    withdrawn(&world, &group, "v3", "Thing").await?;
    published(&world, (&group, "v2", "Thing"), |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn custom_resource_openapi_publish_stop_serving_version() -> Result<()> {
    let world = World::new().await?;
    let group = group(&world);
    let versions = json!([version("v5", true, schema()), version("v6alpha1", false, schema())]);
    let crd = define(&world, named(&group, "Thing", versions)).await?;
    published(&world, (&group, "v6alpha1", "Thing"), |_| true).await?;
    let path = format!("{CRDS}/{}", name(&crd));
    world.update(&path, |crd| crd["spec"]["versions"][1]["served"] = false.into()).await?;
    withdrawn(&world, &group, "v6alpha1", "Thing").await?;
    world.gone(&crate::world::all(&format!("{group}/v6alpha1"), "things")).await?;
    published(&world, (&group, "v5", "Thing"), |_| true).await?;
    Ok(())
}
