//! The pods that are bound to this node: one watch, a worker for each. Judges on arrival whether
//! a pod may run here, and clears away what pods that vanished while the agent was down left.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use coracle_api::{clock, pods};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::admission::Rejection;
use crate::worker::{self, Desired};
use crate::{Node, status};

/// Wait before the failure of a rejected pod is written again.
const REJECT_RETRY: Duration = Duration::from_secs(1);

/// Workers that have nothing left to do, as they say themselves; more wait to say it.
const RESTING: usize = 1024;

/// A pod's worker.
struct Handle {
    desired: watch::Sender<Desired>,
    task: JoinHandle<()>,
}

/// The workers by their pods' uids.
struct Workers {
    node: Arc<Node>,
    handles: HashMap<String, Handle>,
    resting: mpsc::Sender<String>,
    /// Workers whose pods are gone and who are still clearing up.
    leaving: Vec<JoinHandle<()>>,
    /// Pods that this node does not run: their end came before, or they were rejected.
    idle: HashSet<String>,
    /// While a list is being read: what was in it so far.
    listed: Option<Vec<Arc<Pod>>>,
}

/// Runs the node's pods until `shutdown`, then ends them.
pub(crate) async fn run(node: Arc<Node>, shutdown: impl Future<Output = ()>) {
    let mine = format!("spec.nodeName={}", node.config.name);
    let api: Api<Pod> = Api::all(node.client.clone());
    let stream = watcher(api, watcher::Config::default().fields(&mine))
        .modify(|pod| pod.metadata.managed_fields = None)
        .default_backoff();
    let mut stream = std::pin::pin!(stream);
    let mut shutdown = std::pin::pin!(shutdown);
    let (resting, mut rested) = mpsc::channel(RESTING);
    let mut workers = Workers {
        node,
        handles: HashMap::new(),
        resting,
        leaving: Vec::new(),
        idle: HashSet::new(),
        listed: None,
    };
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(uid) = rested.recv() => workers.let_go(uid),
            event = stream.next() => match event {
                Some(Ok(event)) => workers.take(event).await,
                Some(Err(error)) => tracing::warn!(%error, "watching the node's pods"),
                None => break,
            }
        }
    }
    workers.end().await;
}

impl Workers {
    async fn take(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed = Some(Vec::new()),
            Event::InitApply(pod) => self.listed.get_or_insert_default().push(Arc::new(pod)),
            Event::InitDone => self.take_list().await,
            Event::Apply(pod) => self.apply(Arc::new(pod)).await,
            Event::Delete(pod) => self.remove(&uid(&pod)),
        }
    }

    /// Takes in a complete list: what is not in it is gone.
    async fn take_list(&mut self) {
        let mut listed = self.listed.take().unwrap_or_default();
        let present: HashSet<String> = listed.iter().map(|pod| uid(pod)).collect();
        let known = self.handles.keys().chain(&self.idle);
        let gone: Vec<String> = known.filter(|uid| !present.contains(*uid)).cloned().collect();
        for uid in gone {
            self.remove(&uid);
        }
        self.clear_orphans(present).await;
        // Those who were here first are admitted first.
        listed.sort_by_key(|pod| (pod.status.is_none(), pod.metadata.creation_timestamp.clone()));
        for pod in listed {
            self.apply(pod).await;
        }
    }

    /// Removes the directories of pods that are neither listed nor being cleared away.
    async fn clear_orphans(&self, present: HashSet<String>) {
        if !self.leaving.is_empty() || !self.handles.is_empty() {
            return;
        }
        let root = self.node.config.root.join("pods");
        let clearing = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            let entries = match std::fs::read_dir(&root) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                if !present.contains(&*entry.file_name().to_string_lossy()) {
                    crate::remove_directory(&entry.path())?;
                }
            }
            Ok(())
        });
        if let Ok(Err(error)) = clearing.await {
            tracing::warn!(%error, "clearing away what vanished pods left");
        }
    }

    async fn apply(&mut self, pod: Arc<Pod>) {
        let uid = uid(&pod);
        self.node.registry.note(&uid, &pod);
        if let Some(handle) = self.handles.get(&uid) {
            handle.desired.send_replace(Desired::Pod(pod));
            return;
        }
        // One that is over needs a worker only to be deleted.
        if pods::is_terminal(&pod) && !pods::is_terminating(&pod) {
            self.idle.insert(uid);
            return;
        }
        if !pods::is_terminating(&pod) {
            let (registry, labels) = (&self.node.registry, self.node.labels_for(&pod).await);
            if let Err(rejection) = registry.admit(&pod, &self.node.allocatable, &labels) {
                self.idle.insert(uid);
                tokio::spawn(reject(self.node.clone(), pod, rejection));
                return;
            }
        }
        self.idle.remove(&uid);
        let (desired, wanted) = watch::channel(Desired::Pod(pod.clone()));
        let task = worker::spawn(self.node.clone(), pod, wanted, self.resting.clone());
        self.handles.insert(uid, Handle { desired, task });
    }

    /// Lets the worker of a pod that is over go, unless something came in between.
    fn let_go(&mut self, uid: String) {
        let over = self.handles.get(&uid).is_some_and(|handle| match &*handle.desired.borrow() {
            Desired::Pod(pod) => !pods::is_terminating(pod),
            Desired::Gone | Desired::Shutdown => false,
        });
        if over {
            // Without a sender the worker ends.
            self.handles.remove(&uid);
            self.idle.insert(uid);
        }
    }

    fn remove(&mut self, uid: &str) {
        self.leaving.retain(|task| !task.is_finished());
        self.node.registry.forget(uid);
        if let Some(Handle { desired, task }) = self.handles.remove(uid) {
            desired.send_replace(Desired::Gone);
            self.leaving.push(task);
        } else if self.idle.remove(uid) {
            let directory = self.node.pod_directory(uid);
            let removing = tokio::task::spawn_blocking(move || {
                if let Err(error) = crate::remove_directory(&directory) {
                    tracing::warn!(%error, "removing a pod's directory");
                }
            });
            self.leaving.push(removing);
        }
    }

    /// Ends everything without a word to the API: the pods run again when the node does.
    async fn end(self) {
        for handle in self.handles.values() {
            handle.desired.send_replace(Desired::Shutdown);
        }
        // A worker without a sender would end at once: the senders stay until all have ended.
        let (senders, tasks): (Vec<_>, Vec<_>) =
            self.handles.into_values().map(|handle| (handle.desired, handle.task)).unzip();
        for task in tasks.into_iter().chain(self.leaving) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a pod's worker broke");
            }
        }
        drop(senders);
    }
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

/// Fails a pod that may not run here.
async fn reject(node: Arc<Node>, pod: Arc<Pod>, rejection: Rejection) {
    let Rejection { reason, message } = rejection;
    node.recorder.warn(&pod, None, &reason, message.clone());
    let status = status::rejected(&pod, &reason, &message, Time(clock::now()));
    let patch = serde_json::json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(node.client.clone(), namespace);
    loop {
        let patch = Patch::Strategic(&patch);
        match api.patch_status(name, &PatchParams::default(), &patch).await {
            Ok(_) => return,
            // It is gone, or another has its name.
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => return,
            Err(error) => {
                tracing::warn!(namespace, name, %error, "writing the status of a rejected pod");
            }
        }
        tokio::time::sleep(REJECT_RETRY).await;
    }
}
