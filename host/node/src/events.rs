//! Events as the kubelet records them, written in the background. They are best effort: more than
//! can be written are dropped, and how many is logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use coracle_api::clock;
use coracle_api::events::{Action, Correlator, Report, reference};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;

/// Events that may wait to be written.
const WAITING: usize = 4096;

/// Records a node's events.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    reports: mpsc::Sender<Report>,
    lost: Arc<AtomicU64>,
}

impl Recorder {
    /// A recorder, and the task that writes what it records.
    pub(crate) fn new(client: Client, node: String) -> (Self, impl Future<Output = ()>) {
        let (reports, waiting) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        (Self { reports, lost: lost.clone() }, write(client, node, waiting, lost))
    }

    /// Something normal happened to a pod, or to one of its containers.
    pub(crate) fn normal(&self, pod: &Pod, container: Option<&str>, reason: &str, message: String) {
        self.pod(pod, container, false, reason, message);
    }

    /// Something went wrong with a pod, or with one of its containers.
    pub(crate) fn warn(&self, pod: &Pod, container: Option<&str>, reason: &str, message: String) {
        self.pod(pod, container, true, reason, message);
    }

    fn pod(
        &self,
        pod: &Pod,
        container: Option<&str>,
        warning: bool,
        reason: &str,
        message: String,
    ) {
        let mut object = reference(pod);
        object.field_path = container.map(|name| {
            let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
            let is_init = init.into_iter().any(|container| container.name == name);
            let list = if is_init { "initContainers" } else { "containers" };
            format!("spec.{list}{{{name}}}")
        });
        self.send(Report { object, warning, reason: reason.to_owned(), message });
    }

    /// Something happened to the node.
    pub(crate) fn node(&self, node: &Node, reason: &str, message: String) {
        let mut object = reference(node);
        // As the kubelet refers to a node, which it may not have seen yet.
        object.uid.clone_from(&node.metadata.name);
        self.send(Report::normal(object, reason, message));
    }

    fn send(&self, report: Report) {
        // A closed queue means that the node is going down.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.reports.try_send(report) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write(
    client: Client,
    node: String,
    mut waiting: mpsc::Receiver<Report>,
    lost: Arc<AtomicU64>,
) {
    let mut correlator = Correlator::new("kubelet", Some(node));
    while let Some(report) = waiting.recv().await {
        if waiting.is_empty() {
            let lost = lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tracing::warn!(lost, "there were more events than could be written");
            }
        }
        let result = match correlator.correlate(report, clock::now()) {
            Action::Create(event) => create(&client, &event).await,
            Action::Repeat(event) => repeat(&client, &event).await,
            Action::Drop => Ok(()),
        };
        match result {
            // A namespace that is going away takes no events: nobody would read them.
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                tracing::debug!(answer = status.message, "an event is not taken");
            }
            Err(error) => tracing::warn!(%error, "an event is lost"),
            Ok(()) => {}
        }
    }
}

fn api(client: &Client, event: &Event) -> Api<Event> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
    Api::namespaced(client.clone(), namespace)
}

async fn create(client: &Client, event: &Event) -> kube::Result<()> {
    api(client, event).create(&PostParams::default(), event).await.map(drop)
}

async fn repeat(client: &Client, event: &Event) -> kube::Result<()> {
    let patch = json!({
        "count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message,
    });
    let name = event.metadata.name.as_deref().unwrap_or_default();
    let events = api(client, event);
    match events.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => create(client, event).await,
        result => result.map(drop),
    }
}
