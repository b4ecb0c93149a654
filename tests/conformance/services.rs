//! Services and other objects of the network.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::lifecycle::{Resource, lifecycle};
use crate::world::{World, all, condition, items, name, names};

#[tokio::test]
async fn kubernetes_service() -> Result<()> {
    let world = World::new().await?;
    let service = world.get("/api/v1/namespaces/default/services/kubernetes").await?;
    let port = &service["spec"]["ports"][0];
    ensure!(port["name"] == "https" && port["port"] == 443, "{service}");
    Ok(())
}

#[tokio::test]
async fn find_kubernetes_service_in_default_namespace() -> Result<()> {
    let world = World::new().await?;
    let list = world.get(&all("v1", "services")).await?;
    let found =
        |one: &Value| name(one) == "kubernetes" && one["metadata"]["namespace"] == "default";
    ensure!(items(&list).iter().any(found), "{list}");
    Ok(())
}

fn service(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "labels": {"service": name}}, "spec": spec})
}

/// Makes a service of one type, changes it into another, and says what it became.
async fn change(from: Value, to: Value) -> Result<(Value, Value)> {
    let world = World::new().await?;
    let path = world.path("v1", "services");
    let before = world.post(&path, &service("one", from)).await?;
    let after = world
        .update(&format!("{path}/one"), |one| {
            for (key, value) in to.as_object().into_iter().flatten() {
                one["spec"][key] = value.clone();
            }
        })
        .await?;
    Ok((before, after))
}

fn external() -> Value {
    json!({"type": "ExternalName", "externalName": "example.com"})
}

fn is_external(service: &Value) -> Result<()> {
    let spec = &service["spec"];
    ensure!(spec["clusterIP"].as_str().unwrap_or_default().is_empty(), "{service}");
    ensure!(spec["clusterIPs"].is_null() && spec["externalName"] == "example.com", "{service}");
    Ok(())
}

fn has_address(service: &Value) -> bool {
    service["spec"]["clusterIP"].as_str().is_some_and(|address| !address.is_empty())
}

#[tokio::test]
async fn service_change_type_externalname_to_clusterip() -> Result<()> {
    let to = json!({"type": "ClusterIP", "externalName": "", "ports": [{"port": 80}]});
    let (before, after) = change(external(), to).await?;
    is_external(&before)?;
    ensure!(has_address(&after) && after["spec"]["ports"][0]["nodePort"].is_null(), "{after}");
    Ok(())
}

#[tokio::test]
async fn service_change_type_externalname_to_nodeport() -> Result<()> {
    let to = json!({"type": "NodePort", "externalName": "", "ports": [{"port": 80}]});
    let (before, after) = change(external(), to).await?;
    is_external(&before)?;
    ensure!(has_address(&after) && after["spec"]["ports"][0]["nodePort"].is_i64(), "{after}");
    Ok(())
}

fn to_external() -> Value {
    json!({"type": "ExternalName", "externalName": "example.com", "clusterIP": "", "clusterIPs": null})
}

#[tokio::test]
async fn service_change_type_clusterip_to_externalname() -> Result<()> {
    let from = json!({"type": "ClusterIP", "ports": [{"port": 80}]});
    let (before, after) = change(from, to_external()).await?;
    ensure!(has_address(&before), "{before}");
    is_external(&after)
}

#[tokio::test]
async fn service_change_type_nodeport_to_externalname() -> Result<()> {
    let from = json!({"type": "NodePort", "ports": [{"port": 80}]});
    let (before, after) = change(from, to_external()).await?;
    ensure!(before["spec"]["ports"][0]["nodePort"].is_i64(), "{before}");
    is_external(&after)?;
    ensure!(after["spec"]["ports"][0]["nodePort"].is_null(), "{after}");
    Ok(())
}

#[tokio::test]
async fn service_complete_servicestatus_lifecycle() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "services");
    let mut watch = world.watch_from_now(&path, "labelSelector=service%3Done").await?;
    let spec = json!({"type": "LoadBalancer", "ports": [{"port": 80}]});
    world.post(&path, &service("one", spec)).await?;
    watch.until("ADDED", |_| true).await?;
    let one = format!("{path}/one");
    let status = format!("{one}/status");
    ensure!(world.get(&status).await?["status"]["loadBalancer"].is_object());
    let patch = json!({"metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}});
    let patched = world.merge(&status, patch).await?;
    ensure!(patched["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1", "{patched}");
    watch
        .until("MODIFIED", |one| one["metadata"]["annotations"]["patchedstatus"] == "true")
        .await?;
    let entry = json!({"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "x",
        "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let updated = world.update(&status, |one| one["status"]["conditions"] = json!([entry])).await?;
    ensure!(condition(&updated, "StatusUpdate")["reason"] == "E2E", "{updated}");
    world.merge(&one, json!({"metadata": {"labels": {"patched": "yes"}}})).await?;
    watch.until("MODIFIED", |one| one["metadata"]["labels"]["patched"] == "yes").await?;
    world.delete(&one).await?;
    watch.until("DELETED", |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn service_deletes_a_collection_of_services() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "services");
    for (name, set) in [("one", "yes"), ("two", "yes"), ("three", "no")] {
        let mut body = service(name, json!({"ports": [{"port": 80}]}));
        body["metadata"]["labels"]["set"] = set.into();
        world.post(&path, &body).await?;
    }
    world.items(&path, 3).await?;
    world.delete(&format!("{path}?labelSelector=set%3Dyes")).await?;
    ensure!(names(&world.items(&path, 1).await?) == ["three"]);
    Ok(())
}

#[tokio::test]
async fn ingress_api() -> Result<()> {
    let world = World::new().await?;
    let backend = json!({"service": {"name": "default-backend", "port": {"number": 80}}});
    let resource = Resource {
        group_version: "networking.k8s.io/v1",
        plural: "ingresses",
        kind: "Ingress",
        namespaced: true,
        object: json!({"spec": {"ingressClassName": "nobodys", "defaultBackend": backend,
            "rules": [{"host": "foo.bar.com", "http": {"paths": [
                {"path": "/", "pathType": "ImplementationSpecific", "backend": backend}]}}],
            "tls": [{"hosts": ["foo.bar.com"], "secretName": "secret"}]}}),
        status: Some(json!({"loadBalancer": {"ingress": [{"ip": "169.1.1.1"}]}})),
    };
    lifecycle(&world, &resource).await
}

#[tokio::test]
async fn ingressclass_api() -> Result<()> {
    let world = World::new().await?;
    let resource = Resource {
        group_version: "networking.k8s.io/v1",
        plural: "ingressclasses",
        kind: "IngressClass",
        namespaced: false,
        object: json!({"spec": {"controller": "example.com/controller"}}),
        status: None,
    };
    lifecycle(&world, &resource).await
}

/// Addresses are their objects' names, so they are made one by one.
#[tokio::test]
async fn ipaddress_api() -> Result<()> {
    let world = World::new().await?;
    crate::lifecycle::discovered(&world, "networking.k8s.io/v1", &["ipaddresses"]).await?;
    let path = all("networking.k8s.io/v1", "ipaddresses");
    let labels = json!({"test": world.namespace});
    let reference =
        json!({"group": "foo.com", "resource": "bars", "namespace": "ns", "name": "name"});
    for address in ["192.0.2.101", "192.0.2.102", "192.0.2.103"] {
        let metadata = json!({"name": address, "labels": labels});
        world.post(&path, &json!({"metadata": metadata, "spec": {"parentRef": reference}})).await?;
    }
    let selected = format!("{path}?labelSelector=test%3D{}", world.namespace);
    world.items(&selected, 3).await?;
    let one = format!("{path}/192.0.2.101");
    let mut watch =
        world.watch_from_now(&path, &format!("labelSelector=test%3D{}", world.namespace)).await?;
    world.merge(&one, json!({"metadata": {"annotations": {"patched": "true"}}})).await?;
    world.update(&one, |one| one["metadata"]["annotations"]["updated"] = "true".into()).await?;
    watch.until("MODIFIED", |one| one["metadata"]["annotations"]["updated"] == "true").await?;
    let mut other = world.get(&one).await?;
    other["spec"]["parentRef"]["name"] = "other".into();
    world.refused(http::Method::PUT, &one, &other, (422, "Invalid")).await?;
    let body = json!({"metadata": {"name": "not-an-address"}, "spec": {"parentRef": reference}});
    world.refused(http::Method::POST, &path, &body, (422, "Invalid")).await?;
    world.delete(&one).await?;
    world.gone(&one).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    Ok(())
}

#[tokio::test]
async fn servicecidr_api() -> Result<()> {
    let world = World::new().await?;
    let group = "networking.k8s.io/v1";
    crate::lifecycle::discovered(&world, group, &["servicecidrs", "servicecidrs/status"]).await?;
    let path = all(group, "servicecidrs");
    let metadata = json!({"name": world.unique("cidr"), "labels": {"test": world.namespace}});
    let spec = json!({"cidrs": ["10.196.196.0/24"]});
    world.post(&path, &json!({"metadata": metadata, "spec": spec})).await?;
    let one = format!("{path}/{}", world.unique("cidr"));
    ensure!(world.get(&one).await?["spec"] == spec);
    world.items(&format!("{path}?labelSelector=test%3D{}", world.namespace), 1).await?;
    world.merge(&one, json!({"metadata": {"labels": {"patched": "yes"}}})).await?;
    let entry = json!({"type": "Test", "status": "True", "reason": "E2E", "message": "x",
        "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let status = format!("{one}/status");
    let patched = world.merge(&status, json!({"status": {"conditions": [entry]}})).await?;
    ensure!(condition(&patched, "Test")["reason"] == "E2E", "{patched}");
    let mut other = world.get(&one).await?;
    other["spec"]["cidrs"] = json!(["10.196.197.0/24"]);
    world.refused(http::Method::PUT, &one, &other, (422, "Invalid")).await?;
    world.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes").await?;
    world.delete(&one).await?;
    world.gone(&one).await
}
