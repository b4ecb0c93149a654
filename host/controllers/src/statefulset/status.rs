//! What a StatefulSet's status says, computed from its pods: pure.

use std::sync::Arc;
use std::time::Duration;

use coracle_api::pods::{self, Availability};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::{identity, plan};
use crate::runner::Next;

/// The names of the revisions that a set is at and goes to, and how often such a name was taken.
pub(super) struct Revisions {
    pub(super) current: String,
    pub(super) update: String,
    pub(super) collisions: i32,
}

/// The status that follows from the set's pods, and when it will change by the passing of time alone.
pub(super) fn calculate(
    set: &StatefulSet,
    pods: &[Arc<Pod>],
    revisions: &Revisions,
    now: Timestamp,
) -> (StatefulSetStatus, Next) {
    let min_ready = identity::spec(set).and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let (mut replicas, mut ready, mut available) = (0, 0, 0);
    let (mut current, mut updated) = (0, 0);
    let mut soonest: Option<Duration> = None;
    for pod in pods.iter().filter(|pod| identity::ordinal(set, pod).is_some()) {
        replicas += 1;
        if pods::phase(pod) == "Running" && pods::is_ready(pod) {
            ready += 1;
            match pods::availability(pod, min_ready, now) {
                Availability::Yes => available += 1,
                Availability::After(missing) => {
                    soonest = Some(soonest.map_or(missing, |soonest| soonest.min(missing)));
                }
                Availability::No => {}
            }
        }
        if !pods::is_terminating(pod) {
            let revision = identity::revision_of(pod);
            current += i32::from(revision == revisions.current);
            updated += i32::from(revision == revisions.update);
        }
    }
    let mut at = revisions.current.clone();
    // A rolling update is complete when all are updated and ready.
    let wanted = i32::try_from(identity::replicas(set)).unwrap_or(i32::MAX);
    if plan::is_rolling(set) && updated == wanted && replicas == wanted && ready == wanted {
        current = updated;
        at.clone_from(&revisions.update);
    }
    // Counts of nothing are not spelt out, as Kubernetes does not; nor is a revision that a set which
    // goes at once never got.
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let some = |number: i32| (number > 0).then_some(number);
    let status = StatefulSetStatus {
        observed_generation: set.metadata.generation,
        replicas,
        ready_replicas: some(ready),
        available_replicas: Some(available),
        current_replicas: some(current),
        updated_replicas: some(updated),
        current_revision: named(&at),
        update_revision: named(&revisions.update),
        collision_count: Some(revisions.collisions),
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
    };
    (status, soonest.map_or(Next::Wait, Next::After))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, revision: &str, ready_since: Option<&str>) -> Arc<Pod> {
        let conditions: Vec<_> = ready_since
            .iter()
            .map(|since| json!({"type": "Ready", "status": "True", "lastTransitionTime": since}))
            .collect();
        let pod = json!({"metadata": {"name": name, "labels": {"controller-revision-hash": revision}},
            "status": {"phase": "Running", "conditions": conditions}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn set(replicas: i32) -> StatefulSet {
        serde_json::from_value(json!({"metadata": {"name": "web", "generation": 3},
            "spec": {"replicas": replicas, "minReadySeconds": 30, "selector": {}, "template": {}}}))
        .unwrap()
    }

    #[test]
    fn members_are_counted_by_revision() {
        let long = Some("2026-01-01T00:00:00Z");
        let pods = [
            pod("web-0", "old", long),
            pod("web-1", "new", Some("2026-01-01T00:00:50Z")),
            pod("web-2", "new", None),
            pod("stranger", "new", long),
        ];
        let revisions = Revisions { current: "old".into(), update: "new".into(), collisions: 0 };
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let (status, next) = calculate(&set(3), &pods, &revisions, now);
        assert_eq!((status.replicas, status.ready_replicas), (3, Some(2)));
        assert_eq!((status.available_replicas, status.current_replicas), (Some(1), Some(1)));
        assert_eq!((status.updated_replicas, status.observed_generation), (Some(2), Some(3)));
        assert_eq!(status.current_revision.as_deref(), Some("old"));
        assert_eq!(next, Next::After(Duration::from_secs(20)));
    }

    #[test]
    fn an_update_is_complete_when_all_are_ready() {
        let revisions = Revisions { current: "old".into(), update: "new".into(), collisions: 1 };
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        for (second, complete) in [("new", true), ("old", false)] {
            let since = Some("2026-01-01T00:00:00Z");
            let pods = [pod("web-0", "new", since), pod("web-1", second, since)];
            let (status, _) = calculate(&set(2), &pods, &revisions, now);
            let at = if complete { "new" } else { "old" };
            assert_eq!(status.current_revision.as_deref(), Some(at));
            assert_eq!(status.current_replicas, Some(if complete { 2 } else { 1 }));
            assert_eq!(status.collision_count, Some(1));
        }
    }
}
