//! The whole server over the memory store, asked as callers ask it.

mod access;
mod admission;
mod admission_policies;
mod aggregation;
mod apiextensions;
mod apply;
mod audit;
mod certificates;
mod classes;
mod client;
mod deletion;
mod events;
mod flow;
mod kubernetes;
mod listener;
mod lists;
mod networking;
mod oidc;
mod owners;
mod policies;
mod protobuf;
mod proxy;
mod rbac;
mod services;
mod subresources;
mod tokens;
mod verbs;
mod versions;
mod views;
mod volumes;
mod watches;
mod webhooks;
mod workloads;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use coracle_store::MemoryStore;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{ApiServer, Config, Identity, StaticToken};

pub(super) const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(super) const PODS: &str = "/api/v1/namespaces/default/pods";

/// A server and its only caller.
pub(super) struct Server {
    pub(super) api: ApiServer,
    pub(super) router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes.to_vec()).unwrap()
    }

    /// The body of an answer with that code.
    #[track_caller]
    pub(super) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// Checks a `Status` and returns its message.
    #[track_caller]
    pub(super) fn fails(&self, status: u16, reason: &str) -> String {
        let body = self.is(status);
        assert_eq!(body["reason"], reason, "{body}");
        assert_eq!((&body["kind"], &body["status"]), (&json!("Status"), &json!("Failure")));
        assert_eq!(body["code"], status);
        body["message"].as_str().unwrap().to_owned()
    }
}

impl Server {
    /// A server with the namespace `default` and its service account.
    pub(super) async fn new() -> Self {
        let tokens = vec![
            StaticToken {
                token: "master".into(),
                identity: Identity::new("root", &["system:masters"]),
            },
            StaticToken { token: "nobody".into(), identity: Identity::new("jane", &[]) },
        ];
        let config = Config { tokens, ..Config::default() };
        Self::with(config).await
    }

    pub(super) async fn with(config: Config) -> Self {
        Self::over(config, MemoryStore::new()).await
    }

    pub(super) async fn over(config: Config, store: MemoryStore) -> Self {
        let api = ApiServer::new(config, Arc::new(store));
        let server = Self { router: api.router(), api };
        let namespace = json!({ "metadata": { "name": "default" } });
        server.post("/api/v1/namespaces", namespace).await.is(201);
        server.furnish("default").await;
        server
    }

    /// Gives a namespace what its controllers would: the account that pods run as unless they name
    /// another. It gives them no token.
    pub(super) async fn furnish(&self, namespace: &str) {
        let account = json!({ "metadata": { "name": "default" },
            "automountServiceAccountToken": false });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.post(&path, account).await.is(201);
    }

    /// Sends a request as the master, or as whoever its extensions say.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub(super) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let identity = Arc::new(Identity::master("tester"));
        Request::builder().method(method).uri(path).extension(identity)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn accept(&self, path: &str, accept: &str) -> Answer {
        let request = self.request(Method::GET, path).header(header::ACCEPT, accept);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.body(Method::POST, path, "application/json", body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.body(Method::PUT, path, "application/json", body.to_string()).await
    }

    pub(super) async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        let media = format!("application/{kind}+json");
        self.body(Method::PATCH, path, &media, body.to_string()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn delete_with(&self, path: &str, options: Value) -> Answer {
        self.body(Method::DELETE, path, "application/json", options.to_string()).await
    }

    pub(super) async fn body(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: String,
    ) -> Answer {
        let request = self.request(method, path).header(header::CONTENT_TYPE, media);
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Binds a cluster role everywhere, and makes the roles that every cluster has.
    pub(super) async fn bind(&self, role: &str, subjects: Value) {
        self.api.bootstrap().await.unwrap();
        let binding = json!({
            "metadata": { "generateName": "test-" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": subjects,
        });
        self.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await.is(201);
    }

    /// Sends a JSON body, if there is one, as somebody.
    pub(super) async fn as_user(
        &self,
        identity: &Identity,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .extension(Arc::new(identity.clone()));
        let body = body.map(|body| Body::from(body.to_string())).unwrap_or_default();
        self.send(request.body(body).unwrap()).await
    }

    /// Creates a ConfigMap.
    pub(super) async fn configmap(&self, name: &str, labels: Value) -> Value {
        let body = json!({ "metadata": { "name": name, "labels": labels }, "data": { "a": "1" } });
        self.post(CONFIGMAPS, body).await.is(201)
    }

    /// Creates a pod with one container, on a node if one is given.
    pub(super) async fn pod(&self, name: &str, node: Option<&str>) -> Value {
        let mut body = json!({
            "metadata": { "name": name },
            "spec": { "containers": [{ "name": "main", "image": "hello:v1" }] },
        });
        if let Some(node) = node {
            body["spec"]["nodeName"] = json!(node);
        }
        self.post(PODS, body).await.is(201)
    }
}

/// The `resourceVersion` of an object or list.
#[track_caller]
pub(super) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
