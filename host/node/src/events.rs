//! Events as the kubelet records them: `core/v1`, written in the background, repeated ones
//! counted. They are best effort: more than can be written are dropped, and the loss is logged.

use std::collections::{HashMap, VecDeque};

use coracle_api::{clock, dice};
use k8s_openapi::api::core::v1::{Event, EventSource, Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;

/// Events that may wait to be written.
const WAITING: usize = 1024;

/// Events remembered to be counted when they come again.
const REMEMBERED: usize = 4096;

/// A repetition later than this is an event of its own.
const FORGOTTEN_AFTER: i64 = 600;

/// Records a node's events.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    notes: mpsc::Sender<Note>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Note {
    namespace: String,
    name: String,
    uid: String,
    kind: &'static str,
    field: Option<String>,
    warning: bool,
    reason: String,
    message: String,
}

impl Recorder {
    /// A recorder, and the task that writes what it records.
    pub(crate) fn new(client: Client, node: String) -> (Self, impl Future<Output = ()>) {
        let (notes, waiting) = mpsc::channel(WAITING);
        (Self { notes }, write_all(client, node, waiting))
    }

    /// Something normal happened to a pod, or to one of its containers.
    pub(crate) fn normal(&self, pod: &Pod, container: Option<&str>, reason: &str, message: String) {
        self.record(pod, container, false, reason, message);
    }

    /// Something went wrong with a pod, or with one of its containers.
    pub(crate) fn warn(&self, pod: &Pod, container: Option<&str>, reason: &str, message: String) {
        self.record(pod, container, true, reason, message);
    }

    fn record(&self, pod: &Pod, field: Option<&str>, warning: bool, reason: &str, message: String) {
        let init = |name: &&str| {
            let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
            init.into_iter().any(|container| container.name == **name)
        };
        let list = |name: &str| if init(&name) { "initContainers" } else { "containers" };
        self.send(Note {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            kind: "Pod",
            field: field.map(|name| format!("spec.{}{{{name}}}", list(name))),
            warning,
            reason: reason.to_owned(),
            message,
        });
    }

    /// Something happened to the node.
    pub(crate) fn node(&self, node: &Node, warning: bool, reason: &str, message: String) {
        let name = node.metadata.name.clone().unwrap_or_default();
        self.send(Note {
            namespace: String::new(),
            uid: name.clone(),
            name,
            kind: "Node",
            field: None,
            warning,
            reason: reason.to_owned(),
            message,
        });
    }

    fn send(&self, note: Note) {
        if let Err(mpsc::error::TrySendError::Full(note)) = self.notes.try_send(note) {
            let Note { namespace, name, reason, message, .. } = note;
            tracing::warn!(namespace, name, reason, message, "event dropped: too many at once");
        }
    }
}

/// What is remembered of a written event.
struct Written {
    name: String,
    count: i32,
    last: i64,
}

async fn write_all(client: Client, node: String, mut waiting: mpsc::Receiver<Note>) {
    let mut known: HashMap<Note, Written> = HashMap::new();
    let mut order: VecDeque<Note> = VecDeque::new();
    while let Some(note) = waiting.recv().await {
        let now = clock::now();
        let namespace = if note.namespace.is_empty() { "default" } else { &note.namespace };
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        if let Some(written) = known.get_mut(&note)
            && now.as_second() - written.last < FORGOTTEN_AFTER
        {
            let patch = json!({"count": written.count + 1, "lastTimestamp": Time(now)});
            let patched =
                events.patch(&written.name, &PatchParams::default(), &Patch::Merge(patch)).await;
            match patched {
                Ok(_) => {
                    written.count += 1;
                    written.last = now.as_second();
                    continue;
                }
                // Expired in the API: begin again.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    report(&note, &error);
                    continue;
                }
            }
        }
        let event = event(&note, &node, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        match events.create(&PostParams::default(), &event).await {
            Ok(_) => {
                let written = Written { name, count: 1, last: now.as_second() };
                if known.insert(note.clone(), written).is_none() {
                    order.push_back(note);
                }
                if order.len() > REMEMBERED
                    && let Some(oldest) = order.pop_front()
                {
                    known.remove(&oldest);
                }
            }
            Err(error) => report(&note, &error),
        }
    }
}

fn report(note: &Note, error: &kube::Error) {
    let Note { namespace, name, reason, message, .. } = note;
    // A namespace that is going away takes no events: nobody would read them.
    if matches!(error, kube::Error::Api(status) if matches!(status.code, 403 | 404)) {
        tracing::debug!(namespace, name, reason, message, %error, "event not taken");
    } else {
        tracing::warn!(namespace, name, reason, message, %error, "event not written");
    }
}

fn event(note: &Note, node: &str, now: k8s_openapi::jiff::Timestamp) -> Event {
    let namespace = if note.namespace.is_empty() { "default" } else { &note.namespace };
    // As client-go names them; the dice keep two of one moment apart.
    let moment = now.as_nanosecond() as u64 & !0xfff | dice::number() & 0xfff;
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{moment:016x}", note.name)),
            namespace: Some(namespace.to_owned()),
            ..Default::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".into()),
            kind: Some(note.kind.into()),
            name: Some(note.name.clone()),
            namespace: Some(note.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            uid: Some(note.uid.clone()),
            field_path: note.field.clone(),
            resource_version: None,
        },
        type_: Some(if note.warning { "Warning" } else { "Normal" }.into()),
        reason: Some(note.reason.clone()),
        message: Some(note.message.clone()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource { component: Some("kubelet".into()), host: Some(node.into()) }),
        reporting_component: Some("kubelet".into()),
        reporting_instance: Some(node.into()),
        ..Default::default()
    }
}
