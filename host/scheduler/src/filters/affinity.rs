//! Which nodes a pod names or selects.

use coracle_api::nodeselector::{Required, Term};
use k8s_openapi::api::core::v1::PodSpec;

use super::Reason;
use crate::cluster::{NodeFacts, Place};
use crate::cycle::Cycle;

/// What a pod asks of a node's labels.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    required: Required,
    /// Each that holds counts by its weight.
    preferred: Vec<(i64, Term)>,
}

impl Wishes {
    pub(crate) fn of(spec: &PodSpec) -> Self {
        let node = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let preferred = node
            .and_then(|node| node.preferred_during_scheduling_ignored_during_execution.as_ref());
        Self {
            required: Required::of(spec),
            preferred: preferred
                .into_iter()
                .flatten()
                .map(|term| (i64::from(term.weight), Term::of(&term.preference)))
                .collect(),
        }
    }

    /// Whether the pod may be on a node.
    pub(crate) fn admit(&self, node: &NodeFacts) -> bool {
        self.required.admits(&node.name, &node.labels)
    }

    /// How much the pod likes a node.
    pub(crate) fn liking(&self, node: &NodeFacts) -> i64 {
        let held = |(_, term): &&(i64, Term)| term.holds(&node.name, &node.labels);
        self.preferred.iter().filter(held).map(|(weight, _)| weight).sum()
    }

    pub(crate) fn has_preferences(&self) -> bool {
        !self.preferred.is_empty()
    }
}

pub(super) fn name(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    let wanted = crate::pod::node_of(&cycle.pod.pod);
    if wanted.is_some_and(|wanted| wanted != place.facts.name) {
        return vec!["node(s) didn't match the requested node name".into()];
    }
    Vec::new()
}

pub(super) fn refuse(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    if cycle.wishes.admit(place.facts) {
        return Vec::new();
    }
    vec!["node(s) didn't match Pod's node affinity/selector".into()]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wishes(spec: Value) -> Wishes {
        let mut spec = spec;
        spec["containers"] = json!([]);
        Wishes::of(&serde_json::from_value(spec).unwrap())
    }

    fn node(name: &str, labels: Value) -> NodeFacts {
        let node = json!({"metadata": {"name": name, "labels": labels}});
        NodeFacts::of(&serde_json::from_value(node).unwrap())
    }

    #[test]
    fn preferences_add_up() {
        let wishes = wishes(json!({"affinity": {"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 10, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
                {"weight": 5, "preference": {"matchExpressions": [{"key": "b", "operator": "Exists"}]}}]}}}));
        assert!(wishes.has_preferences());
        assert_eq!(wishes.liking(&node("n", json!({"a": "1", "b": "1"}))), 15);
        assert_eq!(wishes.liking(&node("n", json!({"b": "1"}))), 5);
    }
}
