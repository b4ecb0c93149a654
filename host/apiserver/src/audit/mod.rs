//! The audit log: who asked for what, and what came of it (`audit.k8s.io/v1`). A policy says how
//! much of which request is written down; one JSON line a stage is handed to the program's sink.

mod policy;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use coracle_api::clock;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Response, Uri};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::authn::Identity;
use crate::authz::Attributes;
use crate::protobuf;

pub(crate) use policy::Stage;
pub use policy::{Policy, PolicyError};

use policy::Level;

/// Where events go. What is handed over is one line of JSON, without its end.
pub trait Sink: Debug + Send + Sync + 'static {
    /// Takes an event over. Must not block for long.
    fn write(&self, event: Vec<u8>);
}

/// An audit log.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What is written down.
    pub policy: Arc<Policy>,
    /// Where to.
    pub sink: Arc<dyn Sink>,
}

/// The annotations that a request gathers on its way.
#[derive(Debug, Default)]
pub(crate) struct Annotations(Mutex<BTreeMap<String, String>>);

impl Annotations {
    /// Adds an annotation; the first of a name stays.
    pub(crate) fn add(&self, name: impl Into<String>, value: impl Into<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.into()).or_insert_with(|| value.into());
    }
}

/// How a request came.
pub(crate) struct Came<'a> {
    pub(crate) id: &'a str,
    /// Who sent it, whoever he acts as.
    pub(crate) caller: &'a Identity,
    /// The API version of its path.
    pub(crate) version: &'a str,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// What is written down of one request.
pub(crate) struct Record {
    audit: Audit,
    wanted: policy::Wanted,
    annotations: Arc<Annotations>,
    /// What all stages share.
    event: Mutex<Map<String, Value>>,
}

impl Record {
    /// The record of a request that has just come, if there is to be one.
    pub(crate) fn begin(
        audit: &Audit,
        came: &Came<'_>,
        request: &Attributes<'_>,
        annotations: Arc<Annotations>,
    ) -> Option<Arc<Self>> {
        let wanted = audit.policy.wanted(request);
        if wanted.level == Level::None {
            return None;
        }
        let mut event = Map::new();
        let mut put = |name: &str, value: Value| drop(event.insert(name.into(), value));
        put("kind", json!("Event"));
        put("apiVersion", json!("audit.k8s.io/v1"));
        put("level", json!(wanted.level.as_str()));
        put("auditID", json!(came.id));
        put("requestURI", json!(came.uri.path_and_query().map_or("", |path| path.as_str())));
        put("verb", json!(request.verb));
        put("user", user(came.caller));
        if came.caller != request.identity {
            put("impersonatedUser", user(request.identity));
        }
        if let Some(agent) = came.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()) {
            put("userAgent", json!(agent));
        }
        if let Some(asked) = &request.resource {
            let parts = [
                ("resource", asked.resource),
                ("namespace", asked.namespace),
                ("name", asked.name),
                ("apiGroup", asked.group),
                ("apiVersion", came.version),
                ("subresource", asked.subresource),
            ];
            let parts = parts.into_iter().filter(|(_, value)| !value.is_empty());
            put("objectRef", parts.map(|(name, value)| (name.to_owned(), json!(value))).collect());
        }
        put("requestReceivedTimestamp", micro(clock::now()));
        let (audit, event) = (audit.clone(), Mutex::new(event));
        let record = Arc::new(Self { audit, wanted, annotations, event });
        record.write(Stage::RequestReceived);
        Some(record)
    }

    /// Whether the answer's body is to be written down.
    pub(crate) fn wants_response(&self) -> bool {
        self.wanted.level >= Level::RequestResponse
    }

    /// The object that was sent.
    pub(crate) fn request(&self, json: &[u8]) {
        if self.wanted.level >= Level::Request {
            self.put_object("requestObject", json);
        }
    }

    /// The answer: its code, and its body where that is wanted. Errors and deletions answer with a
    /// `Status`, which is written down in either case.
    pub(crate) fn response(&self, code: u16, body: Option<&Bytes>) {
        let mut status = json!({ "metadata": {}, "code": code });
        let body = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
        if let Some(body) = body.as_ref().filter(|body| body["kind"] == "Status") {
            for part in ["status", "message", "reason", "details"] {
                if let Some(value) = body.get(part) {
                    status[part] = value.clone();
                }
            }
        }
        self.put("responseStatus", status);
        if let Some(body) = body.filter(|_| self.wants_response()) {
            self.put("responseObject", self.trimmed(body));
        }
    }

    /// Writes the event of a stage down, if the policy does not leave that out.
    pub(crate) fn write(&self, stage: Stage) {
        if self.wanted.omit_stages.contains(&stage) {
            return;
        }
        let mut event = self.event.lock().unwrap_or_else(PoisonError::into_inner).clone();
        event.insert("stage".into(), json!(stage.as_str()));
        event.insert("stageTimestamp".into(), micro(clock::now()));
        let annotations = self.annotations.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !annotations.is_empty() {
            event.insert("annotations".into(), json!(*annotations));
        }
        drop(annotations);
        match serde_json::to_vec(&event) {
            Ok(line) => self.audit.sink.write(line),
            Err(error) => tracing::error!(%error, "an audit event cannot be written"),
        }
    }

    fn put(&self, name: &str, value: Value) {
        self.event.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), value);
    }

    fn put_object(&self, name: &str, json: &[u8]) {
        if let Ok(object) = serde_json::from_slice(json) {
            self.put(name, self.trimmed(object));
        }
    }

    fn trimmed(&self, mut object: Value) -> Value {
        if self.wanted.omit_managed_fields {
            let items = object.get_mut("items").and_then(Value::as_array_mut);
            items.into_iter().flatten().for_each(without_managed_fields);
            without_managed_fields(&mut object);
        }
        object
    }
}

/// Writes the answer down, at its end if it is a `long` one.
pub(crate) async fn answered(
    record: Arc<Record>,
    response: Response<Body>,
    stage: Stage,
    long: bool,
) -> Response<Body> {
    let code = response.status().as_u16();
    let (parts, body) = response.into_parts();
    if long && parts.status.is_success() {
        record.response(code, None);
        record.write(Stage::ResponseStarted);
        let end = Ended(record);
        let frames = body.into_data_stream().map(move |frame| {
            let _until_the_end = &end;
            frame
        });
        return Response::from_parts(parts, Body::from_stream(frames));
    }
    // Answers that do not go on are in memory already.
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let protobuf = parts.headers.get(CONTENT_TYPE).is_some_and(|media| media == protobuf::MEDIA);
    let json = if protobuf && record.wants_response() {
        protobuf::decode(&bytes).map(|decoded| decoded.json.into()).unwrap_or_default()
    } else {
        bytes.clone()
    };
    record.response(code, Some(&json));
    record.write(stage);
    Response::from_parts(parts, Body::from(bytes))
}

/// Writes the end of a long answer down when its stream goes.
struct Ended(Arc<Record>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.write(Stage::ResponseComplete);
    }
}

fn without_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn user(identity: &Identity) -> Value {
    let mut user = json!({ "username": identity.name, "groups": identity.groups });
    if !identity.uid.is_empty() {
        user["uid"] = json!(identity.uid);
    }
    if !identity.extra.is_empty() {
        user["extra"] = identity.extra.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    }
    user
}

fn micro(time: Timestamp) -> Value {
    json!(format!("{time:.6}"))
}
