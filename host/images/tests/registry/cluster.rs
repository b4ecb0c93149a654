//! What the tests run against.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use coracle_api::module::Module;
use coracle_images::{Images, router};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};

/// A command without imports.
pub(crate) const COMMAND: &str = r#"(module (func (export "_start")))"#;

pub(crate) fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// An API server that knows Modules, nothing else, and of two callers refuses one.
#[derive(Clone, Default)]
pub(crate) struct Modules(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<(String, String), Module>,
    /// Conflicts that the next replacements meet.
    conflicts: usize,
}

impl Modules {
    pub(crate) fn client(&self) -> Client {
        self.client_of(true)
    }

    fn client_of(&self, allowed: bool) -> Client {
        let modules = self.clone();
        let service = service_fn(move |request: Request<kube::client::Body>| {
            let modules = modules.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (status, value) = if allowed {
                    modules.answer(&parts.method, parts.uri.path(), parts.uri.query(), &body)
                } else {
                    failure(403, "Forbidden")
                };
                let response = Response::builder().status(status);
                Ok::<_, std::convert::Infallible>(
                    response.body(Body::from(value.to_string())).unwrap(),
                )
            }
        });
        Client::new(service, "default")
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Module> {
        let key = (namespace.to_owned(), name.to_owned());
        self.0.lock().unwrap().objects.get(&key).cloned()
    }

    pub(crate) fn delete(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.0.lock().unwrap().objects.remove(&key);
    }

    /// The revision: how often anything was written.
    pub(crate) fn writes(&self) -> u64 {
        self.0.lock().unwrap().revision
    }

    pub(crate) fn conflict_times(&self, times: usize) {
        self.0.lock().unwrap().conflicts = times;
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        body: &[u8],
    ) -> (u16, Value) {
        let mut state = self.0.lock().unwrap();
        let path = path.trim_start_matches('/').split('/').collect::<Vec<_>>();
        let dry = query.is_some_and(|query| query.contains("dryRun=All"));
        match (method, path.as_slice()) {
            (&Method::POST, ["api", "v1", "namespaces"]) => {
                (201, serde_json::from_slice(body).unwrap())
            }
            (&Method::GET, ["apis", "coracle.dev", "v1", "modules"]) => {
                let items: Vec<&Module> = state.objects.values().collect();
                (
                    200,
                    json!({ "apiVersion": "coracle.dev/v1", "kind": "ModuleList",
                    "metadata": {}, "items": items }),
                )
            }
            (&Method::POST, ["apis", "coracle.dev", "v1", "namespaces", namespace, "modules"]) => {
                if *namespace == "gone" {
                    return failure(404, "NotFound");
                }
                let module: Module = serde_json::from_slice(body).unwrap();
                let key = ((*namespace).to_owned(), module.name_any());
                if state.objects.contains_key(&key) {
                    return failure(409, "AlreadyExists");
                }
                (201, if dry { json!(module) } else { state.write(key, module) })
            }
            (method, ["apis", "coracle.dev", "v1", "namespaces", namespace, "modules", name]) => {
                let key = ((*namespace).to_owned(), (*name).to_owned());
                let Some(known) = state.objects.get(&key).cloned() else {
                    return failure(404, "NotFound");
                };
                match *method {
                    Method::GET => (200, json!(known)),
                    Method::PUT => {
                        let module: Module = serde_json::from_slice(body).unwrap();
                        let stale = module.resource_version() != known.resource_version();
                        if stale || state.conflicts > 0 {
                            state.conflicts = state.conflicts.saturating_sub(1);
                            return failure(409, "Conflict");
                        }
                        (200, state.write(key, module))
                    }
                    Method::DELETE => {
                        state.revision += 1;
                        state.objects.remove(&key);
                        (200, json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }))
                    }
                    _ => failure(405, "MethodNotAllowed"),
                }
            }
            _ => failure(404, "NotFound"),
        }
    }
}

impl State {
    fn write(&mut self, key: (String, String), mut module: Module) -> Value {
        self.revision += 1;
        module.metadata.resource_version = Some(self.revision.to_string());
        let value = json!(module);
        self.objects.insert(key, module);
        value
    }
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    let message = format!("the API says {reason}");
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code }),
    )
}

/// Marks a request as one whose sender may do nothing.
#[derive(Clone)]
pub(crate) struct Stranger;

/// An image store over a directory of its own, with its routes.
pub(crate) struct Cluster {
    pub(crate) modules: Modules,
    pub(crate) images: Images,
    pub(crate) router: Router,
    pub(crate) dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::with_limit(1 << 20)
    }

    pub(crate) fn with_limit(limit: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::open(dir.path()).unwrap().with_limit(limit);
        let modules = Modules::default();
        let (allowed, stranger) = (modules.client_of(true), modules.client_of(false));
        let router = router(images.clone(), move |extensions| match extensions.get::<Stranger>() {
            Some(_) => stranger.clone(),
            None => allowed.clone(),
        });
        Self { modules, images, router, dir }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn upload(&self, path: &str, bytes: impl Into<Body>) -> Answer {
        self.call(Method::PUT, &format!("/upload/{path}"), bytes).await
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status, and the code of the first error.
    pub(crate) fn error(&self) -> (u16, String) {
        let code = self.json()["errors"][0]["code"].as_str().unwrap().to_owned();
        (self.status.as_u16(), code)
    }
}
