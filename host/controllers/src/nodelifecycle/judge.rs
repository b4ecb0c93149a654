//! What follows from a node's conditions: pure.

use std::sync::Arc;

use coracle_api::conditions::{self, Condition};
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const ZONE: &str = "topology.kubernetes.io/zone";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Conditions that keep pods away while they are true, with the taints that say so.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];
/// Conditions that only the node itself knows.
const ITS_OWN: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// In a zone this large or smaller, a partial loss stops evictions.
const LARGE_ZONE: usize = 50;

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    NotReady,
    Unknown,
}

fn conditions_of(node: &Node) -> Option<&Vec<NodeCondition>> {
    node.status.as_ref()?.conditions.as_ref()
}

pub(super) fn state(node: &Node) -> State {
    match conditions::find(conditions_of(node), "Ready").map(Condition::status) {
        Some("True") => State::Ready,
        Some("False") => State::NotReady,
        _ => State::Unknown,
    }
}

/// The status of a node that has fallen silent; none if it says so already.
pub(super) fn unknown(node: &Node) -> Option<NodeStatus> {
    let mut status = node.status.clone().unwrap_or_default();
    let mut changed = false;
    for type_ in ITS_OWN {
        let condition = match conditions::find(status.conditions.as_ref(), type_) {
            Some(old) if old.status == "Unknown" => continue,
            Some(old) => {
                let message = "Kubelet stopped posting node status.";
                let mut new = NodeCondition::new(type_, "Unknown", "NodeStatusUnknown", message);
                new.last_heartbeat_time = old.last_heartbeat_time.clone();
                new
            }
            None => {
                let message = "Kubelet never posted node status.";
                let mut new =
                    NodeCondition::new(type_, "Unknown", "NodeStatusNeverUpdated", message);
                new.last_heartbeat_time = node.metadata.creation_timestamp.clone();
                new
            }
        };
        changed |= conditions::set(&mut status.conditions, condition);
    }
    changed.then_some(status)
}

/// The taints that a node must have; `evict` lets those that make pods leave be added.
pub(super) fn taints(node: &Node, evict: bool, now: Timestamp) -> Vec<Taint> {
    let present = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let ours = |taint: &Taint| {
        let by_state = [NOT_READY, UNREACHABLE].contains(&taint.key.as_str());
        let by_pressure = PRESSURES.iter().any(|(_, key)| *key == taint.key);
        (by_state && [NO_SCHEDULE, NO_EXECUTE].contains(&taint.effect.as_str()))
            || ((by_pressure || taint.key == UNSCHEDULABLE) && taint.effect == NO_SCHEDULE)
    };
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    let lost = match state(node) {
        State::Ready => None,
        State::NotReady => Some(NOT_READY),
        State::Unknown => Some(UNREACHABLE),
    };
    if let Some(key) = lost {
        wanted.push((key, NO_SCHEDULE));
        if evict {
            wanted.push((key, NO_EXECUTE));
        }
    }
    for (condition, key) in PRESSURES {
        if conditions::is_true(conditions_of(node), condition) {
            wanted.push((key, NO_SCHEDULE));
        }
    }
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    let mut taints: Vec<Taint> = present.iter().filter(|taint| !ours(taint)).cloned().collect();
    for (key, effect) in wanted {
        let kept = present.iter().find(|taint| taint.key == key && taint.effect == effect);
        taints.push(kept.cloned().unwrap_or_else(|| Taint {
            key: key.to_owned(),
            effect: effect.to_owned(),
            time_added: Some(Time(now)),
            value: None,
        }));
    }
    taints
}

/// Whether the node's pods are already told to leave as its state asks.
pub(super) fn is_told_to_leave(node: &Node) -> bool {
    let key = if state(node) == State::NotReady { NOT_READY } else { UNREACHABLE };
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.into_iter().any(|taint| taint.key == key && taint.effect == NO_EXECUTE)
}

/// Whether so few nodes are lost that their pods should go elsewhere.
pub(super) fn disruption_permits(all: &[Arc<Node>], node: &Node) -> bool {
    if all.iter().all(|one| state(one) != State::Ready) {
        return false;
    }
    let zone = |node: &Node| node.metadata.labels.as_ref().and_then(|all| all.get(ZONE).cloned());
    let here = zone(node);
    let zone: Vec<_> = all.iter().filter(|one| zone(one) == here).collect();
    let lost = zone.iter().filter(|one| state(one) != State::Ready).count();
    let partial = lost < zone.len() && lost > 2 && lost * 100 >= zone.len() * 55;
    !partial || zone.len() > LARGE_ZONE
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(ready: &str, changes: Value) -> Node {
        let mut node = json!({"metadata": {"name": "n"}, "spec": {}, "status": {"conditions": [
            {"type": "Ready", "status": ready, "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}});
        json_patch::merge(&mut node, &changes);
        serde_json::from_value(node).unwrap()
    }

    fn keys(taints: &[Taint]) -> Vec<String> {
        taints.iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect()
    }

    #[test]
    fn silence_makes_conditions_unknown_once() {
        let mut node = node("True", json!({}));
        let status = unknown(&node).unwrap();
        let find = |type_: &str| conditions::find(status.conditions.as_ref(), type_).unwrap();
        assert_eq!(
            (find("Ready").status(), find("Ready").reason()),
            ("Unknown", "NodeStatusUnknown")
        );
        assert_eq!(find("DiskPressure").reason(), "NodeStatusNeverUpdated");
        assert!(find("Ready").last_heartbeat_time.is_some(), "the last sign of life stays visible");
        node.status = Some(status);
        assert_eq!(state(&node), State::Unknown);
        assert!(unknown(&node).is_none());
    }

    #[test]
    fn taints_follow_conditions() {
        let now = Timestamp::UNIX_EPOCH;
        for (node, evict, expected) in [
            (node("True", json!({})), true, vec![]),
            (node("False", json!({})), false, vec!["node.kubernetes.io/not-ready:NoSchedule"]),
            (
                node("Unknown", json!({})),
                true,
                vec![
                    "node.kubernetes.io/unreachable:NoSchedule",
                    "node.kubernetes.io/unreachable:NoExecute",
                ],
            ),
            (
                node(
                    "True",
                    json!({"spec": {"unschedulable": true,
                    "taints": [{"key": "mine", "effect": "NoSchedule"},
                        {"key": UNREACHABLE, "effect": "NoExecute"}]}}),
                ),
                true,
                vec!["mine:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule"],
            ),
            (
                node(
                    "True",
                    json!({"status": {"conditions": [
                    {"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]}}),
                ),
                true,
                vec!["node.kubernetes.io/disk-pressure:NoSchedule"],
            ),
        ] {
            assert_eq!(keys(&taints(&node, evict, now)), expected);
        }
    }

    #[test]
    fn a_taint_that_stays_keeps_its_time() {
        let old = json!({"spec": {"taints": [{"key": NOT_READY, "effect": "NoExecute",
            "timeAdded": "2026-01-01T00:00:00Z"}]}});
        let lost = node("False", old);
        assert!(is_told_to_leave(&lost));
        let taints = taints(&lost, true, Timestamp::UNIX_EPOCH);
        let kept = taints.iter().find(|taint| taint.effect == NO_EXECUTE).unwrap();
        assert_eq!(kept.time_added.as_ref().unwrap().0.to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn too_many_lost_nodes_keep_their_pods() {
        let cluster = |ready: usize, lost: usize| -> Vec<Arc<Node>> {
            let ready = (0..ready).map(|_| Arc::new(node("True", json!({}))));
            ready.chain((0..lost).map(|_| Arc::new(node("Unknown", json!({}))))).collect()
        };
        for (ready, lost, expected) in [
            (2, 1, true),
            (1, 2, true),
            (0, 3, false),
            (0, 1, false),
            (2, 3, false),
            (7, 3, true),
            (23, 28, true),
        ] {
            let all = cluster(ready, lost);
            let lost_node = node("Unknown", json!({}));
            assert_eq!(
                disruption_permits(&all, &lost_node),
                expected,
                "{lost} of {}",
                ready + lost
            );
        }
    }
}
