//! Endpoints and EndpointSlices, and the controllers that make them.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::lifecycle::{Resource, lifecycle};
use crate::world::{World, all, items, name, names};

const GROUP: &str = "discovery.k8s.io/v1";

/// A ready pod with two named ports; its address.
async fn pod(world: &World, name: &str) -> Result<Value> {
    let mut pod = crate::world::pod(name, json!({"app": "served"}));
    pod["spec"]["containers"][0]["ports"] = json!([
        {"name": "first", "containerPort": 3000}, {"name": "second", "containerPort": 3001},
    ]);
    let path = world.path("v1", "pods");
    world.post(&path, &pod).await?;
    let ready = |pod: &Value| crate::world::condition(pod, "Ready")["status"] == "True";
    Ok(world.until(&format!("{path}/{name}"), ready).await?["status"]["podIP"].clone())
}

/// A service of those ports for the pods of `app`.
async fn service(world: &World, name: &str, app: &str, ports: Value) -> Result<()> {
    let body =
        json!({"metadata": {"name": name}, "spec": {"selector": {"app": app}, "ports": ports}});
    world.post(&world.path("v1", "services"), &body).await.map(drop)
}

fn slices(world: &World, service: &str) -> String {
    world.path(
        GROUP,
        &format!("endpointslices?labelSelector=kubernetes.io/service-name%3D{service}"),
    )
}

/// All addresses of a list of slices.
fn addresses(list: &Value) -> Vec<Value> {
    let endpoints = |slice: &Value| slice["endpoints"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<Value> =
        items(list).iter().flat_map(endpoints).map(|one| one["addresses"][0].clone()).collect();
    all.sort_by_key(Value::to_string);
    all
}

/// All ports of a list of slices.
fn ports(list: &Value) -> Vec<(String, i64)> {
    let ports = |slice: &Value| slice["ports"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<_> = items(list)
        .iter()
        .flat_map(ports)
        .map(|one| {
            let name = one["name"].as_str().unwrap_or_default().to_owned();
            (name, one["port"].as_i64().unwrap_or_default())
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

#[tokio::test]
async fn endpointslice_api() -> Result<()> {
    let world = World::new().await?;
    let resource = Resource {
        group_version: GROUP,
        plural: "endpointslices",
        kind: "EndpointSlice",
        namespaced: true,
        object: json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}),
        status: None,
    };
    lifecycle(&world, &resource).await
}

/// Slices and endpoints come with a service and go with it.
async fn created_and_deleted(app: &str, expected: usize) -> Result<()> {
    let world = World::new().await?;
    let port = json!([{"name": "http", "port": 80, "targetPort": 3000}]);
    service(&world, "one", app, port).await?;
    if expected > 0 {
        pod(&world, "pod").await?;
    }
    let found = world
        .until(&slices(&world, "one"), |list| {
            items(list).len() == 1 && addresses(list).len() == expected
        })
        .await?;
    let labels = &items(&found)[0]["metadata"]["labels"];
    let by = "endpointslice.kubernetes.io/managed-by";
    ensure!(labels[by] == "endpointslice-controller.k8s.io", "{labels}");
    let endpoints = world.path("v1", "endpoints/one");
    world
        .until(&endpoints, |one| {
            let subsets = one["subsets"].as_array().map_or(&[][..], Vec::as_slice);
            let count = |subset: &Value| subset["addresses"].as_array().map_or(0, Vec::len);
            subsets.iter().map(count).sum::<usize>() == expected
        })
        .await?;
    world.delete(&world.path("v1", "services/one")).await?;
    world.gone(&endpoints).await?;
    world.items(&slices(&world, "one"), 0).await?;
    Ok(())
}

#[tokio::test]
async fn endpointslice_creation_deletion() -> Result<()> {
    created_and_deleted("served", 1).await
}

#[tokio::test]
async fn endpointslice_empty_service() -> Result<()> {
    created_and_deleted("nobody", 0).await
}

#[tokio::test]
async fn endpoints_creation_deletion() -> Result<()> {
    created_and_deleted("served", 1).await
}

#[tokio::test]
async fn endpoints_empty_service() -> Result<()> {
    created_and_deleted("nobody", 0).await
}

#[tokio::test]
async fn endpointslice_single_ip_multiple_ports() -> Result<()> {
    let world = World::new().await?;
    let address = pod(&world, "pod").await?;
    let both = json!([{"name": "a", "port": 80, "targetPort": "first"},
        {"name": "b", "port": 81, "targetPort": "second"}]);
    service(&world, "one", "served", both).await?;
    let wanted = [("a".to_owned(), 3000), ("b".to_owned(), 3001)];
    world
        .until(&slices(&world, "one"), |list| {
            addresses(list) == [address.clone()] && ports(list) == wanted
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn endpointslice_multiple_ips_multiple_ports() -> Result<()> {
    let world = World::new().await?;
    let mut both = vec![pod(&world, "pod-1").await?, pod(&world, "pod-2").await?];
    both.sort_by_key(Value::to_string);
    let named = json!([{"name": "a", "port": 80, "targetPort": "first"},
        {"name": "b", "port": 81, "targetPort": 3001}]);
    service(&world, "one", "served", named).await?;
    let wanted = [("a".to_owned(), 3000), ("b".to_owned(), 3001)];
    world
        .until(&slices(&world, "one"), |list| addresses(list) == both && ports(list) == wanted)
        .await?;
    Ok(())
}

/// What somebody writes as Endpoints of a service without a selector becomes slices.
#[tokio::test]
async fn endpointslice_mirroring() -> Result<()> {
    let world = World::new().await?;
    let body = json!({"metadata": {"name": "custom"}, "spec": {"ports": [{"name": "example", "port": 80}]}});
    world.post(&world.path("v1", "services"), &body).await?;
    let endpoints = world.path("v1", "endpoints");
    let body = json!({"metadata": {"name": "custom"}, "subsets": [{
        "ports": [{"name": "example", "port": 80}], "addresses": [{"ip": "10.1.2.3"}]}]});
    world.post(&endpoints, &body).await?;
    let mirrored = slices(&world, "custom");
    let list = world.until(&mirrored, |list| addresses(list) == [json!("10.1.2.3")]).await?;
    let labels = &items(&list)[0]["metadata"]["labels"];
    let by = "endpointslice.kubernetes.io/managed-by";
    ensure!(labels[by] == "endpointslicemirroring-controller.k8s.io", "{labels}");
    let one = format!("{endpoints}/custom");
    world.update(&one, |one| one["subsets"][0]["addresses"][0]["ip"] = "10.2.3.4".into()).await?;
    world.until(&mirrored, |list| addresses(list) == [json!("10.2.3.4")]).await?;
    world.delete(&one).await?;
    world.items(&mirrored, 0).await?;
    Ok(())
}

#[tokio::test]
async fn endpoint_resource_lifecycle() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "endpoints");
    let mut watch =
        world.watch_from_now(&path, "labelSelector=test-endpoint-static%3Dtrue").await?;
    let body = json!({"metadata": {"name": "one", "labels": {"test-endpoint-static": "true"}},
        "subsets": [{"addresses": [{"ip": "10.0.0.24"}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]});
    world.post(&path, &body).await?;
    watch.until("ADDED", |one| name(one) == "one").await?;
    let everywhere =
        format!("{}?labelSelector=test-endpoint-static%3Dtrue", all("v1", "endpoints"));
    ensure!(names(items(&world.get(&everywhere).await?)).contains(&"one".to_owned()));
    let one = format!("{path}/one");
    world.update(&one, |one| one["metadata"]["labels"]["updated"] = "true".into()).await?;
    watch.until("MODIFIED", |one| one["metadata"]["labels"]["updated"] == "true").await?;
    let subsets = json!([{"addresses": [{"ip": "10.0.0.25"}],
        "ports": [{"name": "http-test", "port": 8080, "protocol": "TCP"}]}]);
    world.merge(&one, json!({"subsets": subsets})).await?;
    let changed = watch.until("MODIFIED", |_| true).await?;
    ensure!(changed["subsets"] == subsets, "{changed}");
    world.delete(&format!("{path}?labelSelector=test-endpoint-static%3Dtrue")).await?;
    watch.until("DELETED", |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn kubernetes_default_endpoints_and_endpointslices() -> Result<()> {
    let world = World::new().await?;
    let service = world.get("/api/v1/namespaces/default/services/kubernetes").await?;
    ensure!(service["spec"]["clusterIP"].is_string(), "{service}");
    let endpoints = world.get("/api/v1/namespaces/default/endpoints/kubernetes").await?;
    let selector = "labelSelector=kubernetes.io/service-name%3Dkubernetes";
    let path = format!("/apis/{GROUP}/namespaces/default/endpointslices?{selector}");
    let list = world.get(&path).await?;
    ensure!(items(&list).len() == 1, "{list}");
    let address = &endpoints["subsets"][0]["addresses"][0]["ip"];
    ensure!(address.is_string() && addresses(&list) == [address.clone()], "{endpoints} {list}");
    let port = &endpoints["subsets"][0]["ports"][0]["port"];
    ensure!(*port == items(&list)[0]["ports"][0]["port"], "{endpoints} {list}");
    Ok(())
}
