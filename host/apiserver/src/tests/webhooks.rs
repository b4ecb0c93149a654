//! Admission webhooks: a server on loopback with a certificate of its own that answers as the
//! test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Json;
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header;
use serde_json::{Value, json};

use super::CONFIGMAPS;
use super::admission_policies::Configurable;
use super::listener::{Listener, Switchboard};
use crate::Config;

type Answer = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// A webhook, and what it has been asked.
pub(super) struct Webhook {
    listener: Listener,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// A webhook whose responses are what `answer` makes of requests.
    pub(super) async fn new(answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let answer: Answer = Arc::new(answer);
        let seen = asked.clone();
        let handler = move |Json(review): Json<Value>| async move {
            let request = review["request"].clone();
            let mut response = answer(&request);
            if response.get("uid").is_none() {
                response["uid"] = request["uid"].clone();
            }
            seen.lock().unwrap().push(request);
            Json(json!({ "apiVersion": review["apiVersion"], "kind": review["kind"],
                "response": response }))
        };
        let router = Router::new().route("/hook", post(handler));
        let listener = Listener::new(&["localhost", "hook.default.svc"], None, router).await;
        Self { listener, asked }
    }

    pub(super) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    /// Where it is.
    pub(super) fn client_config(&self) -> Value {
        let url = format!("https://localhost:{}/hook", self.listener.address.port());
        json!({ "url": url, "caBundle": self.listener.bundle })
    }

    /// The webhook as a configuration has it.
    fn configured(&self, name: &str, more: Value) -> Value {
        let mut hook = json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 30,
            "failurePolicy": "Fail",
            "clientConfig": self.client_config(),
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"],
                "resources": ["configmaps"] }],
        });
        for (field, value) in more.as_object().unwrap() {
            hook[field] = value.clone();
        }
        hook
    }
}

async fn validating(own: &Configurable, hooks: &[Value]) {
    own.configure("validatingwebhookconfigurations", "v", json!({ "webhooks": hooks })).await;
}

async fn mutating(own: &Configurable, hooks: &[Value]) {
    own.configure("mutatingwebhookconfigurations", "m", json!({ "webhooks": hooks })).await;
}

fn configmap(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "data": { "a": "1" } })
}

fn patched(operations: Value) -> Value {
    let patch = BASE64_STANDARD.encode(operations.to_string());
    json!({ "allowed": true, "patchType": "JSONPatch", "patch": patch })
}

#[tokio::test]
async fn a_webhook_refuses() {
    let own = Configurable::new().await;
    let hook = Webhook::new(|request| {
        if request["name"] == "bad" {
            let status = json!({ "code": 403, "reason": "Forbidden", "message": "not this one" });
            json!({ "allowed": false, "status": status })
        } else {
            json!({ "allowed": true, "warnings": ["careful"] })
        }
    })
    .await;
    validating(&own, &[hook.configured("check.example.com", json!({}))]).await;
    let answer = own.server.post(CONFIGMAPS, configmap("good")).await;
    answer.is(201);
    assert_eq!(answer.headers[header::WARNING], "299 - \"careful\"");
    let refused = own.server.post(CONFIGMAPS, configmap("bad")).await;
    let message = "admission webhook \"check.example.com\" denied the request: not this one";
    assert_eq!(refused.fails(403, "Forbidden"), message);
    own.server.delete(&format!("{CONFIGMAPS}/good")).await.is(200);
    let asked = hook.asked();
    assert_eq!(asked.len(), 3);
    let first = &asked[0];
    assert_eq!(first["operation"], "CREATE");
    assert_eq!(first["kind"], json!({ "group": "", "version": "v1", "kind": "ConfigMap" }));
    assert_eq!(first["resource"]["resource"], "configmaps");
    assert_eq!((&first["name"], &first["namespace"]), (&json!("good"), &json!("default")));
    assert_eq!(first["object"]["data"]["a"], "1");
    assert_eq!(first["object"]["apiVersion"], "v1");
    assert_eq!(first["oldObject"], Value::Null);
    assert_eq!(first["userInfo"]["username"], "tester");
    assert_eq!(first["dryRun"], false);
    assert_eq!(asked[2]["operation"], "DELETE");
    assert_eq!(asked[2]["oldObject"]["metadata"]["name"], "good");
    assert_eq!(asked[2]["object"], Value::Null);
}

#[tokio::test]
async fn what_is_not_selected_is_not_asked_about() {
    let own = Configurable::new().await;
    let hook = Webhook::new(|_| json!({ "allowed": false })).await;
    let more = [
        json!({ "objectSelector": { "matchLabels": { "checked": "yes" } } }),
        json!({ "namespaceSelector": { "matchLabels": { "env": "other" } } }),
        json!({ "matchConditions": [{ "name": "n", "expression": "object.metadata.name == 'x'" }] }),
        json!({ "rules": [] }),
    ];
    let hooks: Vec<_> = more.into_iter().map(|more| hook.configured("w", more)).collect();
    validating(&own, &hooks).await;
    own.server.post(CONFIGMAPS, configmap("a")).await.is(201);
    assert!(hook.asked().is_empty());
    let mut labelled = configmap("b");
    labelled["metadata"]["labels"] = json!({ "checked": "yes" });
    let refused = own.server.post(CONFIGMAPS, labelled).await;
    assert_eq!(refused.status, 400);
    let message = "admission webhook \"w\" denied the request without explanation";
    assert_eq!(refused.json()["message"], message);
    own.server.post(CONFIGMAPS, configmap("x")).await;
    assert_eq!(hook.asked().len(), 2);
}

#[tokio::test]
async fn webhooks_change_objects_and_see_each_other() {
    let own = Configurable::new().await;
    let first = Webhook::new(|request| {
        let seen = request["object"]["data"].get("second").is_some();
        let value = if seen { "saw second" } else { "alone" };
        patched(json!([{ "op": "add", "path": "/data/first", "value": value }]))
    })
    .await;
    let second =
        Webhook::new(|_| patched(json!([{ "op": "add", "path": "/data/second", "value": "1" }])))
            .await;
    let hooks = [
        first.configured("first", json!({ "reinvocationPolicy": "IfNeeded" })),
        second.configured("second", json!({ "reinvocationPolicy": "Never" })),
    ];
    mutating(&own, &hooks).await;
    let made = own.server.post(CONFIGMAPS, configmap("a")).await.is(201);
    assert_eq!(made["data"], json!({ "a": "1", "first": "saw second", "second": "1" }));
    assert_eq!((first.asked().len(), second.asked().len()), (2, 1));
    let stored = own.server.get(&format!("{CONFIGMAPS}/a")).await.is(200);
    assert_eq!(stored["data"], made["data"]);
}

#[tokio::test]
async fn failures_count_as_the_webhook_says() {
    let own = Configurable::new().await;
    let hook = Webhook::new(|_| json!({ "allowed": true, "uid": "another" })).await;
    validating(&own, &[hook.configured("w", json!({}))]).await;
    let message = own.server.post(CONFIGMAPS, configmap("a")).await.fails(500, "InternalError");
    let start = "Internal error occurred: failed calling webhook \"w\": received invalid webhook \
                 response: expected response.uid=";
    assert!(message.starts_with(start), "{message}");
    let closed = json!({ "clientConfig": { "url": "https://localhost:1/hook" } });
    validating(&own, &[hook.configured("w", closed.clone())]).await;
    let message = own.server.post(CONFIGMAPS, configmap("a")).await.fails(500, "InternalError");
    let start = "Internal error occurred: failed calling webhook \"w\": failed to call webhook: \
                 Post \"https://localhost:1/hook?timeout=30s\": ";
    assert!(message.starts_with(start), "{message}");
    // Somebody else's certificate is not trusted.
    let other = Webhook::new(|_| json!({ "allowed": true })).await;
    let url = format!("https://localhost:{}/hook", hook.listener.address.port());
    let wrong = json!({ "clientConfig": { "url": url, "caBundle": other.listener.bundle } });
    validating(&own, &[hook.configured("w", wrong)]).await;
    own.server.post(CONFIGMAPS, configmap("a")).await.fails(500, "InternalError");
    let mut lenient = hook.configured("w", closed);
    lenient["failurePolicy"] = json!("Ignore");
    validating(&own, &[lenient]).await;
    own.server.post(CONFIGMAPS, configmap("a")).await.is(201);
}

#[tokio::test]
async fn a_dry_run_asks_only_those_that_change_nothing() {
    let own = Configurable::new().await;
    let hook = Webhook::new(|_| json!({ "allowed": true })).await;
    validating(&own, &[hook.configured("w", json!({ "sideEffects": "Some" }))]).await;
    let dry = format!("{CONFIGMAPS}?dryRun=All");
    let message = own.server.post(&dry, configmap("a")).await.fails(400, "BadRequest");
    assert_eq!(message, "admission webhook \"w\" does not support dry run");
    validating(&own, &[hook.configured("w", json!({ "sideEffects": "NoneOnDryRun" }))]).await;
    own.server.post(&dry, configmap("a")).await.is(201);
    assert_eq!(hook.asked()[0]["dryRun"], true);
}

#[tokio::test]
async fn a_webhook_that_is_a_service_is_dialled_by_its_address() {
    let hook = Webhook::new(|_| json!({ "allowed": true })).await;
    let dialer = Arc::new(Switchboard { to: hook.listener.address, dialled: Mutex::default() });
    let own = Configurable::with(Config { dialer: dialer.clone(), ..Config::default() }).await;
    let service = json!({ "service": { "name": "hook", "namespace": "default", "path": "hook" },
        "caBundle": hook.listener.bundle });
    let configured = hook.configured("w", json!({ "clientConfig": service }));
    validating(&own, &[configured]).await;
    let message = own.server.post(CONFIGMAPS, configmap("a")).await.fails(500, "InternalError");
    let end = "Post \"https://hook.default.svc:443/hook?timeout=30s\": service \"hook\" not found";
    assert!(message.ends_with(end), "{message}");
    let object = json!({ "metadata": { "name": "hook" }, "spec": { "ports": [{ "port": 443 }] } });
    let created = own.server.post("/api/v1/namespaces/default/services", object).await.is(201);
    own.server.post(CONFIGMAPS, configmap("a")).await.is(201);
    let address = format!("{}:443", created["spec"]["clusterIP"].as_str().unwrap());
    assert_eq!(*dialer.dialled.lock().unwrap(), [address.parse::<SocketAddr>().unwrap()]);
}
