//! Other forms of answers, and what the server says of itself.

use std::io::Read;

use axum::body::Body;
use flate2::read::GzDecoder;
use http::{Method, header};
use serde_json::{Value, json};

use super::{CONFIGMAPS, Server, version};
use crate::{Components, Config};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[tokio::test]
async fn tables_are_rendered() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    server.configmap("b", json!({})).await;
    let table = server.accept(CONFIGMAPS, TABLE).await.is(200);
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][1]["cells"][0], "b");
    let object = &table["rows"][1]["object"];
    assert_eq!(object["kind"], "PartialObjectMetadata");
    assert!(object.get("data").is_none());
    let whole = server.accept(&format!("{CONFIGMAPS}/a?includeObject=Object"), TABLE).await.is(200);
    assert_eq!(whole["rows"][0]["object"]["data"]["a"], "1");
    let bare = server.accept(&format!("{CONFIGMAPS}/a?includeObject=None"), TABLE).await.is(200);
    assert!(bare["rows"][0]["object"].is_null());
    assert_eq!(version(&whole), version(&bare));
}

#[tokio::test]
async fn metadata_alone_is_shown() {
    let server = Server::new().await;
    let made = server.configmap("a", json!({ "x": "y" })).await;
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = server.accept(CONFIGMAPS, accept).await.is(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"], made["metadata"]);
    assert!(list["items"][0].get("data").is_none());
}

#[tokio::test]
async fn yaml_and_pretty_json_are_written() {
    let server = Server::new().await;
    let made = server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let yaml = server.accept(&path, "application/yaml").await;
    assert_eq!(yaml.headers[header::CONTENT_TYPE], "application/yaml");
    assert_eq!(serde_yaml::from_str::<Value>(&yaml.text()).unwrap(), made);
    let pretty = server.get(&format!("{path}?pretty=true")).await;
    assert!(pretty.text().contains("\n  \""));
    server.accept(&path, "text/html").await.fails(406, "NotAcceptable");
}

#[tokio::test]
async fn large_answers_are_compressed() {
    let server = Server::new().await;
    let body = json!({ "metadata": { "name": "big" }, "data": { "a": "x".repeat(200 << 10) } });
    server.post(CONFIGMAPS, body).await.is(201);
    let request = server.request(Method::GET, CONFIGMAPS).header(header::ACCEPT_ENCODING, "gzip");
    let answer = server.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers[header::CONTENT_ENCODING], "gzip");
    let mut text = String::new();
    GzDecoder::new(answer.bytes.as_ref()).read_to_string(&mut text).unwrap();
    assert_eq!(text, server.get(CONFIGMAPS).await.text());
}

#[tokio::test]
async fn discovery_lists_every_kind() {
    let server = Server::new().await;
    let core = server.get("/api/v1").await.is(200);
    let pods = core["resources"].as_array().unwrap().iter().find(|r| r["name"] == "pods").unwrap();
    assert_eq!(pods["shortNames"], json!(["po"]));
    assert_eq!(pods["kind"], "Pod");
    assert!(core["resources"].as_array().unwrap().iter().any(|r| r["name"] == "pods/log"));
    let apps = server.get("/apis/apps/v1").await.is(200);
    let scale = apps["resources"].as_array().unwrap().iter();
    let scale = scale.clone().find(|r| r["name"] == "deployments/scale").unwrap();
    assert_eq!((&scale["kind"], &scale["group"]), (&json!("Scale"), &json!("autoscaling")));
    let groups = server.get("/apis").await.is(200);
    let names: Vec<_> =
        groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    for group in ["apps", "coordination.k8s.io", "discovery.k8s.io", "coracle.dev"] {
        assert!(names.contains(&group), "{group} in {names:?}");
    }
    server.get("/apis/apps").await.is(200);
    server.get("/apis/nothing").await.fails(404, "NotFound");
    server.get("/apis/apps/v9").await.fails(404, "NotFound");
}

#[tokio::test]
async fn discovery_is_aggregated_for_those_who_want_it() {
    let server = Server::new().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                  application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                  application/json";
    for path in ["/api", "/apis"] {
        let answer = server.accept(path, accept).await;
        let list = answer.is(200);
        assert_eq!(list["apiVersion"], "apidiscovery.k8s.io/v2");
        let media = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(media.contains("as=APIGroupDiscoveryList"), "{media}");
        let resources = &list["items"][0]["versions"][0]["resources"];
        assert!(resources.as_array().is_some_and(|resources| !resources.is_empty()));
    }
    assert_eq!(server.get("/api").await.is(200)["kind"], "APIVersions");
    let protobuf = "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;\
                    as=APIGroupDiscoveryList";
    let answer = server.accept("/apis", protobuf).await;
    let decoded = crate::protobuf::decode(&answer.bytes).unwrap();
    let shown: Value = serde_json::from_slice(&decoded.json).unwrap();
    assert_eq!(shown["items"], server.accept("/apis", accept).await.is(200)["items"]);
}

#[tokio::test]
async fn discovery_is_not_sent_twice() {
    let server = Server::new().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let first = server.accept("/apis", accept).await;
    let request = |etag: &str| {
        let request = server.request(Method::GET, "/apis").header(header::ACCEPT, accept);
        request.header(header::IF_NONE_MATCH, etag).body(Body::empty()).unwrap()
    };
    let etag = first.headers[header::ETAG].to_str().unwrap();
    let second = server.send(request(etag)).await;
    assert_eq!((second.status.as_u16(), second.bytes.len()), (304, 0));
    assert_eq!(second.headers[header::ETAG], etag);
    assert_eq!(server.send(request("\"OTHER\"")).await.bytes, first.bytes);
}

#[tokio::test]
async fn the_server_speaks_of_itself() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    let version = server.get("/version").await.is(200);
    assert!(version["gitVersion"].as_str().unwrap().starts_with("v1."));
    let verbose = server.get("/readyz?verbose").await.text();
    assert!(verbose.contains("[+]etcd ok") && verbose.ends_with("readyz check passed\n"));
    server.get("/readyz/nothing").await.fails(404, "NotFound");
    let metrics = server.get("/metrics").await.text();
    for line in [
        "apiserver_request_total{verb=\"POST\",group=\"\",version=\"v1\",resource=\"configmaps\",subresource=\"\",scope=\"resource\",code=\"201\"} 1",
        "apiserver_storage_objects{group=\"\",version=\"v1\",resource=\"configmaps\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let paths = server.get("/").await.is(200);
    assert!(paths["paths"].as_array().unwrap().contains(&json!("/apis/apps/v1")));
    server.get("/nothing").await.fails(404, "NotFound");
}

#[tokio::test]
async fn components_are_as_healthy_as_they_are() {
    const PATH: &str = "/api/v1/componentstatuses";
    let components = Components::default();
    let config = Config { components: components.clone(), ..Config::default() };
    let server = Server::with(config).await;
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(components.scheduler.clone().during(ended));
    tokio::task::yield_now().await;

    let answer = server.get(PATH).await;
    assert_eq!(
        answer.headers[header::WARNING],
        "299 - \"v1 ComponentStatus is deprecated in v1.19+\""
    );
    let list = answer.is(200);
    assert_eq!(list["kind"], "ComponentStatusList");
    let names: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["controller-manager", "etcd-0", "scheduler"]);
    let one = server.get(&format!("{PATH}/scheduler")).await.is(200);
    let healthy = json!([{ "type": "Healthy", "status": "True", "message": "ok" }]);
    assert_eq!((&one["kind"], &one["conditions"]), (&json!("ComponentStatus"), &healthy));
    let chosen = server.get(&format!("{PATH}?fieldSelector=metadata.name%3Detcd-0")).await.is(200);
    assert_eq!(chosen["items"].as_array().unwrap().len(), 1);
    assert_eq!(chosen["items"][0]["conditions"], healthy);

    let table = server.accept(PATH, TABLE).await.is(200);
    let silent = "the controller-manager does not run in this program";
    let cells = json!(["controller-manager", "Unhealthy", silent, ""]);
    assert_eq!(table["rows"][0]["cells"], cells);
    assert_eq!(table["rows"][2]["cells"], json!(["scheduler", "Healthy", "ok", ""]));
    drop(end);
    running.await.unwrap().unwrap_err();
    let ended = server.get(&format!("{PATH}/scheduler")).await.is(200);
    assert_eq!(ended["conditions"][0]["status"], "False");

    server.get(&format!("{PATH}/other")).await.fails(404, "NotFound");
    server.get(&format!("{PATH}?watch=true")).await.fails(405, "MethodNotAllowed");
    server.post(PATH, json!({ "metadata": { "name": "a" } })).await.fails(405, "MethodNotAllowed");
}
