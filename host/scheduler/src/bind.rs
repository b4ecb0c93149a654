//! Writing decisions: a binding, or the reason why there is none.

use coracle_api::conditions::{self, Condition};
use coracle_api::events::{Report, reference};
use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::Scheduler;
use crate::pod::Pending;

const SCHEDULED: &str = "PodScheduled";

/// A decision.
pub(crate) enum Outcome {
    /// The pod goes to this node.
    Bind { pending: Pending, node: String },
    /// No node takes the pod, for this reason.
    Report { pending: Pending, message: String },
}

impl Scheduler {
    pub(crate) async fn carry_out(&self, outcome: Outcome) {
        match outcome {
            Outcome::Bind { pending, node } => self.bind(pending, node).await,
            Outcome::Report { pending, message } => {
                self.options.metrics.unschedulable.inc();
                self.refuse(&pending, "Unschedulable", &message).await;
            }
        }
    }

    fn pods(&self, pending: &Pending) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &pending.info.key.namespace)
    }

    async fn bind(&self, pending: Pending, node: String) {
        let key = &pending.info.key;
        let binding = Binding {
            metadata: ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                uid: Some(pending.info.uid.clone()),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.clone()),
                ..ObjectReference::default()
            },
        };
        let api = self.pods(&pending);
        let params = PostParams::default();
        let bound: kube::Result<serde_json::Value> =
            api.create_subresource("binding", &key.name, &params, &binding).await;
        match bound {
            Ok(_) => {
                self.options.metrics.scheduled.inc();
                self.state().queue.remove(key);
                let message = format!("Successfully assigned {key} to {node}");
                self.report(Report::normal(reference(&*pending.pod), "Scheduled", message));
            }
            Err(error) => {
                self.options.metrics.errors.inc();
                let vanished = matches!(&error, kube::Error::Api(status) if status.code == 404);
                {
                    let mut state = self.state();
                    let wake = state.cluster.forget(key);
                    let now = Instant::now();
                    if vanished {
                        state.queue.remove(key);
                    } else {
                        state.queue.retry(key, now);
                    }
                    state.queue.wake(wake, now);
                }
                self.changed.notify_one();
                if vanished {
                    debug!(namespace = key.namespace, name = key.name, "gone before it was placed");
                    return;
                }
                warn!(namespace = key.namespace, name = key.name, node, %error, "cannot bind");
                let text = match &error {
                    kube::Error::Api(status) => status.message.clone(),
                    other => other.to_string(),
                };
                self.refuse(&pending, "SchedulerError", &format!("binding rejected: {text}")).await;
            }
        }
    }

    /// Says why a pod waits: in an event and in its condition.
    async fn refuse(&self, pending: &Pending, reason: &str, message: &str) {
        let pod = &*pending.pod;
        self.report(Report::warning(reference(pod), "FailedScheduling", message));
        let mut condition = PodCondition::new(SCHEDULED, "False", reason, message);
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let old = conditions::find(conditions, SCHEDULED).filter(|old| old.status() == "False");
        if let Some(old) = old {
            if old.reason() == reason && old.message() == message {
                return;
            }
            condition.last_transition_time = old.last_transition_time.clone();
        }
        let patch = json!({
            "metadata": {"uid": pending.info.uid},
            "status": {"conditions": [condition]},
        });
        let name = &pending.info.key.name;
        let patch = Patch::Strategic(patch);
        let patched = self.pods(pending).patch_status(name, &PatchParams::default(), &patch).await;
        if let Err(error) = patched {
            let key = &pending.info.key;
            debug!(namespace = key.namespace, name = key.name, %error, "cannot say why it waits");
        }
    }

    fn report(&self, report: Report) {
        if let Err(TrySendError::Full(report)) = self.reports.try_send(report) {
            warn!(reason = report.reason, message = report.message, "too many events, one is lost");
        }
    }
}
