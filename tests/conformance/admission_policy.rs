//! Admission policies, whose expressions refuse and change requests without a webhook.

use anyhow::{Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::lifecycle::{Resource, lifecycle};
use crate::world::{World, all, condition, workload};

const GROUP: &str = "admissionregistration.k8s.io/v1";

fn deployments() -> Value {
    json!({"resourceRules": [{
        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"],
    }]})
}

/// Makes a policy of `spec` and its binding to the test's namespace.
async fn bind(world: &World, kind: &str, spec: Value, actions: Option<Value>) -> Result<String> {
    let (policies, bindings) = (
        format!("{}ies", kind.to_lowercase().trim_end_matches('y')),
        format!("{}bindings", kind.to_lowercase()),
    );
    let name = world.unique("policy");
    let metadata = json!({"name": name});
    world.post(&all(GROUP, &policies), &json!({"metadata": metadata, "spec": spec})).await?;
    let labels = json!({"kubernetes.io/metadata.name": world.namespace});
    let mut binding = json!({"policyName": name,
        "matchResources": {"namespaceSelector": {"matchLabels": labels}}});
    if let Some(actions) = actions {
        binding["validationActions"] = actions;
    }
    world.post(&all(GROUP, &bindings), &json!({"metadata": metadata, "spec": binding})).await?;
    Ok(format!("{}/{name}", all(GROUP, &policies)))
}

/// Creates deployments without effect until the answer is `wanted`.
async fn settles(
    world: &World,
    replicas: i64,
    wanted: impl Fn(u16, &Value) -> bool,
) -> Result<Value> {
    let path = world.path("apps/v1", "deployments?dryRun=All");
    let body = workload("Deployment", "dep", replicas).to_string();
    let mut last = Value::Null;
    for _ in 0..150 {
        let answer = world.call(Method::POST, &path, "application/json", body.clone()).await?;
        last = answer.json()?;
        if wanted(answer.code, &last) {
            return Ok(last);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    bail!("{last}")
}

async fn refuses_many_replicas(spec: Value) -> Result<()> {
    let world = World::new().await?;
    let policy = bind(&world, "ValidatingAdmissionPolicy", spec, Some(json!(["Deny"]))).await?;
    world.until(&policy, |one| one["status"]["observedGeneration"] == 1).await?;
    let refusal = settles(&world, 1, |code, _| code >= 400).await?;
    let message = refusal["message"].as_str().unwrap_or_default();
    ensure!(refusal["code"] == 422 && refusal["reason"] == "Invalid", "{refusal}");
    ensure!(message.contains("ValidatingAdmissionPolicy"), "{message}");
    ensure!(message.contains("denied request: there must be several replicas"), "{message}");
    let path = world.path("apps/v1", "deployments");
    world.post(&path, &workload("Deployment", "dep", 2)).await?;
    let patch = json!({"spec": {"replicas": 1}});
    world.refused(Method::PATCH, &format!("{path}/dep"), &patch, (422, "Invalid")).await?;
    Ok(())
}

#[tokio::test]
async fn validatingadmissionpolicy() -> Result<()> {
    refuses_many_replicas(json!({
        "matchConstraints": deployments(),
        "validations": [{
            "expression": "object.spec.replicas > 1", "message": "there must be several replicas",
        }],
    }))
    .await
}

#[tokio::test]
async fn validatingadmissionpolicy_2() -> Result<()> {
    refuses_many_replicas(json!({
        "matchConstraints": deployments(),
        "variables": [
            {"name": "replicas", "expression": "object.spec.replicas"},
            {"name": "several", "expression": "variables.replicas > 1"},
        ],
        "validations": [{
            "expression": "variables.several",
            "messageExpression": "'there must be several replicas, not ' + string(variables.replicas)",
        }],
    }))
    .await
}

#[tokio::test]
async fn mutatingadmissionpolicy() -> Result<()> {
    let world = World::new().await?;
    let expression = "Object{spec: Object.spec{replicas: object.spec.replicas + 1}}";
    let spec = json!({
        "matchConstraints": deployments(), "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration",
            "applyConfiguration": {"expression": expression}}],
    });
    bind(&world, "MutatingAdmissionPolicy", spec, None).await?;
    settles(&world, 1, |_, one| one["spec"]["replicas"] == 2).await?;
    Ok(())
}

#[tokio::test]
async fn mutatingadmissionpolicy_2() -> Result<()> {
    let world = World::new().await?;
    let expression = "Object{metadata: Object.metadata{annotations: {'my-foo-annotation': 'myAnnotationValue'}}}";
    let spec = json!({
        "matchConstraints": deployments(), "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration",
            "applyConfiguration": {"expression": expression}}],
    });
    bind(&world, "MutatingAdmissionPolicy", spec, None).await?;
    let annotated =
        |one: &Value| one["metadata"]["annotations"]["my-foo-annotation"] == "myAnnotationValue";
    let one = settles(&world, 1, |_, one| annotated(one)).await?;
    ensure!(one["spec"]["replicas"] == 1, "{one}");
    Ok(())
}

/// Rules for a resource that nobody has.
fn nothing() -> Value {
    json!({"resourceRules": [{
        "apiGroups": ["nothing.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"],
        "resources": ["nothings"],
    }]})
}

async fn policy(
    plural: &'static str,
    kind: &'static str,
    object: Value,
    status: Option<Value>,
) -> Result<()> {
    let world = World::new().await?;
    let resource =
        Resource { group_version: GROUP, plural, kind, namespaced: false, object, status };
    lifecycle(&world, &resource).await
}

#[tokio::test]
async fn validatingadmissionpolicy_api() -> Result<()> {
    let condition = json!({"type": "Test", "status": "False", "reason": "Test", "message": "x",
        "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let spec = json!({"matchConstraints": nothing(),
        "validations": [{"expression": "object.spec.replicas <= 100"}]});
    let status = json!({"conditions": [condition]});
    policy(
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        json!({"spec": spec}),
        Some(status),
    )
    .await
}

#[tokio::test]
async fn validatingadmissionpolicybinding_api() -> Result<()> {
    let spec = json!({"policyName": "no-policy", "validationActions": ["Deny"]});
    let kind = "ValidatingAdmissionPolicyBinding";
    policy("validatingadmissionpolicybindings", kind, json!({"spec": spec}), None).await
}

#[tokio::test]
async fn mutatingadmissionpolicy_api() -> Result<()> {
    let apply = json!({"expression": "Object{spec: Object.spec{replicas: 1}}"});
    let spec = json!({"matchConstraints": nothing(), "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": apply}]});
    policy("mutatingadmissionpolicies", "MutatingAdmissionPolicy", json!({"spec": spec}), None)
        .await
}

#[tokio::test]
async fn mutatingadmissionpolicybinding_api() -> Result<()> {
    let spec = json!({"policyName": "no-policy"});
    let kind = "MutatingAdmissionPolicyBinding";
    policy("mutatingadmissionpolicybindings", kind, json!({"spec": spec}), None).await
}

/// A policy whose expressions do not fit the types says so in its status.
#[tokio::test]
async fn a_policy_reports_what_its_types_do_not_allow() -> Result<()> {
    let world = World::new().await?;
    let spec = json!({
        "matchConstraints": deployments(),
        "validations": [{"expression": "object.spec.replicas > '1'"}],
    });
    let policy = bind(&world, "ValidatingAdmissionPolicy", spec, Some(json!(["Warn"]))).await?;
    let checked = world
        .until(&policy, |one| !one["status"]["typeChecking"]["expressionWarnings"].is_null())
        .await?;
    let warning = &checked["status"]["typeChecking"]["expressionWarnings"][0];
    ensure!(warning["fieldRef"] == "spec.validations[0].expression", "{warning}");
    ensure!(condition(&checked, "None").is_null());
    Ok(())
}
