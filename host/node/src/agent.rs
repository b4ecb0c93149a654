//! An agent's life: register, wait for a range of addresses, run pods, end.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use coracle_images::Images;
use coracle_network::{Cidr, Fabric};
use coracle_sandbox::Engine;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Node as Object;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::events::Recorder;
use crate::logs::{LogWriter, Logs};
use crate::registry::Registry;
use crate::sources::Sources;
use crate::{Config, Error, Node, Result, lease, pods, register, server};

/// Wait before an attempt to register or to write the node's status is repeated.
const RETRY: Duration = Duration::from_secs(1);

type Task = futures::future::BoxFuture<'static, ()>;

/// A node agent.
pub struct Agent {
    node: Arc<Node>,
    /// What `run` has to start, once.
    parts: Mutex<Option<Parts>>,
}

struct Parts {
    writer: LogWriter,
    tasks: Vec<Task>,
}

impl Agent {
    /// An agent that has not begun. Everything it does in the cluster it does through `client`.
    pub fn new(
        config: Config,
        client: Client,
        engine: Engine,
        fabric: Fabric,
        images: Images,
    ) -> Self {
        let (logs, writer) = Logs::new(config.logs);
        let (recorder, recording) = Recorder::new(client.clone(), config.name.clone());
        let (sources, watching) = Sources::new(client.clone());
        let cidr = OnceLock::new();
        if let Some(given) = config.pod_cidr {
            // The lock is new, so it takes the value.
            let _ = cidr.set(given);
        }
        let node = Arc::new(Node {
            pulls: Semaphore::new(config.max_parallel_pulls.max(1)),
            allocatable: config.capacity.amounts(),
            config,
            client,
            engine,
            fabric,
            images,
            logs,
            recorder,
            sources: Arc::new(sources),
            registry: Registry::default(),
            cidr,
        });
        let tasks: Vec<Task> = vec![Box::pin(recording), Box::pin(watching)];
        Self { node, parts: Mutex::new(Some(Parts { writer, tasks })) }
    }

    /// The kubelet's API, for whoever serves it behind authentication.
    pub fn router(&self) -> Router {
        server::router(self.node.clone())
    }

    /// Registers the node and runs its pods until `shutdown`, then stops them without marking
    /// them as ended: they run again when an agent of this name does.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Parts { writer, tasks } = parts.ok_or(Error::RunBefore)?;
        let root = self.node.config.root.join("pods");
        let directory = |source| Error::Directory { path: root.clone(), source };
        // Secrets lie in there.
        let private = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(&root).await;
        private.map_err(directory)?;
        writer.start().map_err(Error::Logs)?;
        let mut background = JoinSet::new();
        for task in tasks {
            background.spawn(task);
        }
        let mut shutdown = std::pin::pin!(shutdown);
        let object = tokio::select! {
            object = self.begin() => object,
            () = &mut shutdown => return Ok(()),
        };
        background.spawn(lease::keep(self.node.client.clone(), object.clone()));
        background.spawn(heartbeat(self.node.clone(), object));
        pods::run(self.node.clone(), shutdown).await;
        Ok(())
    }

    /// Registers the node and makes it ready.
    async fn begin(&self) -> Object {
        let node = &self.node;
        let mut object = loop {
            match node.register().await {
                Ok(object) => break object,
                Err(error) => tracing::warn!(%error, "registering the node"),
            }
            tokio::time::sleep(RETRY).await;
        };
        node.recorder.node(&object, "Starting", "Starting kubelet.".to_owned());
        if node.cidr.get().is_none() && !self.take_range(&object) {
            // The node shows itself, not ready yet, while it waits.
            object = written(node, &object, false).await;
            if !self.take_range(&object) {
                self.await_range().await;
            }
        }
        let object = written(node, &object, true).await;
        let name = &node.config.name;
        node.recorder.node(&object, "NodeReady", format!("Node {name} status is now: NodeReady"));
        object
    }

    /// Takes the range of addresses from the Node object, if it says one.
    fn take_range(&self, object: &Object) -> bool {
        let Some(text) = object.spec.as_ref().and_then(|spec| spec.pod_cidr.as_ref()) else {
            return false;
        };
        match text.parse::<Cidr>() {
            Ok(range) => {
                // Only this task sets it.
                let _ = self.node.cidr.set(range);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the node's podCIDR cannot be read");
                false
            }
        }
    }

    async fn await_range(&self) {
        let api: Api<Object> = Api::all(self.node.client.clone());
        let stream = watcher::watch_object(api, &self.node.config.name).default_backoff();
        let mut stream = std::pin::pin!(stream);
        while let Some(found) = stream.next().await {
            match found {
                Ok(Some(object)) if self.take_range(&object) => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "waiting for the node's podCIDR"),
            }
        }
    }
}

/// Writes the node's status, again and again if need be; the object as it is then, or as it was
/// if somebody has deleted it.
async fn written(node: &Node, object: &Object, ready: bool) -> Object {
    loop {
        match node.write_status(object, ready).await {
            Ok(object) => return object,
            Err(kube::Error::Api(answer)) if answer.code == 404 => return object.clone(),
            Err(error) => tracing::warn!(%error, "writing the node's status"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Renews the node's status; registers it anew if somebody deleted it.
async fn heartbeat(node: Arc<Node>, object: Object) {
    let api: Api<Object> = Api::all(node.client.clone());
    let stream = watcher::watch_object(api, &node.config.name).default_backoff();
    let mut stream = std::pin::pin!(stream);
    let mut latest = object;
    let mut ticks = tokio::time::interval(register::HEARTBEAT);
    ticks.reset();
    loop {
        let due = tokio::select! {
            _ = ticks.tick() => true,
            found = stream.next() => match found {
                Some(Ok(Some(found))) => {
                    latest = found;
                    // After a loss of contact the cluster has marked the node; it is back.
                    !is_ready(&latest)
                }
                Some(Ok(None)) => {
                    match node.register().await {
                        Ok(object) => latest = object,
                        Err(error) => tracing::warn!(%error, "registering the node again"),
                    }
                    true
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "watching the node's own object");
                    false
                }
                None => return,
            }
        };
        if due {
            latest = written(&node, &latest, true).await;
        }
    }
}

fn is_ready(object: &Object) -> bool {
    let conditions = object.status.as_ref().and_then(|status| status.conditions.as_ref());
    coracle_api::conditions::is_true(conditions, "Ready")
}
