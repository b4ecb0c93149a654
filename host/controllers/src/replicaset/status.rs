//! What the status says, computed from the pods.

use std::sync::Arc;
use std::time::Duration;

use coracle_api::conditions::{self, Condition};
use coracle_api::pods::{self, Availability};
use coracle_api::selector::Selector;
use k8s_openapi::api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::Replicated;
use crate::error::Error;
use crate::runner::Next;

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The status that follows from the `active` pods and from what went wrong, and when it will
/// change by the passing of time alone.
pub(super) fn calculate(
    owner: &impl Replicated,
    active: &[Arc<Pod>],
    terminating: usize,
    failure: Option<&Error>,
    now: Timestamp,
) -> (ReplicaSetStatus, Next) {
    let metadata = owner.template().and_then(|template| template.metadata.as_ref());
    let labels = metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    let template = Selector::from(&labels);
    let min_ready = owner.min_ready_seconds();

    let mut labelled = 0;
    let mut ready = 0;
    let mut available = 0;
    let mut soonest: Option<Duration> = None;
    for pod in active {
        labelled += usize::from(template.matches_some(pod.metadata.labels.as_ref()));
        ready += usize::from(pods::is_ready(pod));
        match pods::availability(pod, min_ready, now) {
            Availability::Yes => available += 1,
            Availability::After(missing) => {
                soonest = Some(soonest.map_or(missing, |soonest| soonest.min(missing)));
            }
            Availability::No => {}
        }
    }

    let mut status = owner.status().unwrap_or_default();
    match failure {
        None => {
            conditions::remove(&mut status.conditions, REPLICA_FAILURE);
        }
        // More work to do is no failure.
        Some(Error::Unfinished(_)) => {}
        Some(error) => {
            if conditions::find(status.conditions.as_ref(), REPLICA_FAILURE).is_none() {
                let too_few = count(active.len()) < owner.replicas();
                let reason = if too_few { "FailedCreate" } else { "FailedDelete" };
                let condition =
                    ReplicaSetCondition::new(REPLICA_FAILURE, "True", reason, error.for_people());
                conditions::set(&mut status.conditions, condition);
            }
        }
    }
    // Counts of nothing are not spelt out, as Kubernetes does not.
    let some = |number: usize| (number > 0).then(|| count(number));
    status.replicas = count(active.len());
    status.fully_labeled_replicas = some(labelled);
    status.ready_replicas = some(ready);
    status.available_replicas = some(available);
    status.terminating_replicas = Some(count(terminating));
    status.observed_generation = owner.meta().generation;
    (status, soonest.map_or(Next::Wait, Next::After))
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use serde_json::json;

    use super::*;

    fn replica_set() -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "default", "generation": 4},
            "spec": {"replicas": 3, "minReadySeconds": 30, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web", "v": "1"}}}},
        }))
        .unwrap()
    }

    fn pod(labels: serde_json::Value, ready_since: Option<&str>) -> Arc<Pod> {
        let conditions: Vec<_> = ready_since
            .iter()
            .map(|since| json!({"type": "Ready", "status": "True", "lastTransitionTime": since}))
            .collect();
        let pod = json!({"metadata": {"labels": labels}, "status": {"conditions": conditions}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn pods_are_counted_and_waited_for() {
        let active = [
            pod(json!({"app": "web", "v": "1"}), Some("2026-01-01T00:00:00Z")),
            pod(json!({"app": "web", "v": "0"}), Some("2026-01-01T00:00:50Z")),
            pod(json!({"app": "web", "v": "1"}), None),
        ];
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let (status, next) = calculate(&replica_set(), &active, 2, None, now);
        assert_eq!(status.replicas, 3);
        assert_eq!(status.fully_labeled_replicas, Some(2));
        assert_eq!(status.ready_replicas, Some(2));
        assert_eq!(status.available_replicas, Some(1));
        assert_eq!(status.terminating_replicas, Some(2));
        assert_eq!(status.observed_generation, Some(4));
        assert_eq!(next, Next::After(Duration::from_secs(20)));
    }

    #[test]
    fn failures_come_and_go() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let mut replica_set = replica_set();
        let failure = Error::Invalid("no room".into());
        let (status, _) = calculate(&replica_set, &[], 0, Some(&failure), now);
        let condition = &status.conditions.as_ref().unwrap()[0];
        assert_eq!(
            (condition.type_.as_str(), condition.reason()),
            (REPLICA_FAILURE, "FailedCreate")
        );
        assert_eq!(condition.message(), "no room");
        replica_set.status = Some(status);
        let (status, _) = calculate(&replica_set, &[], 0, None, now);
        assert_eq!(status.conditions, None);
    }
}
