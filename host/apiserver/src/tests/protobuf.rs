//! Protobuf, in and out.

use axum::body::Body;
use bytes::Bytes;
use http::{Method, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Answer, CONFIGMAPS, PODS, Server};
use crate::protobuf;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What a body in protobuf says.
#[track_caller]
fn read(bytes: &[u8]) -> Value {
    let decoded = protobuf::decode(bytes).unwrap();
    assert_eq!(decoded.unknown, Vec::<String>::new());
    serde_json::from_slice(&decoded.json).unwrap()
}

fn written(object: &Value) -> Vec<u8> {
    let (version, kind) =
        (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let mut out = vec![];
    let found = protobuf::Kind::find(version, kind).unwrap();
    found.object(version, kind, object.to_string().as_bytes(), &mut out).unwrap();
    out
}

impl Server {
    /// Sends a body in protobuf, and asks for an answer in it.
    async fn binary(&self, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let request = self
            .request(method, path)
            .header(header::CONTENT_TYPE, PROTOBUF)
            .header(header::ACCEPT, PROTOBUF);
        self.send(request.body(Body::from(body)).unwrap()).await
    }
}

#[tokio::test]
async fn objects_go_in_and_out() {
    let server = Server::new().await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "a", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "main", "image": "hello:v1", "resources": {
            "limits": { "memory": "64Mi" },
        } }] },
    });
    let made = server.binary(Method::POST, PODS, written(&pod)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.headers[header::CONTENT_TYPE], PROTOBUF);
    let path = format!("{PODS}/a");
    let json = server.get(&path).await.is(200);
    assert_eq!(json["spec"]["containers"][0]["resources"]["limits"]["memory"], "64Mi");
    let shown = server.accept(&path, PROTOBUF).await;
    assert_eq!(read(&shown.bytes), json);
    assert_eq!(read(&made.bytes), json);
    assert!(shown.bytes.len() * 10 < server.get(&path).await.bytes.len() * 9);
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        "preconditions": { "uid": "other" },
    });
    let refused = server.binary(Method::DELETE, &path, written(&options)).await;
    assert_eq!(refused.status, 409);
    assert_eq!(read(&refused.bytes)["reason"], "Conflict");
    let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0 });
    let gone = server.binary(Method::DELETE, &path, written(&options)).await;
    assert_eq!((gone.status.as_u16(), read(&gone.bytes)["kind"].as_str()), (200, Some("Pod")));
}

#[tokio::test]
async fn lists_and_metadata_come_out() {
    let server = Server::new().await;
    server.configmap("a", json!({ "x": "y" })).await;
    server.configmap("b", json!({})).await;
    let json = server.get(&format!("{CONFIGMAPS}?limit=1")).await.is(200);
    let mut list = read(&server.accept(&format!("{CONFIGMAPS}?limit=1"), PROTOBUF).await.bytes);
    // Items do not say what they are: the list does.
    list["items"][0]["apiVersion"] = json!("v1");
    list["items"][0]["kind"] = json!("ConfigMap");
    assert_eq!(list, json);
    for version in ["v1", "v1beta1"] {
        let group = format!("{PROTOBUF};g=meta.k8s.io;v={version}");
        let accept = format!("{group};as=PartialObjectMetadataList");
        let list = read(&server.accept(CONFIGMAPS, &accept).await.bytes);
        assert_eq!(list["apiVersion"], format!("meta.k8s.io/{version}"));
        assert_eq!(list["items"][0]["metadata"], json["items"][0]["metadata"]);
        assert!(list["items"][0].get("data").is_none());
        let path = format!("{CONFIGMAPS}/a");
        server.accept(&path, &accept).await.fails(406, "NotAcceptable");
        let accept = format!("{group};as=PartialObjectMetadata");
        let one = read(&server.accept(&path, &accept).await.bytes);
        assert_eq!(one["metadata"], json["items"][0]["metadata"]);
        // Failures are not views of anything.
        let message = server.accept(CONFIGMAPS, &accept).await.fails(406, "NotAcceptable");
        assert!(message.ends_with("requested object is a list (*v1.ConfigMapList)"), "{message}");
    }
}

#[tokio::test]
async fn everything_else_speaks_it_too() {
    let server = Server::new().await;
    for (path, kind) in [
        ("/api", "APIVersions"),
        ("/apis", "APIGroupList"),
        ("/apis/apps", "APIGroup"),
        ("/apis/apps/v1", "APIResourceList"),
    ] {
        let answer = server.accept(path, PROTOBUF).await;
        let mut shown = read(&answer.bytes);
        assert_eq!(shown["kind"], kind);
        let json = server.get(path).await.is(200);
        shown.as_object_mut().unwrap().retain(|key, _| json.get(key).is_some());
        assert_eq!(shown, json);
    }
    let missing = server.accept(&format!("{PODS}/none"), PROTOBUF).await;
    assert_eq!(missing.status, 404);
    assert_eq!(read(&missing.bytes)["details"]["name"], "none");
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": { "verb": "get", "resource": "pods" } },
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = server.binary(Method::POST, path, written(&review)).await;
    assert_eq!(read(&answer.bytes)["status"]["allowed"], true);
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "main", "image": "hello:v1" }] },
            },
        },
    });
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    server.post(deployments, deployment).await.is(201);
    let path = format!("{deployments}/web/scale");
    let mut scale = read(&server.accept(&path, PROTOBUF).await.bytes);
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(3)));
    scale["spec"]["replicas"] = json!(5);
    let scaled = server.binary(Method::PUT, &path, written(&scale)).await;
    assert_eq!(read(&scaled.bytes)["spec"]["replicas"], 5);
}

#[tokio::test]
async fn fields_of_a_newer_release_are_not_dropped_in_silence() {
    let server = Server::new().await;
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
    // Field 99 of the object, in the place of the envelope's empty ends.
    let mut body = written(&object);
    body.truncate(body.len() - 4);
    let raw = body.iter().rposition(|byte| *byte == 0x12).unwrap();
    body[raw + 1] += 3;
    body.extend([0x98, 0x06, 0x01]);
    let strict = format!("{CONFIGMAPS}?fieldValidation=Strict");
    let refused = server.binary(Method::POST, &strict, body.clone()).await;
    let message = read(&refused.bytes)["message"].clone();
    let expected =
        "strict decoding error: unknown field number 99 of core/v1.ConfigMap in the object";
    assert_eq!((refused.status.as_u16(), message), (400, json!(expected)));
    let warned = server.binary(Method::POST, CONFIGMAPS, body.clone()).await;
    assert_eq!(warned.status, 201);
    let warning = warned.headers[header::WARNING].to_str().unwrap();
    assert!(warning.contains("unknown field number 99"), "{warning}");
    let ignored = format!("{CONFIGMAPS}?fieldValidation=Ignore&dryRun=All");
    let silent = server.binary(Method::POST, &ignored, body).await;
    assert!(!silent.headers.contains_key(header::WARNING));
}

#[tokio::test]
async fn kinds_without_it_are_refused_or_fall_back() {
    let server = Server::new().await;
    let path = "/apis/coracle.dev/v1/namespaces/default/modules";
    let message = read(&server.accept(path, PROTOBUF).await.bytes);
    assert_eq!(message["reason"], "NotAcceptable");
    let list = server.accept(path, &format!("{PROTOBUF},application/json")).await.is(200);
    assert_eq!(list["kind"], "ModuleList");
    let accept = format!("{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    let list = read(&server.accept(path, &accept).await.bytes);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
}

/// Splits a watch's answer into events.
fn frames(mut bytes: Bytes) -> Vec<(String, Value)> {
    let mut events = vec![];
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        let frame = bytes.split_to(4 + usize::try_from(length).unwrap()).slice(4..);
        // Field 1 is the type; field 2, a message, has the object in its field 1.
        let type_end = 2 + usize::from(frame[1]);
        let type_ = String::from_utf8(frame[2..type_end].to_vec()).unwrap();
        let start = frame.windows(4).position(|four| four == b"k8s\0").unwrap();
        events.push((type_, read(&frame[start..])));
    }
    events
}

#[tokio::test(start_paused = true)]
async fn watches_are_framed() {
    let server = Server::new().await;
    let made = server.configmap("a", json!({})).await;
    let path = format!(
        "{CONFIGMAPS}?watch=1&timeoutSeconds=90&allowWatchBookmarks=true&sendInitialEvents=true\
         &resourceVersionMatch=NotOlderThan"
    );
    let accept = format!("{PROTOBUF};stream=watch");
    let mut answers = vec![];
    for accept in [&*accept, "application/json"] {
        let request = server.request(Method::GET, &path).header(header::ACCEPT, accept);
        let answer = server.router.clone().oneshot(request.body(Body::empty()).unwrap());
        answers.push(answer.await.unwrap());
    }
    assert_eq!(answers[0].headers()[header::CONTENT_TYPE], accept.as_str());
    let changed = json!({ "data": { "b": "2" } });
    let path = format!("{CONFIGMAPS}/a");
    let changed = server.patch(&path, "merge-patch", changed).await.is(200);
    server.delete(&path).await.is(200);
    let mut bodies = vec![];
    for answer in answers {
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap();
        bodies.push(body.to_bytes());
    }
    let events = frames(bodies[0].clone());
    let types: Vec<_> = events.iter().map(|(type_, _)| type_.as_str()).collect();
    assert_eq!(types, ["ADDED", "BOOKMARK", "MODIFIED", "DELETED", "BOOKMARK"]);
    assert_eq!((&events[0].1, &events[2].1), (&made, &changed));
    let lines = bodies[1].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for (line, (type_, object)) in lines.zip(&events) {
        let event: Value = serde_json::from_slice(line).unwrap();
        assert_eq!((&event["type"], &event["object"]), (&json!(type_), object));
    }
}
