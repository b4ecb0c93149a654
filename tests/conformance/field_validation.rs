//! Fields that nobody knows, and fields that come twice.

use anyhow::{Result, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::crd::{define, definition, group, object, thing, things};
use crate::world::{APPLY, World, workload};

/// The message of a strict refusal.
async fn strict(
    world: &World,
    method: Method,
    path: &str,
    kind: &str,
    body: &str,
) -> Result<String> {
    let answer = world.call(method.clone(), path, kind, body).await?;
    ensure!(answer.code == 400, "{method} {path} {body}: {answer:?}");
    let status = answer.json()?;
    ensure!(status["reason"] == "BadRequest", "{status}");
    Ok(status["message"].as_str().unwrap_or_default().to_owned())
}

/// An apply of a field that the schema does not have. Kubernetes gives no reason for its refusal,
/// which makes it an error of the server's.
async fn not_declared(world: &World, path: &str, body: &Value, field: &str) -> Result<()> {
    let answer = world.call(Method::PATCH, path, APPLY, body.to_string()).await?;
    let status = answer.json()?;
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(answer.code == 500 && status["reason"].is_null(), "{answer:?}");
    ensure!(message.starts_with("failed to create typed patch object ("), "{answer:?}");
    ensure!(message.ends_with(&format!("): {field}: field not declared in schema")), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn server_side_field_validation_typed_object() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("apps/v1", "deployments");
    let mut body = workload("Deployment", "dep", 0);
    body["spec"]["unknownField"] = "unknown".into();
    let text = body
        .to_string()
        .replace("\"replicas\":0", "\"replicas\":0,\"paused\":true,\"paused\":false");
    let post = format!("{path}?fieldValidation=Strict");
    let message = strict(&world, Method::POST, &post, "application/json", &text).await?;
    ensure!(message.contains("strict decoding error:"), "{message}");
    ensure!(message.contains("unknown field \"spec.unknownField\""), "{message}");
    ensure!(message.contains("duplicate field \"spec.paused\""), "{message}");
    // Who asks for warnings is warned, and has the last of two.
    let warned = format!("{path}?fieldValidation=Warn&dryRun=All");
    let answer = world.call(Method::POST, &warned, "application/json", text).await?;
    ensure!(answer.code == 201 && answer.warnings.len() == 2, "{answer:?}");
    let apply = format!("{path}/dep?fieldManager=test&fieldValidation=Strict");
    not_declared(&world, &apply, &body, ".spec.unknownField").await
}

#[tokio::test]
async fn server_side_field_validation_typed_unknown_metadata() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("apps/v1", "deployments");
    let mut body = workload("Deployment", "dep", 0);
    body["metadata"]["unknownMeta"] = "unknown".into();
    body["spec"]["template"]["metadata"]["unknownInnerMeta"] = "unknown".into();
    let post = format!("{path}?fieldValidation=Strict");
    let message =
        strict(&world, Method::POST, &post, "application/json", &body.to_string()).await?;
    ensure!(message.contains("unknown field \"metadata.unknownMeta\""), "{message}");
    let inner = "unknown field \"spec.template.metadata.unknownInnerMeta\"";
    ensure!(message.contains(inner), "{message}");
    Ok(())
}

fn apply(world: &World, name: &str) -> String {
    format!("{}/{name}?fieldManager=test&fieldValidation=Strict", things(world))
}

fn schema() -> Value {
    let ports = json!({"type": "array", "x-kubernetes-list-map-keys": ["containerPort"],
        "x-kubernetes-list-type": "map", "items": {"type": "object", "required": ["containerPort"],
            "properties": {"containerPort": {"type": "integer"}, "name": {"type": "string"}}}});
    let spec =
        object(json!({"foo": {"type": "string"}, "cronSpec": {"type": "string"}, "ports": ports}));
    json!({"spec": spec})
}

#[tokio::test]
async fn server_side_field_validation_unknown_fields_cr_no_validation_schema() -> Result<()> {
    let world = World::new().await?;
    let mut crd = definition(&world, json!({}));
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    define(&world, crd).await?;
    let body = thing(&world, "any", json!({"spec": {"unknown": "uk1", "cronSpec": "* * * * */5"}}));
    let made = world.patch(&apply(&world, "any"), APPLY, body).await?;
    ensure!(made["spec"]["unknown"] == "uk1", "{made}");
    Ok(())
}

#[tokio::test]
async fn server_side_field_validation_valid_cr_with_validation_schema() -> Result<()> {
    let world = World::new().await?;
    define(&world, definition(&world, schema())).await?;
    let ports = json!([{"name": "x", "containerPort": 80}]);
    let body = thing(&world, "good", json!({"spec": {"foo": "f", "ports": ports}}));
    let made = world.patch(&apply(&world, "good"), APPLY, body).await?;
    ensure!(made["spec"]["ports"] == ports, "{made}");
    Ok(())
}

#[tokio::test]
async fn server_side_field_validation_unknown_fields_cr_fails_validation() -> Result<()> {
    let world = World::new().await?;
    define(&world, definition(&world, schema())).await?;
    let body = thing(&world, "bad", json!({"spec": {"foo": "f", "unknown": "uk1"}}));
    let path = format!("{}?fieldValidation=Strict", things(&world));
    let message =
        strict(&world, Method::POST, &path, "application/json", &body.to_string()).await?;
    ensure!(message.contains("unknown field \"spec.unknown\""), "{message}");
    not_declared(&world, &apply(&world, "bad"), &body, ".spec.unknown").await
}

#[tokio::test]
async fn server_side_field_validation_cr_duplicates() -> Result<()> {
    let world = World::new().await?;
    let mut crd = definition(&world, schema());
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-preserve-unknown-fields"] =
        true.into();
    define(&world, crd).await?;
    let body = format!(
        "{{\"apiVersion\":\"{}/v1\",\"kind\":\"Thing\",\"metadata\":{{\"name\":\"twice\"}},\
         \"spec\":{{\"foo\":\"a\",\"foo\":\"b\"}},\"unknown\":1,\"unknown\":2}}",
        group(&world)
    );
    let path = format!("{}?fieldValidation=Strict", things(&world));
    let message = strict(&world, Method::POST, &path, "application/json", &body).await?;
    ensure!(message.contains("duplicate field \"spec.foo\""), "{message}");
    ensure!(message.contains("duplicate field \"unknown\""), "{message}");
    Ok(())
}

#[tokio::test]
async fn server_side_field_validation_unknown_metadata() -> Result<()> {
    let world = World::new().await?;
    let embedded = json!({"type": "object", "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true});
    define(&world, definition(&world, json!({"template": embedded}))).await?;
    let metadata = json!({"name": "inner", "unknownSubMeta": "unknown"});
    let inner = json!({"apiVersion": "v1", "kind": "Any", "metadata": metadata});
    let mut body = thing(&world, "bad", json!({"template": inner}));
    body["metadata"]["unknownMeta"] = "unknown".into();
    let path = format!("{}?fieldValidation=Strict", things(&world));
    let message =
        strict(&world, Method::POST, &path, "application/json", &body.to_string()).await?;
    ensure!(message.contains("unknown field \"metadata.unknownMeta\""), "{message}");
    ensure!(message.contains("unknown field \"template.metadata.unknownSubMeta\""), "{message}");
    Ok(())
}
