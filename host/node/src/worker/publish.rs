//! Writing what a pod has become to the API: its status, and in the end its deletion.

use std::time::Duration;

use coracle_api::clock;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::container::{Role, State};
use super::{Cause, Worker};
use crate::status;
use crate::unsupported;

/// How long a status is held back while containers are being started: most are within this, and
/// then it is written once.
const HOLD: Duration = Duration::from_millis(50);

/// The first and the longest wait before a failed write is repeated.
const RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(10);

impl Worker {
    /// Writes the status if it is not the one written last; whether the API has it now.
    pub(super) async fn publish(&mut self) -> bool {
        let status = self.status();
        if self.written.as_ref() == Some(&status) {
            self.held_since = None;
            return true;
        }
        if self.is_settling() {
            let since = *self.held_since.get_or_insert_with(Instant::now);
            if Instant::now() < since + HOLD {
                self.wake_at(since + HOLD);
                return false;
            }
        }
        self.held_since = None;
        let patch = patch(&self.uid, self.written.as_ref(), &status);
        let api = self.api();
        let name = self.pod.metadata.name.as_deref().unwrap_or_default();
        let written =
            api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        match written {
            Ok(_) => {
                self.write_failures = 0;
                self.written = Some(status);
                true
            }
            // Another pod has the name, or none: the watch will say so too.
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {
                tracing::debug!(answer = answer.message, "the pod to write a status of is gone");
                self.written = Some(status);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "writing the pod's status");
                self.try_again();
                false
            }
        }
    }

    /// Deletes the pod, everything of which has been stopped, from the API.
    pub(super) async fn delete(&mut self) {
        if self.deleted {
            return;
        }
        let parameters = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(self.uid.clone()),
                resource_version: None,
            }),
            ..Default::default()
        };
        let name = self.pod.metadata.name.as_deref().unwrap_or_default();
        match self.api().delete(name, &parameters).await {
            Ok(_) => self.deleted = true,
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {
                self.deleted = true;
            }
            Err(error) => {
                tracing::warn!(%error, "deleting the pod");
                self.try_again();
            }
        }
    }

    fn api(&self) -> Api<Pod> {
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.node.client.clone(), namespace)
    }

    fn try_again(&mut self) {
        let wait = (RETRY * 2_u32.saturating_pow(self.write_failures)).min(MAX_RETRY);
        self.write_failures = (self.write_failures + 1).min(16);
        self.wake_at(Instant::now() + wait);
    }

    /// Whether the status will soon be another one.
    fn is_settling(&self) -> bool {
        let starting = |state: &State| matches!(state, State::Starting(_));
        self.ending.is_none()
            && (self.making_volumes.is_some()
                || self.containers.iter().any(|container| starting(&container.state)))
    }

    /// The status as it should be now.
    fn status(&self) -> PodStatus {
        let over = self.released && self.cause() >= Some(Cause::Over);
        let verdict = self.verdict.as_ref().map(|(reason, message)| (&**reason, &**message));
        status::pod(status::View {
            pod: &self.pod,
            init: self.container_statuses(|role| role != Role::Regular),
            regular: self.container_statuses(|role| role == Role::Regular),
            address: self.address,
            host: self.node.config.address,
            attached: self.interface.is_some(),
            over,
            verdict,
            start_time: self.start_time.clone(),
            previous: self.written.as_ref(),
            now: Time(clock::now()),
        })
    }

    fn container_statuses(&self, which: impl Fn(Role) -> bool) -> Vec<ContainerStatus> {
        let policy = self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        let has_init = self.containers.iter().any(|container| container.role != Role::Regular);
        let pending = match &self.refused {
            Some(_) => unsupported::REASON,
            None if has_init && !self.initialized => "PodInitializing",
            None => "ContainerCreating",
        };
        let chosen = self.containers.iter().filter(|container| which(container.role));
        chosen
            .map(|container| {
                let ending = self.ending.is_some();
                let mut facts = container.facts(pending, policy.unwrap_or("Always"), ending);
                if let (Some(refused), status::Shown::Waiting { message, .. }) =
                    (&self.refused, &mut facts.shown)
                {
                    *message = Some(refused.clone());
                }
                status::container(&container.spec, facts)
            })
            .collect()
    }
}

/// The strategic merge patch from `old` to `new`. Conditions and addresses are merged by their
/// keys, so what is no more has to be taken away by name.
pub(super) fn patch(uid: &str, old: Option<&PodStatus>, new: &PodStatus) -> Value {
    let mut status = serde_json::to_value(new).unwrap_or_default();
    let Some(old) = old else { return json!({"metadata": {"uid": uid}, "status": status}) };
    let before = serde_json::to_value(old).unwrap_or_default();
    for key in ["reason", "message", "podIP"] {
        if !before[key].is_null() && status[key].is_null() {
            status[key] = Value::Null;
        }
    }
    let addresses = |status: &Value| -> Vec<Value> {
        status["podIPs"].as_array().into_iter().flatten().map(|ip| ip["ip"].clone()).collect()
    };
    let kept = addresses(&status);
    for ip in addresses(&before).into_iter().filter(|ip| !kept.contains(ip)) {
        let gone = json!({"$patch": "delete", "ip": ip});
        match status["podIPs"].as_array_mut() {
            Some(list) => list.push(gone),
            None => status["podIPs"] = json!([gone]),
        }
    }
    let conditions = before["conditions"].as_array().cloned().unwrap_or_default();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let old = conditions.iter().find(|old| old["type"] == condition["type"]);
        for key in ["reason", "message"] {
            if condition[key].is_null() && old.is_some_and(|old| !old[key].is_null()) {
                condition[key] = Value::Null;
            }
        }
    }
    json!({"metadata": {"uid": uid}, "status": status})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_no_more_is_taken_away() {
        let old = status(json!({
            "phase": "Pending", "reason": "R", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "m"},
                {"type": "PodScheduled", "status": "True"},
            ],
        }));
        let new = status(json!({
            "phase": "Running", "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}],
            "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "PodScheduled", "status": "True"},
            ],
        }));
        let expected = json!({
            "metadata": {"uid": "u"},
            "status": {
                "phase": "Running", "reason": null, "podIP": "10.0.0.2",
                "podIPs": [{"ip": "10.0.0.2"}, {"$patch": "delete", "ip": "10.0.0.1"}],
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": null, "message": null},
                    {"type": "PodScheduled", "status": "True"},
                ],
            },
        });
        assert_eq!(patch("u", Some(&old), &new), expected);
    }

    #[test]
    fn the_first_status_is_the_whole_patch() {
        let new = status(json!({"phase": "Pending"}));
        assert_eq!(
            patch("u", None, &new),
            json!({"metadata": {"uid": "u"}, "status": {"phase": "Pending"}})
        );
    }
}
