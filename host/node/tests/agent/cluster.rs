//! One node under an API server, as long as a test.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use coracle_apiserver::{ApiServer, Identity};
use coracle_images::Images;
use coracle_network::Fabric;
use coracle_node::{Agent, Capacity, Config};
use coracle_sandbox::{Engine, EngineConfig};
use coracle_store::MemoryStore;
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Namespace, Node, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::guests;

/// Nothing in these tests takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) fabric: Fabric,
    api: Router,
    engine: Engine,
    images: Images,
    directory: tempfile::TempDir,
    agent: Option<Running>,
}

struct Running {
    router: Router,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Cluster {
    /// A cluster with the node `node-0`, ready, and all guests as ready-made modules.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = ApiServer::new(Default::default(), std::sync::Arc::new(MemoryStore::new()));
        let api = server.router();
        let master = Identity::new("test", &["system:masters"]);
        let client = coracle_apiserver::client(api.clone(), master, "default");
        let images = Images::open(&directory.path().join("images")).unwrap();
        let config = EngineConfig {
            guest_threads: 2,
            max_instances: 100,
            ..EngineConfig::new(directory.path().join("compiled"))
        };
        let mut cluster = Self {
            client,
            fabric: Fabric::new(Default::default()),
            api,
            engine: Engine::new(config).unwrap(),
            images,
            directory,
            agent: None,
        };
        for name in ["default", "kube-node-lease"] {
            let namespace: Namespace =
                serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            let all: Api<Namespace> = Api::all(cluster.client.clone());
            match all.create(&PostParams::default(), &namespace).await {
                Err(kube::Error::Api(answer)) if answer.reason == "AlreadyExists" => {}
                made => drop(made.unwrap()),
            }
        }
        // There are no controllers that would make it, nor what its token needs.
        let account: ServiceAccount = serde_json::from_value(json!({
            "metadata": {"name": "default"}, "automountServiceAccountToken": false,
        }))
        .unwrap();
        let accounts = Api::namespaced(cluster.client.clone(), "default");
        accounts.create(&PostParams::default(), &account).await.unwrap();
        for (name, text) in [
            ("hello", guests::hello()),
            ("failing", guests::failing()),
            ("spinning", guests::spinning()),
            ("hogging", guests::hogging()),
            ("environment", guests::environment()),
            ("reading", guests::reading()),
            ("writing", guests::writing()),
            ("pausing", guests::pausing()),
        ] {
            let bytes = wat::parse_str(&text).unwrap();
            coracle_images::provide(&cluster.client, &cluster.images, name, &bytes).await.unwrap();
        }
        cluster.start_agent().await;
        cluster
    }

    pub(crate) async fn start_agent(&mut self) {
        let capacity =
            Capacity { cpu_millis: 2000, memory: 1 << 30, pods: 20, ephemeral_storage: 1 << 30 };
        let root = self.directory.path().join("node-0");
        let mut config = Config::new("node-0", root, capacity);
        config.pod_cidr = Some("10.244.0.0/24".parse().unwrap());
        config.shutdown_grace = Duration::from_millis(200);
        let identity = Identity::new("system:node:node-0", &["system:masters"]);
        let client = coracle_apiserver::client(self.api.clone(), identity, "default");
        let agent = Agent::new(
            config,
            client,
            self.engine.clone(),
            self.fabric.clone(),
            self.images.clone(),
        );
        let router = agent.router();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            agent.run(async { drop(stopped.await) }).await.unwrap();
        });
        self.agent = Some(Running { router, stop, task });
        let nodes: Api<Node> = Api::all(self.client.clone());
        self.until(&nodes, "node-0", |node: &Node| {
            let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
            coracle_api::conditions::is_true(conditions, "Ready")
        })
        .await;
    }

    pub(crate) async fn stop_agent(&mut self) {
        let running = self.agent.take().unwrap();
        drop(running.stop);
        running.task.await.unwrap();
    }

    /// The directory of everything on the node.
    pub(crate) fn node_directory(&self) -> std::path::PathBuf {
        Path::new(self.directory.path()).join("node-0")
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Creates something in the namespace `default`.
    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + Debug + Serialize + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let api: Api<K> = Api::namespaced(self.client.clone(), "default");
        api.create(&PostParams::default(), &object).await.unwrap()
    }

    /// Creates a pod on the node.
    pub(crate) async fn run(&self, name: &str, mut spec: Value) -> Pod {
        spec["nodeName"] = "node-0".into();
        self.create(json!({"metadata": {"name": name}, "spec": spec})).await
    }

    /// Waits until something is as wanted.
    pub(crate) async fn until<K>(&self, api: &Api<K>, name: &str, wanted: impl Fn(&K) -> bool) -> K
    where
        K: Clone + Debug + Send + DeserializeOwned + Resource<DynamicType = ()> + 'static,
    {
        let condition = |object: Option<&K>| object.is_some_and(&wanted);
        let waiting = await_condition(api.clone(), name, condition);
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => {
                let now = api.get_opt(name).await.unwrap();
                panic!("{name} does not become as wanted: {now:#?}");
            }
        }
    }

    /// Waits until a pod is as wanted.
    pub(crate) async fn pod(&self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        self.until(&self.pods(), name, wanted).await
    }

    /// Waits until a pod has a phase.
    pub(crate) async fn phase(&self, name: &str, phase: &str) -> Pod {
        self.pod(name, |pod| coracle_api::pods::phase(pod) == phase).await
    }

    /// Deletes a pod and waits until it is gone.
    pub(crate) async fn delete(&self, name: &str) {
        let pods = self.pods();
        let pod = pods.get(name).await.unwrap();
        pods.delete(name, &DeleteParams::default()).await.unwrap();
        let gone = |now: Option<&Pod>| now.is_none_or(|now| now.metadata.uid != pod.metadata.uid);
        let gone = await_condition(pods, name, gone);
        tokio::time::timeout(PATIENCE, gone).await.unwrap().unwrap();
    }

    /// The answer of the kubelet's API, and its code.
    pub(crate) async fn ask(&self, path: &str) -> (u16, String) {
        let router = self.agent.as_ref().unwrap().router.clone();
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The log of a container `c`.
    pub(crate) async fn log(&self, pod: &str) -> String {
        let (status, text) = self.ask(&format!("/containerLogs/default/{pod}/c")).await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Waits for an event about a pod: its message.
    pub(crate) async fn event(&self, pod: &str, reason: &str) -> String {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let looking = async {
            loop {
                for event in events.list(&ListParams::default()).await.unwrap() {
                    let about = event.involved_object.name.as_deref() == Some(pod);
                    if about && event.reason.as_deref() == Some(reason) {
                        return event.message.unwrap();
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect(reason)
    }
}

/// The status of the container `name`.
pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten()).find(|status| status.name == name)
}

/// The reason for which the container `name` waits.
pub(crate) fn waiting<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    container(pod, name)?.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}
