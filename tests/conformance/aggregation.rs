//! API servers behind this one: the sample-apiserver's group, served by a server of ours.

use anyhow::{Context, Result, ensure};
use harness::{Cluster, Options};
use http::Method;
use serde_json::{Value, json};

use crate::crd::{named, object, version};
use crate::world::{JSON, MERGE, World, base, condition, items, name};

const GROUP: &str = "wardle.example.com";
const VERSION: &str = "wardle.example.com/v1alpha1";
const APISERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A server that serves the group, and believes the one in front as the ConfigMap says that is made
/// for extensions.
async fn extension(world: &World) -> Result<Cluster> {
    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let told = world.get(path).await?;
    let authority = told["data"]["requestheader-client-ca-file"].as_str();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), authority.context("an authority of proxies")?)?;
    let names = &told["data"]["requestheader-allowed-names"];
    ensure!(names == r#"["front-proxy-client"]"#, "{told}");
    let file = file.path().to_str().context("a path that is no text")?.to_owned();
    let arguments = ["--nodes", "1", "--ephemeral", "--requestheader-client-ca-file", &file];
    let arguments = arguments.map(str::to_owned).into();
    let cluster = Cluster::start_with(Options { arguments, ..Options::default() }).await?;
    let schema = object(json!({
        "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } }));
    let versions = json!([version("v1alpha1", true, schema)]);
    let client = cluster.client().await?;
    for kind in ["Flunder", "Fischer"] {
        let body = serde_json::to_vec(&named(GROUP, kind, versions.clone()))?;
        let request =
            http::Request::post(CRDS).header(http::header::CONTENT_TYPE, "application/json");
        client.request::<Value>(request.body(body)?).await?;
    }
    Ok(cluster)
}

fn flunder(name: &str) -> Value {
    json!({ "apiVersion": VERSION, "kind": "Flunder",
        "metadata": { "name": name, "labels": { "sample-label": "true" } } })
}

#[tokio::test]
async fn aggregator_supports_the_sample_apiserver() -> Result<()> {
    let world = World::new().await?;
    let extension = extension(&world).await?;
    let port: u16 = extension.url().rsplit(':').next().context("a port")?.parse()?;
    let service = json!({ "metadata": { "name": "sample-api" },
        "spec": { "type": "ExternalName", "externalName": "localhost" } });
    world.post(&world.path("v1", "services"), &service).await?;
    let registration = json!({
        "metadata": { "name": "v1alpha1.wardle.example.com", "labels": { "e2e": world.namespace } },
        "spec": {
            "group": GROUP, "version": "v1alpha1", "insecureSkipTLSVerify": true,
            "groupPriorityMinimum": 2000, "versionPriority": 200,
            "service": { "namespace": world.namespace, "name": "sample-api", "port": port },
        },
    });
    world.post(APISERVICES, &registration).await?;
    let path = format!("{APISERVICES}/v1alpha1.wardle.example.com");
    let available = |object: &Value| condition(object, "Available")["status"] == "True";
    let registered = world.until(&path, available).await?;
    ensure!(condition(&registered, "Available")["reason"] == "Passed", "{registered}");

    // It stands among the other groups.
    let groups = world.get("/apis").await?;
    let groups = groups["groups"].as_array().context("groups")?;
    let own = groups.iter().find(|group| group["name"] == GROUP).context("the group")?;
    ensure!(own["preferredVersion"]["groupVersion"] == VERSION, "{own}");
    let resources = world.get(&base(VERSION)).await?;
    ensure!(resources["groupVersion"] == VERSION, "{resources}");

    // Its objects are used like any others.
    let flunders = world.path(VERSION, "flunders");
    let missing = world.refused(Method::POST, &flunders, &json!({}), (400, "BadRequest")).await;
    ensure!(missing.is_ok(), "{missing:?}");
    extension_namespace(&extension, &world.namespace).await?;
    let mut watch = world.watch(&format!("{flunders}?resourceVersion=0")).await?;
    world.post(&flunders, &flunder("test-flunder")).await?;
    ensure!(name(&watch.event().await?.1) == "test-flunder", "another object's event");
    let one = format!("{flunders}/test-flunder");
    ensure!(name(&world.get(&one).await?) == "test-flunder", "another object");
    let list = world.get(&flunders).await?;
    ensure!(items(&list).len() == 1 && list["kind"] == "FlunderList", "{list}");
    world.delete(&one).await?;
    ensure!(watch.until("DELETED", |_| true).await.is_ok(), "no event");
    world.gone(&one).await?;

    // So is its registration.
    let status = format!("{path}/status");
    let read = world.get(&status).await?;
    ensure!(available(&read), "{read}");
    let patched = world.patch(&path, MERGE, json!({ "spec": { "versionPriority": 400 } })).await?;
    ensure!(patched["spec"]["versionPriority"] == 400, "{patched}");
    let all = world.get(APISERVICES).await?;
    ensure!(items(&all).iter().any(|one| name(one) == name(&registered)), "{all}");
    let label = json!([{ "op": "add", "path": "/metadata/labels/apiservice", "value": "patched" }]);
    world.patch(&path, JSON, label).await?;
    world
        .update(&status, |object| {
            let updated = json!({ "type": "StatusUpdated", "status": "True", "reason": "E2E",
                "message": "Set from e2e test" });
            if let Some(all) = object["status"]["conditions"].as_array_mut() {
                all.push(updated);
            }
        })
        .await?;
    let kept = |object: &Value| condition(object, "StatusUpdated")["reason"] == "E2E";
    let kept = world.until(&path, kept).await?;
    ensure!(available(&kept), "{kept}");
    world.update(&path, |object| object["metadata"]["labels"]["apiservice"] = "x".into()).await?;
    world.post(&flunders, &flunder("dynamic-flunder")).await?;
    world.delete(&format!("{flunders}/dynamic-flunder")).await?;

    let selected = format!("{APISERVICES}?labelSelector=e2e%3D{}", world.namespace);
    world.delete(&selected).await?;
    world.gone(&path).await?;
    let message = world.refused(Method::GET, &flunders, &Value::Null, (404, "NotFound")).await?;
    ensure!(message == "the server could not find the requested resource", "{message}");
    Ok(())
}

/// The test's namespace, over there.
async fn extension_namespace(extension: &Cluster, namespace: &str) -> Result<()> {
    let body = serde_json::to_vec(&json!({ "metadata": { "name": namespace } }))?;
    let request = http::Request::post("/api/v1/namespaces")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body)?;
    extension.client().await?.request::<Value>(request).await?;
    Ok(())
}
