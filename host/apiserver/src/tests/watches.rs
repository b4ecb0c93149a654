//! Watches.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use http::{Method, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{CONFIGMAPS, Server, version};

/// The events of a watch, one by one.
struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    async fn of(server: &Server, path: &str) -> Self {
        Self::accepting(server, path, "application/json").await
    }

    async fn accepting(server: &Server, path: &str, accept: &str) -> Self {
        let request: Request<Body> = server
            .request(Method::GET, path)
            .header(header::ACCEPT, accept)
            .body(Body::empty())
            .unwrap();
        let response = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.find('\n') {
                let line: String = self.text.drain(..=end).collect();
                return Some(serde_json::from_str(&line).unwrap());
            }
            let chunk = tokio::time::timeout(Duration::from_secs(3600), self.body.next());
            self.text += std::str::from_utf8(&chunk.await.unwrap()?.unwrap()).unwrap();
        }
    }

    /// Type and name of the next event.
    async fn brief(&mut self) -> (String, String) {
        let event = self.next().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

fn brief(type_: &str, name: &str) -> (String, String) {
    (type_.into(), name.into())
}

#[tokio::test]
async fn the_state_comes_first_then_what_happens() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    let mut events = Events::of(&server, &format!("{CONFIGMAPS}?watch=1")).await;
    assert_eq!(events.brief().await, brief("ADDED", "a"));
    server.configmap("b", json!({})).await;
    assert_eq!(events.brief().await, brief("ADDED", "b"));
    let path = format!("{CONFIGMAPS}/a");
    server.patch(&path, "merge-patch", json!({ "data": { "x": "y" } })).await.is(200);
    let changed = events.next().await.unwrap();
    assert_eq!(changed["type"], "MODIFIED");
    assert_eq!(changed["object"], server.get(&path).await.is(200));
    server.delete(&path).await.is(200);
    let gone = events.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    assert!(version(&gone["object"]) > version(&changed["object"]));
}

#[tokio::test]
async fn a_watch_takes_up_where_a_list_ended() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    let from = version(&server.get(CONFIGMAPS).await.is(200));
    server.configmap("b", json!({})).await;
    let path = format!("{CONFIGMAPS}?watch=true&resourceVersion={from}");
    let mut events = Events::of(&server, &path).await;
    assert_eq!(events.brief().await, brief("ADDED", "b"));
    let path = format!("{CONFIGMAPS}?watch=true&resourceVersion={}", from + 1000);
    server.get(&path).await.fails(504, "Timeout");
}

#[tokio::test]
async fn objects_enter_and_leave_a_selection() {
    let server = Server::new().await;
    let path = format!("{CONFIGMAPS}?watch=1&labelSelector=app%3Dweb");
    let mut events = Events::of(&server, &path).await;
    server.configmap("other", json!({ "app": "db" })).await;
    server.configmap("a", json!({ "app": "web" })).await;
    assert_eq!(events.brief().await, brief("ADDED", "a"));
    let label = |app: &str| json!({ "metadata": { "labels": { "app": app } } });
    let path = format!("{CONFIGMAPS}/a");
    let left = server.patch(&path, "merge-patch", label("db")).await.is(200);
    let event = events.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["metadata"]["labels"]["app"], "web");
    assert_eq!(version(&event["object"]), version(&left));
    server.patch(&path, "merge-patch", label("web")).await.is(200);
    assert_eq!(events.brief().await, brief("ADDED", "a"));
    server.delete(&path).await.is(200);
    assert_eq!(events.brief().await, brief("DELETED", "a"));
}

#[tokio::test]
async fn one_object_is_watched_by_its_name() {
    let server = Server::new().await;
    let path = format!("{CONFIGMAPS}?watch=1&fieldSelector=metadata.name%3Da");
    let mut events = Events::of(&server, &path).await;
    server.configmap("ab", json!({})).await;
    server.configmap("a", json!({})).await;
    assert_eq!(events.brief().await, brief("ADDED", "a"));
}

#[tokio::test]
async fn the_old_paths_of_watches_are_served() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    server.configmap("b", json!({})).await;
    let root = "/api/v1/watch/namespaces/default/configmaps";
    let mut all = Events::of(&server, root).await;
    assert_eq!(all.brief().await, brief("ADDED", "a"));
    let mut one = Events::of(&server, &format!("{root}/b")).await;
    assert_eq!(one.brief().await, brief("ADDED", "b"));
    let path = format!("{root}/b?fieldSelector=metadata.name%3Da");
    let message = server.get(&path).await.fails(400, "BadRequest");
    assert_eq!(message, "fieldSelector metadata.name doesn't match requested name");
}

#[tokio::test]
async fn metadata_is_watched() {
    let server = Server::new().await;
    let made = server.configmap("a", json!({})).await;
    for version in ["v1", "v1beta1"] {
        let accept = format!("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v={version}");
        let mut events =
            Events::accepting(&server, &format!("{CONFIGMAPS}?watch=1"), &accept).await;
        let event = events.next().await.unwrap();
        let expected = json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": made["metadata"],
        });
        assert_eq!(event["object"], expected);
    }
}

#[tokio::test]
async fn the_end_of_the_initial_state_is_told() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    let path = format!(
        "{CONFIGMAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true\
         &resourceVersionMatch=NotOlderThan"
    );
    let mut events = Events::of(&server, &path).await;
    assert_eq!(events.brief().await, brief("ADDED", "a"));
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let annotations = &bookmark["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    let path = format!("{CONFIGMAPS}?watch=1&sendInitialEvents=true");
    server.get(&path).await.fails(422, "Invalid");
}

#[tokio::test(start_paused = true)]
async fn quiet_watches_get_bookmarks_and_end() {
    let server = Server::new().await;
    let path = format!("{CONFIGMAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=90");
    let mut events = Events::of(&server, &path).await;
    server.post("/api/v1/namespaces", json!({ "metadata": { "name": "other" } })).await.is(201);
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    let current = server.get(CONFIGMAPS).await.is(200);
    assert_eq!(version(&bookmark["object"]), version(&current));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn watches_end_with_the_server() {
    let server = Server::new().await;
    let mut events = Events::of(&server, &format!("{CONFIGMAPS}?watch=1")).await;
    server.api.begin_shutdown();
    assert!(events.next().await.is_none());
    assert_eq!(server.get("/readyz").await.status, 500);
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test]
async fn tables_are_watched() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let path = format!("{CONFIGMAPS}?watch=1");
    let mut events = Events::accepting(&server, &path, accept).await;
    let first = events.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    assert!(first["object"]["columnDefinitions"].is_array());
    server.configmap("b", json!({})).await;
    let second = events.next().await.unwrap();
    assert!(second["object"]["columnDefinitions"].is_null());
    assert_eq!(second["object"]["rows"][0]["object"]["metadata"]["name"], "b");
}
