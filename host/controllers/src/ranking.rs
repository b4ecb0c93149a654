//! Which pods are deleted first when there are too many.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use coracle_api::pods;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

/// Says how cheap it is to lose a pod: the lowest goes first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` pods of `active` to delete, first to go first. `related` are the pods whose spread
/// over the nodes matters.
pub(crate) fn victims(
    active: &[Arc<Pod>],
    related: &[Arc<Pod>],
    count: usize,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for pod in related {
        if let Some(node) = node_of(pod) {
            *on_node.entry(node).or_default() += 1;
        }
    }
    let rank = |pod: &Pod| {
        let crowd = node_of(pod).and_then(|node| on_node.get(node)).copied().unwrap_or_default();
        Rank::of(pod, crowd, now)
    };
    let mut ranked: Vec<_> = active.iter().map(|pod| (rank(pod), pod)).collect();
    ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
    ranked.into_iter().take(count).map(|(_, pod)| pod.clone()).collect()
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|node| !node.is_empty())
}

/// The order in which pods go, in the order of its fields.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    assigned: bool,
    phase: u8,
    ready: bool,
    cost: i32,
    /// The fuller the node, the sooner.
    crowd: Reverse<usize>,
    /// The shorter ready, the sooner, in powers of two: age differences of old pods do not count.
    ready_for: Age,
    restarts: Reverse<(i32, i32)>,
    age: Age,
    /// Among equals chance decides, but always alike.
    uid: String,
}

impl Rank {
    fn of(pod: &Pod, crowd: usize, now: Timestamp) -> Self {
        let ready = pods::is_ready(pod);
        let cost = pod.metadata.annotations.as_ref().and_then(|all| all.get(DELETION_COST));
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        Self {
            assigned: node_of(pod).is_some(),
            phase: match pods::phase(pod) {
                "Running" => 2,
                "Unknown" => 1,
                _ => 0,
            },
            ready,
            cost: cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
            crowd: Reverse(crowd),
            ready_for: Age::since(ready.then(|| pods::ready_since(pod)).flatten(), now),
            restarts: Reverse(restarts(pod)),
            age: Age::since(created, now),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
        }
    }
}

/// How long something has been, to the power of two; what is not known counts as newest.
#[derive(Debug, PartialEq, Eq)]
struct Age(Option<i64>);

impl Age {
    fn since(time: Option<Timestamp>, now: Timestamp) -> Self {
        Self(time.map(|time| {
            let nanos = now.duration_since(time).as_nanos();
            if nanos <= 0 { -1 } else { i64::from(nanos.ilog2()) }
        }))
    }
}

impl PartialOrd for Age {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Age {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

/// The most restarts of a regular container, and of an init container.
fn restarts(pod: &Pod) -> (i32, i32) {
    let Some(status) = &pod.status else { return (0, 0) };
    let most = |list: &Option<Vec<k8s_openapi::api::core::v1::ContainerStatus>>| {
        list.iter().flatten().map(|container| container.restart_count).max().unwrap_or(0)
    };
    (most(&status.container_statuses), most(&status.init_container_statuses))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-01T01:00:00Z";

    fn pod(name: &str, changes: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True",
                "lastTransitionTime": "2026-01-01T00:00:10Z"}]},
        });
        json_patch::merge(&mut pod, &changes);
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn first(pods: &[Arc<Pod>]) -> String {
        let victims = victims(pods, pods, 1, NOW.parse().unwrap());
        victims[0].metadata.name.clone().unwrap()
    }

    #[test]
    fn each_criterion_decides_in_its_turn() {
        let ready = |status: &str, since: &str| json!([{"type": "Ready", "status": status, "lastTransitionTime": since}]);
        let usual = "2026-01-01T00:00:10Z";
        for (name, victim, other) in [
            (
                "unassigned",
                json!({"spec": {"nodeName": null}}),
                json!({"status": {"phase": "Pending"}}),
            ),
            (
                "pending",
                json!({"status": {"phase": "Pending"}}),
                json!({"status": {"conditions": ready("False", usual)}}),
            ),
            (
                "not ready",
                json!({"status": {"conditions": ready("False", usual)}}),
                json!({"metadata": {"annotations": {DELETION_COST: "-5"}}}),
            ),
            (
                "cheap",
                json!({"metadata": {"annotations": {DELETION_COST: "-5"}}}),
                json!({"status": {"conditions": ready("True", "2026-01-01T00:59:59Z")}}),
            ),
            (
                "ready for a shorter time",
                json!({"status": {"conditions": ready("True", "2026-01-01T00:59:59Z")}}),
                json!({"status": {"containerStatuses": [{"restartCount": 9, "name": "c",
                    "image": "", "imageID": "", "ready": true}]}}),
            ),
            (
                "restarted more",
                json!({"status": {"containerStatuses": [{"restartCount": 9, "name": "c",
                    "image": "", "imageID": "", "ready": true}]}}),
                json!({"metadata": {"creationTimestamp": "2026-01-01T00:59:00Z"}}),
            ),
            (
                "younger",
                json!({"metadata": {"creationTimestamp": "2026-01-01T00:59:00Z"}}),
                json!({}),
            ),
        ] {
            let pods = [pod("a-other", other.clone()), pod("victim", victim.clone())];
            assert_eq!(first(&pods), "victim", "{name}");
            let pods = [pod("victim", victim), pod("z-other", other)];
            assert_eq!(first(&pods), "victim", "{name}, whatever the order");
        }
    }

    #[test]
    fn the_fuller_node_loses_first() {
        let on = |name: &str, node: &str| pod(name, json!({"spec": {"nodeName": node}}));
        let pods = [on("a", "n1"), on("b", "n2"), on("c", "n2")];
        assert_eq!(first(&pods), "b");
    }

    #[test]
    fn ages_count_in_powers_of_two() {
        // Both about an hour old: the uid decides, not the second.
        let older = pod("a", json!({}));
        let younger = pod("b", json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:01Z"}}));
        assert_eq!(first(&[younger, older]), "a");
    }
}
