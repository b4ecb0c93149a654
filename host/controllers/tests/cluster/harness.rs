//! A control plane as long as a test.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_controllers::{Authority, Options, TokenGenerator};
use coracle_store::MemoryStore;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinSet};

use crate::node::{self, Health};

/// Simulated time after which a test gives up.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What can be created, read and changed.
pub(crate) trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}
impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

pub(crate) struct Cluster {
    pub(crate) client: Client,
    refusing_pods: Arc<AtomicBool>,
    nodes: Vec<(String, Health)>,
    clients: Clients,
    controllers: AbortHandle,
    fuse: Arc<Fuse>,
    tasks: JoinSet<()>,
}

/// A client for a user of that name.
type Clients = Arc<dyn Fn(&str) -> Client + Send + Sync>;

impl Cluster {
    /// A control plane with as many ready nodes.
    pub(crate) async fn new(nodes: usize) -> Self {
        coracle_api::dice::seed(7);
        coracle_api::clock::simulate("2026-01-01T00:00:00Z".parse().unwrap());
        let server = ApiServer::new(Config::default(), Arc::new(MemoryStore::new()));
        let refusing_pods = Arc::new(AtomicBool::new(false));
        let refusing = refusing_pods.clone();
        let refuse = move |request: Request, next: Next| refuse(refusing.clone(), request, next);
        let router = server.router().layer(axum::middleware::from_fn(refuse));
        let fuse = Arc::new(Fuse::default());
        let burn = {
            let fuse = fuse.clone();
            move |request: Request, next: Next| burn(fuse.clone(), request, next)
        };
        let fused = router.clone().layer(axum::middleware::from_fn(burn));
        let client = coracle_apiserver::client(router.clone(), Identity::master("test"), "default");
        let scheduler = Identity::component("system:kube-scheduler");
        let scheduler = coracle_apiserver::client(router, scheduler, "default");
        let clients: Clients = Arc::new(move |name: &str| {
            coracle_apiserver::client(fused.clone(), Identity::component(name), "default")
        });
        server.bootstrap().await.unwrap();
        let mut tasks = JoinSet::new();
        let controllers = tasks.spawn(std::future::ready(()));
        let nodes_so_far = Vec::new();
        let mut cluster =
            Self { client, refusing_pods, nodes: nodes_so_far, clients, controllers, fuse, tasks };
        for name in ["default", "kube-system", "kube-node-lease"] {
            cluster.create_namespace(name).await;
        }
        cluster.restart_controllers();
        cluster.tasks.spawn(async move {
            let options = coracle_scheduler::Options::default();
            coracle_scheduler::run(scheduler, options, std::future::pending()).await.unwrap();
        });
        for number in 0..nodes {
            cluster.add_node(&format!("node-{number}"), json!({})).await;
        }
        cluster
    }

    /// Breaks the controllers off wherever they are, and starts them anew.
    pub(crate) fn restart_controllers(&mut self) {
        self.controllers.abort();
        self.fuse.left.store(0, Ordering::SeqCst);
        let clients = self.clients.clone();
        let options = Options {
            root_ca: "a certificate".to_owned(),
            authority: Some(Arc::new(authority())),
            tokens: Some(Arc::new(Tokens)),
            ..Options::default()
        };
        self.controllers = self.tasks.spawn(async move {
            let clients = move |name: &str| clients(name);
            coracle_controllers::run(clients, options, std::future::pending()).await.unwrap();
        });
        *self.fuse.controllers.lock().unwrap() = Some(self.controllers.clone());
    }

    /// Breaks the controllers off at one of their next requests: before it is done, or before it is
    /// answered.
    pub(crate) fn crash_controllers(&self, request: usize, is_done: bool) {
        self.fuse.is_done.store(is_done, Ordering::SeqCst);
        self.fuse.left.store(request, Ordering::SeqCst);
    }

    /// Whether the controllers were broken off and not started anew.
    pub(crate) fn controllers_are_down(&self) -> bool {
        self.controllers.is_finished()
    }

    /// Breaks the controllers off.
    pub(crate) fn stop_controllers(&self) {
        self.controllers.abort();
    }

    /// Ends a pod's container with that code.
    pub(crate) async fn end_pod(&self, name: &str, code: i32) {
        node::end(&self.api(), name, code).await.unwrap();
    }

    /// Makes the server refuse every new pod, or none.
    pub(crate) fn refuse_pods(&self, refusing: bool) {
        self.refusing_pods.store(refusing, Ordering::SeqCst);
    }

    pub(crate) async fn create_namespace(&self, name: &str) {
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let api = Api::<Namespace>::all(self.client.clone());
        match api.create(&PostParams::default(), &namespace).await {
            Err(kube::Error::Api(answer)) if answer.reason == "AlreadyExists" => {}
            made => drop(made.unwrap()),
        }
    }

    /// Adds a ready node that runs what it is given.
    pub(crate) async fn add_node(&mut self, name: &str, changes: Value) {
        let health = Health::default();
        node::register(&self.client, name, changes).await;
        self.tasks.spawn(node::run(self.client.clone(), name.to_owned(), health.clone()));
        self.nodes.push((name.to_owned(), health));
    }

    /// Cuts a node off, or lets it come back.
    pub(crate) fn cut_off(&self, name: &str, is_cut_off: bool) {
        let (_, health) = self.nodes.iter().find(|(one, _)| one == name).unwrap();
        health.cut_off(is_cut_off);
    }

    pub(crate) fn api<K: Object>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn create<K: Object>(&self, object: Value) -> K {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap()
    }

    pub(crate) async fn get<K: Object>(&self, name: &str) -> K {
        self.api::<K>().get(name).await.unwrap()
    }

    pub(crate) async fn list<K: Object>(&self) -> Vec<K> {
        self.api::<K>().list(&ListParams::default()).await.unwrap().items
    }

    pub(crate) async fn delete<K: Object>(&self, name: &str, params: DeleteParams) {
        self.api::<K>().delete(name, &params).await.unwrap();
    }

    pub(crate) async fn patch<K: Object>(&self, name: &str, patch: Value) -> K {
        let params = PatchParams::default();
        self.api::<K>().patch(name, &params, &Patch::Strategic(patch)).await.unwrap()
    }

    /// Waits until `done` answers something.
    #[track_caller]
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut done: impl AsyncFnMut() -> Option<T>,
    ) -> impl Future<Output = T> {
        let what = what.to_owned();
        async move {
            let start = tokio::time::Instant::now();
            loop {
                if let Some(answer) = done().await {
                    return answer;
                }
                if start.elapsed() > PATIENCE {
                    let pods = self.list::<Pod>().await;
                    let events = self.events().await;
                    panic!("waited in vain until {what}\npods: {pods:#?}\nevents: {events:#?}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Waits until a Deployment's rollout is complete.
    pub(crate) async fn rolled_out(&self, name: &str) -> Deployment {
        self.until(&format!("{name} is rolled out"), async || {
            let deployment = self.get::<Deployment>(name).await;
            let status = deployment.status.clone().unwrap_or_default();
            let wanted = deployment.spec.as_ref().unwrap().replicas.unwrap();
            let complete = status.observed_generation >= deployment.metadata.generation
                && status.updated_replicas.unwrap_or(0) == wanted
                && status.replicas.unwrap_or(0) == wanted
                && status.available_replicas.unwrap_or(0) == wanted;
            complete.then_some(deployment)
        })
        .await
    }

    /// The ReplicaSets by their revision.
    pub(crate) async fn revisions(&self) -> Vec<(String, ReplicaSet)> {
        let mut all: Vec<_> = self
            .list::<ReplicaSet>()
            .await
            .into_iter()
            .map(|one| (annotation(&one, "deployment.kubernetes.io/revision"), one))
            .collect();
        all.sort_by_key(|(revision, _)| revision.parse::<i64>().unwrap_or(0));
        all
    }

    /// The events, as reason and message.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let text = |text: Option<String>| text.unwrap_or_default();
        let events = self.list::<Event>().await;
        events.into_iter().map(|event| (text(event.reason), text(event.message))).collect()
    }

    /// Waits until there is such an event.
    pub(crate) async fn told(&self, reason: &str, message: &str) {
        self.until(&format!("{reason}: {message}"), async || {
            let events = self.events().await;
            events.contains(&(reason.to_owned(), message.to_owned())).then_some(())
        })
        .await;
    }
}

/// Makes what looks like tokens.
#[derive(Debug)]
struct Tokens;

impl TokenGenerator for Tokens {
    fn generate(&self, account: &ServiceAccount, secret: &str) -> Option<String> {
        Some(format!("{}/{secret}", account.metadata.name.as_deref()?))
    }
}

/// What signs certificates.
fn authority() -> Authority {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = parameters.self_signed(&key).unwrap().pem();
    Authority::read(&certificate, &key.serialize_pem()).unwrap()
}

/// What breaks the controllers off.
#[derive(Default)]
struct Fuse {
    /// At the how manieth request; 0 for none.
    left: AtomicUsize,
    is_done: AtomicBool,
    controllers: Mutex<Option<AbortHandle>>,
}

async fn burn(fuse: Arc<Fuse>, request: Request, next: Next) -> Response {
    let one_less = |left: usize| left.checked_sub(1);
    let left = fuse.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
    if left != Ok(1) {
        return next.run(request).await;
    }
    if fuse.is_done.load(Ordering::SeqCst) {
        next.run(request).await;
    }
    if let Some(controllers) = &*fuse.controllers.lock().unwrap() {
        controllers.abort();
    }
    std::future::pending().await
}

async fn refuse(refusing: Arc<AtomicBool>, request: Request, next: Next) -> Response {
    let is_new_pod = request.method() == Method::POST && request.uri().path().ends_with("/pods");
    if !is_new_pod || !refusing.load(Ordering::SeqCst) {
        return next.run(request).await;
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
        "reason": "Forbidden", "message": "pods are forbidden: no more"});
    (StatusCode::FORBIDDEN, axum::Json(status)).into_response()
}

pub(crate) fn annotation(object: &impl Resource, name: &str) -> String {
    let annotations = object.meta().annotations.as_ref();
    annotations.and_then(|all| all.get(name)).cloned().unwrap_or_default()
}

/// A Deployment of pods labelled `app: <name>`.
pub(crate) fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "main", "image": image}]},
            },
        },
    })
}

/// A pod of that name.
pub(crate) fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "good"}]}});
    json_patch::merge(&mut pod, &json!({"spec": spec}));
    pod
}
