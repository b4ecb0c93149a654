//! Scale, status, binding, eviction, log.

use std::sync::Mutex;

use axum::body::Body;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Answer, PODS, Server, version};
use crate::{Config, Kubelets, Unreachable};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn deployed(server: &Server) -> Value {
    let labels = json!({ "app": "web" });
    let body = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "main", "image": "hello:v1" }] },
            },
        },
    });
    server.post(DEPLOYMENTS, body).await.is(201)
}

#[tokio::test]
async fn scales_are_views_of_objects() {
    let server = Server::new().await;
    deployed(&server).await;
    let path = format!("{DEPLOYMENTS}/web/scale");
    let mut scale = server.get(&path).await.is(200);
    assert_eq!((&scale["kind"], &scale["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
    assert_eq!(scale["spec"]["replicas"], 2);
    assert_eq!(scale["status"]["selector"], "app=web");
    scale["spec"]["replicas"] = json!(5);
    let answer = server.put(&path, &scale).await.is(200);
    assert_eq!(answer["spec"]["replicas"], 5);
    server.put(&path, &scale).await.fails(409, "Conflict");
    let patch = json!({ "spec": { "replicas": 3 } });
    server.patch(&path, "merge-patch", patch).await.is(200);
    let object = server.get(&format!("{DEPLOYMENTS}/web")).await.is(200);
    assert_eq!(object["spec"]["replicas"], 3);
    assert_eq!(object["metadata"]["generation"], 3);
    let patch = json!({ "spec": { "replicas": -1 } });
    server.patch(&path, "merge-patch", patch).await.fails(422, "Invalid");
    server.get("/api/v1/namespaces/default/pods/x/scale").await.fails(404, "NotFound");
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let server = Server::new().await;
    let made = deployed(&server).await;
    assert_eq!(made["metadata"]["generation"], 1);
    let path = format!("{DEPLOYMENTS}/web");
    let both =
        json!({ "spec": { "replicas": 4 }, "status": { "replicas": 9, "observedGeneration": 1 } });
    let status = server.patch(&format!("{path}/status"), "merge-patch", both.clone()).await.is(200);
    assert_eq!(
        (&status["spec"]["replicas"], &status["status"]["replicas"]),
        (&json!(2), &json!(9))
    );
    assert_eq!(status["metadata"]["generation"], 1);
    let spec = server
        .patch(
            &path,
            "merge-patch",
            json!({ "spec": { "replicas": 4 }, "status": { "replicas": 0 } }),
        )
        .await;
    let spec = spec.is(200);
    assert_eq!((&spec["spec"]["replicas"], &spec["status"]["replicas"]), (&json!(4), &json!(9)));
    assert_eq!(spec["metadata"]["generation"], 2);
}

async fn bind(server: &Server, pod: &str, node: &str) -> Answer {
    let binding =
        json!({ "metadata": { "name": pod }, "target": { "kind": "Node", "name": node } });
    server.post(&format!("{PODS}/{pod}/binding"), binding).await
}

#[tokio::test]
async fn pods_are_bound_once() {
    let server = Server::new().await;
    server.pod("a", None).await;
    assert_eq!(bind(&server, "a", "n1").await.is(201)["status"], "Success");
    let pod = server.get(&format!("{PODS}/a")).await.is(200);
    assert_eq!(pod["spec"]["nodeName"], "n1");
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["type"] == "PodScheduled" && c["status"] == "True"));
    assert_eq!(
        bind(&server, "a", "n2").await.fails(409, "Conflict"),
        "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \
         \"n1\""
    );
    bind(&server, "x", "n1").await.fails(404, "NotFound");
    server.pod("b", None).await;
    let wrong = json!({ "metadata": { "name": "b" }, "target": { "kind": "Moon", "name": "" } });
    server.post(&format!("{PODS}/b/binding"), wrong).await.fails(422, "Invalid");
    let old = json!({ "metadata": { "name": "b" }, "target": { "name": "n1" } });
    server.post("/api/v1/namespaces/default/bindings", old).await.is(201);
    server.get(&format!("{PODS}/b/binding")).await.fails(405, "MethodNotAllowed");
}

#[tokio::test]
async fn evictions_delete() {
    let server = Server::new().await;
    let pod = server.pod("a", Some("n1")).await;
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": "a" },
        "deleteOptions": { "gracePeriodSeconds": 3 },
    });
    server.post(&format!("{PODS}/a/eviction"), eviction).await.is(201);
    let evicted = server.get(&format!("{PODS}/a")).await.is(200);
    assert_eq!(evicted["metadata"]["deletionGracePeriodSeconds"], 3);
    assert!(version(&evicted) > version(&pod));
}

#[tokio::test]
async fn pods_are_completed() {
    let server = Server::new().await;
    let pod = server.pod("a", None).await;
    assert_eq!(pod["spec"]["serviceAccountName"], "default");
    assert_eq!(pod["spec"]["priority"], 0);
    assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(pod["spec"]["tolerations"][0]["tolerationSeconds"], 300);
    assert_eq!(pod["status"]["phase"], "Pending");
    let with = |field: &str, value: &str| {
        json!({
            "metadata": { "name": "b" },
            "spec": { field: value, "containers": [{ "name": "main", "image": "hello:v1" }] },
        })
    };
    let message = server.post(PODS, with("serviceAccountName", "x")).await.fails(403, "Forbidden");
    assert!(message.contains("serviceaccount \"x\" not found"), "{message}");
    let message = server.post(PODS, with("priorityClassName", "x")).await.fails(403, "Forbidden");
    assert!(message.contains("no PriorityClass with name x was found"), "{message}");
}

#[tokio::test]
async fn ephemeral_containers_are_only_added() {
    let server = Server::new().await;
    server.pod("a", Some("n1")).await;
    let path = format!("{PODS}/a/ephemeralcontainers");
    let with = |name: &str, image: &str| json!({ "spec": { "ephemeralContainers": [{ "name": name, "image": image }] } });
    let both = json!({ "metadata": { "labels": { "x": "y" } },
        "spec": { "ephemeralContainers": [{ "name": "look", "image": "tools:v1" }] } });
    let changed = server.patch(&path, "strategic-merge-patch", both).await.is(200);
    assert_eq!(changed["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"], "File");
    assert!(changed["metadata"].get("labels").is_none());
    assert_eq!(changed["metadata"]["generation"], 2);
    let message = server.patch(&path, "merge-patch", with("look", "other:v1")).await;
    let message = message.fails(422, "Invalid");
    assert!(
        message.contains("existing ephemeral containers \"look\" may not be changed"),
        "{message}"
    );
    let message = server.patch(&path, "merge-patch", with("more", "other:v1")).await;
    assert!(message.fails(422, "Invalid").contains("may not be removed"));
    let probe = json!({ "spec": { "ephemeralContainers": [
        { "name": "main", "image": "x:v1", "livenessProbe": { "exec": { "command": ["x"] } } },
    ] } });
    let message = server.patch(&path, "strategic-merge-patch", probe).await.fails(422, "Invalid");
    assert!(
        message.contains("spec.ephemeralContainers[0].name: Duplicate value: \"main\""),
        "{message}"
    );
    assert!(message.contains("livenessProbe: Forbidden: cannot be set for an Ephemeral Container"));
    // Elsewhere they cannot be touched.
    let message = server.patch(&format!("{PODS}/a"), "merge-patch", with("b", "c")).await;
    assert!(message.fails(422, "Invalid").contains("pod updates may not change fields other than"));
}

#[tokio::test]
async fn subresources_are_applied_to() {
    let server = Server::new().await;
    server.pod("a", Some("n1")).await;
    let config = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
        "spec": { "ephemeralContainers": [{ "name": "look", "image": "tools:v1" }] } });
    let path = format!("{PODS}/a/ephemeralcontainers?fieldManager=me");
    let media = "application/apply-patch+yaml";
    let applied = server.body(Method::PATCH, &path, media, config.to_string()).await.is(200);
    assert_eq!(applied["spec"]["ephemeralContainers"][0]["name"], "look");
    let owners = applied["metadata"]["managedFields"].as_array().unwrap();
    let mine = owners.iter().find(|one| one["manager"] == "me").unwrap();
    assert_eq!(
        (&mine["operation"], &mine["subresource"]),
        (&json!("Apply"), &json!("ephemeralcontainers"))
    );
    // What is not there cannot be made by a part of it.
    let nobody = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "b" } });
    let path = format!("{PODS}/b/ephemeralcontainers?fieldManager=me");
    let answer = server.body(Method::PATCH, &path, media, nobody.to_string()).await;
    answer.fails(404, "NotFound");
}

/// A node agent that writes down what it is asked.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Kubelets for Recorder {
    fn call(
        &self,
        node: &str,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, Unreachable>> {
        self.0.lock().unwrap().push(format!("{node} {}", request.uri()));
        let waiting = request.uri().path().ends_with("/second");
        Box::pin(async move {
            let mut response = Response::new(Body::from("hello\n"));
            if waiting {
                let why = "container \"second\" in pod \"b\" is waiting to start: \
                           ContainerCreating";
                response = Response::new(Body::from(why));
                *response.status_mut() = StatusCode::BAD_REQUEST;
            }
            Ok(response)
        })
    }
}

#[tokio::test]
async fn logs_come_from_the_node() {
    let recorder = std::sync::Arc::new(Recorder::default());
    let config = Config { kubelets: recorder.clone(), ..Config::default() };
    let server = Server::with(config).await;
    server.pod("a", Some("n1")).await;
    let answer = server.get(&format!("{PODS}/a/log?tailLines=5&timestamps=true")).await;
    assert_eq!(answer.text(), "hello\n");
    let asked = "n1 /containerLogs/default/a/main?tailLines=5&timestamps=true";
    assert_eq!(*recorder.0.lock().unwrap(), [asked]);
    let two = json!({
        "metadata": { "name": "b" },
        "spec": { "nodeName": "n1", "containers": [
            { "name": "first", "image": "hello:v1" },
            { "name": "second", "image": "hello:v1" },
        ] },
    });
    server.post(PODS, two).await.is(201);
    for (query, message) in [
        ("", "a container name must be specified for pod b, choose one of: [first second]"),
        ("?container=x", "container x is not valid for pod b"),
        (
            "?container=second",
            "container \"second\" in pod \"b\" is waiting to start: ContainerCreating",
        ),
    ] {
        let found = server.get(&format!("{PODS}/b/log{query}")).await.fails(400, "BadRequest");
        assert_eq!(found, message);
    }
    server.get(&format!("{PODS}/b/log?container=first&tailLines=-1")).await.fails(422, "Invalid");
    server.pod("c", None).await;
    assert_eq!(server.get(&format!("{PODS}/c/log")).await.text(), "");
}
