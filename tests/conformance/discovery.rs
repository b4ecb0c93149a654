//! What the server says of itself: groups, versions, resources, its own version.

use anyhow::{Context, Result, ensure};
use http::{Request, header};
use serde_json::{Value, json};

use crate::crd::{define, definition};
use crate::world::{World, base, name};

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// The aggregated document at `path`, in the first form of `accept` that the server knows.
async fn aggregated(world: &World, path: &str, accept: &str) -> Result<Value> {
    let request = Request::get(path).header(header::ACCEPT, accept).body(Vec::new())?;
    let answer = world.send(request).await?;
    ensure!(answer.code == 200, "{answer:?}");
    let document = answer.json()?;
    ensure!(document["kind"] == "APIGroupDiscoveryList", "{path}: {document}");
    Ok(document)
}

/// Whether an aggregated document has the resource `group/version/resource`.
fn has(document: &Value, group: &str, version: &str, resource: &str) -> bool {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    array(&document["items"])
        .iter()
        .filter(|one| one["metadata"]["name"].as_str().unwrap_or_default() == group)
        .flat_map(|one| array(&one["versions"]))
        .filter(|one| one["version"] == version)
        .flat_map(|one| array(&one["resources"]))
        .any(|one| one["resource"] == resource)
}

const BUILT_IN: &[(&str, &str, &str)] = &[
    ("", "v1", "pods"),
    ("", "v1", "namespaces"),
    ("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "v1", "apiservices"),
    ("apps", "v1", "deployments"),
    ("apps", "v1", "statefulsets"),
    ("authentication.k8s.io", "v1", "tokenreviews"),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    ("autoscaling", "v1", "horizontalpodautoscalers"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("batch", "v1", "jobs"),
    ("batch", "v1", "cronjobs"),
    ("certificates.k8s.io", "v1", "certificatesigningrequests"),
    ("coordination.k8s.io", "v1", "leases"),
    ("discovery.k8s.io", "v1", "endpointslices"),
    ("events.k8s.io", "v1", "events"),
    ("networking.k8s.io", "v1", "ingresses"),
    ("networking.k8s.io", "v1", "networkpolicies"),
    ("node.k8s.io", "v1", "runtimeclasses"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "v1", "roles"),
    ("scheduling.k8s.io", "v1", "priorityclasses"),
    ("storage.k8s.io", "v1", "storageclasses"),
];

async fn built_in(world: &World, accept: &str) -> Result<()> {
    let core = aggregated(world, "/api", accept).await?;
    let groups = aggregated(world, "/apis", accept).await?;
    let missing: Vec<_> = BUILT_IN
        .iter()
        .filter(|(group, version, resource)| {
            !has(if group.is_empty() { &core } else { &groups }, group, version, resource)
        })
        .collect();
    ensure!(missing.is_empty(), "not discovered: {missing:?}");
    Ok(())
}

#[tokio::test]
async fn aggregated_discovery_interface() -> Result<()> {
    built_in(&World::new().await?, V2).await
}

#[tokio::test]
async fn aggregated_discovery_endpoint_accept_headers() -> Result<()> {
    let world = World::new().await?;
    for accept in [format!("{V2},{V2BETA1},application/json"), V2.to_owned()] {
        built_in(&world, &accept).await?;
    }
    let request = Request::get("/apis").header(header::ACCEPT, V2).body(Vec::new())?;
    let answer = world.send(request).await?;
    let kind = answer.content_type.replace(' ', "");
    ensure!(kind.contains("as=APIGroupDiscoveryList") && kind.contains("v=v2"), "{answer:?}");
    // Without a wish for it, the document is the old one.
    ensure!(world.get("/apis").await?["kind"] == "APIGroupList");
    Ok(())
}

/// A defined kind is in the aggregated document as soon as it is established.
async fn defined(accept: &str) -> Result<()> {
    let world = World::new().await?;
    let crd = define(&world, definition(&world, json!({}))).await?;
    let group = crd["spec"]["group"].as_str().context("a group")?.to_owned();
    for _ in 0..100 {
        if has(&aggregated(&world, "/apis", accept).await?, &group, "v1", "things") {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("{} is not discovered", name(&crd))
}

#[tokio::test]
async fn aggregated_discovery_interface_crds() -> Result<()> {
    defined(V2).await
}

#[tokio::test]
async fn aggregated_discovery_endpoint_accept_headers_crds() -> Result<()> {
    defined(&format!("{V2},{V2BETA1},application/json")).await
}

#[tokio::test]
async fn discovery_confirm_the_groupverion_and_a_resourcefrom_each_apigroup() -> Result<()> {
    let world = World::new().await?;
    let groups = world.get("/apis").await?;
    for group in groups["groups"].as_array().context("groups")? {
        for version in group["versions"].as_array().context("versions")? {
            let group_version = version["groupVersion"].as_str().context("a group's version")?;
            // Other tests' definitions come and go.
            if group_version.contains(".example.com/") {
                continue;
            }
            let list = world.get(&base(group_version)).await?;
            ensure!(list["kind"] == "APIResourceList", "{list}");
            ensure!(list["groupVersion"] == group_version, "{list}");
            let first = &list["resources"][0];
            ensure!(first["kind"].as_str().is_some_and(|kind| !kind.is_empty()), "{list}");
            ensure!(first["verbs"].as_array().is_some_and(|verbs| !verbs.is_empty()), "{list}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn discovery_confirm_the_preferredversion_for_each_api_group() -> Result<()> {
    let world = World::new().await?;
    let groups = world.get("/apis").await?;
    let groups = groups["groups"].as_array().context("groups")?;
    ensure!(groups.len() > 10, "only {} groups", groups.len());
    for group in groups {
        let versions = group["versions"].as_array().context("versions")?;
        ensure!(versions.contains(&group["preferredVersion"]), "{group}");
    }
    Ok(())
}

#[tokio::test]
async fn custom_resource_definition_discovery() -> Result<()> {
    let world = World::new().await?;
    let resources = ["customresourcedefinitions", "customresourcedefinitions/status"];
    crate::lifecycle::discovered(&world, "apiextensions.k8s.io/v1", &resources).await
}

#[tokio::test]
async fn confirm_a_server_version() -> Result<()> {
    let version = World::new().await?.get("/version").await?;
    for part in ["major", "minor"] {
        let part = version[part].as_str().context("a version")?;
        ensure!(part.chars().all(|letter| letter.is_ascii_digit()), "{version}");
    }
    Ok(())
}

#[tokio::test]
async fn api_metadata_http_return() -> Result<()> {
    let world = World::new().await?;
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header(header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
        .header(header::CONTENT_TYPE, "application/json")
        .body(serde_json::to_vec(&review)?)?;
    let answer = world.send(request).await?;
    ensure!(answer.code == 406, "{answer:?}");
    ensure!(answer.json()?["reason"] == "NotAcceptable", "{answer:?}");
    Ok(())
}
