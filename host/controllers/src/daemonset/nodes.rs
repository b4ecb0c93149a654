//! Which nodes a DaemonSet's pods belong on, and what such a pod looks like. Pure.

use coracle_api::nodeselector::Required;
use coracle_api::tolerations;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec,
    PodTemplateSpec, Toleration,
};

use crate::history::REVISION_LABEL;
use crate::podcontrol;

/// Counts the changes of a DaemonSet's template, which its pods carry in a label.
const GENERATION: &str = "deprecated.daemonset.template.generation";
const GENERATION_LABEL: &str = "pod-template-generation";
const NODE_NAME: &str = "metadata.name";

/// What a DaemonSet asks of nodes, ready to be asked of many.
pub(super) struct Placement {
    /// The only node that its template allows, if it names one.
    node: Option<String>,
    required: Required,
    tolerations: Vec<Toleration>,
}

/// Whether a node is to have a pod, and whether it may keep the one that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) run: bool,
    pub(super) keep: bool,
}

impl Placement {
    pub(super) fn of(set: &DaemonSet) -> Self {
        let template = set.spec.as_ref().and_then(|spec| spec.template.spec.clone());
        let mut spec = template.unwrap_or_default();
        tolerate(&mut spec);
        Self {
            node: spec.node_name.clone().filter(|name| !name.is_empty()),
            required: Required::of(&spec),
            tolerations: spec.tolerations.unwrap_or_default(),
        }
    }

    pub(super) fn judge(&self, node: &Node) -> Verdict {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let labels = node.metadata.labels.clone().unwrap_or_default();
        if self.node.as_deref().is_some_and(|only| only != name)
            || !self.required.admits(name, &labels)
        {
            return Verdict { run: false, keep: false };
        }
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let unborne = |effect: &str| {
            taints
                .clone()
                .filter(|taint| taint.effect == effect)
                .any(|taint| tolerations::bearing(&self.tolerations, taint).is_none())
        };
        let keep = !unborne("NoExecute");
        Verdict { run: keep && !unborne("NoSchedule"), keep }
    }
}

/// A daemon is at home on a node in trouble too.
fn tolerate(spec: &mut PodSpec) {
    let on_host = spec.host_network == Some(true);
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
        ("network-unavailable", "NoSchedule"),
    ] {
        if key == "network-unavailable" && !on_host {
            continue;
        }
        let toleration = Toleration {
            key: Some(format!("node.kubernetes.io/{key}")),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        // One that differs only in how long is replaced: a daemon stays.
        let same = |other: &Toleration| {
            other.key == toleration.key
                && other.effect == toleration.effect
                && other.operator == toleration.operator
        };
        match tolerations.iter_mut().find(|other| same(other)) {
            Some(other) => *other = toleration,
            None => tolerations.push(toleration),
        }
    }
}

/// The pod that belongs on a node.
pub(super) fn new_pod(set: &DaemonSet, template: &PodTemplateSpec, hash: &str, node: &str) -> Pod {
    let mut pod = podcontrol::from_template(set, template);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), hash.to_owned());
    let annotations = set.metadata.annotations.as_ref();
    if let Some(generation) = annotations.and_then(|all| all.get(GENERATION)) {
        labels.insert(GENERATION_LABEL.to_owned(), generation.clone());
    }
    let spec = pod.spec.get_or_insert_default();
    tolerate(spec);
    // The terms of the template hold for this node already; the scheduler puts the pod nowhere else.
    let here = NodeSelectorTerm {
        match_fields: Some(vec![NodeSelectorRequirement {
            key: NODE_NAME.to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![node.to_owned()]),
        }]),
        match_expressions: None,
    };
    let affinity = spec.affinity.get_or_insert_default();
    let affinity = affinity.node_affinity.get_or_insert_with(NodeAffinity::default);
    affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![here] });
    pod
}

/// The node that a pod is on, or is meant for.
pub(super) fn target(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(name) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        return Some(name);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|t| t.match_fields.iter().flatten());
    let mut named = fields.filter(|field| field.key == NODE_NAME && field.operator == "In");
    named.find_map(|field| field.values.as_ref()?.first()).map(String::as_str)
}

/// Whether a pod has been given a node.
pub(super) fn is_placed(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(spec: &Value) -> DaemonSet {
        let mut spec = spec.clone();
        spec["containers"] = json!([]);
        serde_json::from_value(json!({"metadata": {"name": "d", "namespace": "ns", "uid": "u",
                "annotations": {GENERATION: "4"}},
            "spec": {"selector": {}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}}))
        .unwrap()
    }

    fn node(taints: Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n1", "labels": {"disk": "ssd"}},
            "spec": {"taints": taints}}))
        .unwrap()
    }

    #[test]
    fn nodes_are_judged() {
        let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
        let none = || json!([]);
        for (spec, taints, run, keep) in [
            (json!({}), none(), true, true),
            (json!({"nodeName": "n1"}), none(), true, true),
            (json!({"nodeName": "n2"}), none(), false, false),
            (json!({"nodeSelector": {"disk": "ssd"}}), none(), true, true),
            (json!({"nodeSelector": {"disk": "hdd"}}), none(), false, false),
            (json!({}), taint("gpu", "NoSchedule"), false, true),
            (json!({}), taint("gpu", "NoExecute"), false, false),
            (json!({}), taint("gpu", "PreferNoSchedule"), true, true),
            (
                json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]}),
                taint("gpu", "NoExecute"),
                true,
                true,
            ),
            // Trouble of the node itself is borne.
            (json!({}), taint("node.kubernetes.io/unschedulable", "NoSchedule"), true, true),
            (json!({}), taint("node.kubernetes.io/unreachable", "NoExecute"), true, true),
            (json!({}), taint("node.kubernetes.io/network-unavailable", "NoSchedule"), false, true),
            (
                json!({"hostNetwork": true}),
                taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
                true,
                true,
            ),
        ] {
            let text = format!("{spec} {taints}");
            let verdict = Placement::of(&set(&spec)).judge(&node(taints));
            assert_eq!(verdict, Verdict { run, keep }, "{text}");
        }
    }

    #[test]
    fn a_pod_is_made_for_its_node() {
        let set = set(&json!({
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                "effect": "NoExecute", "tolerationSeconds": 5}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]}}}}));
        let pod = new_pod(&set, &set.spec.as_ref().unwrap().template, "abc", "n1");
        assert_eq!((target(&pod), is_placed(&pod)), (Some("n1"), false));
        let labels = pod.metadata.labels.as_ref().unwrap();
        assert_eq!(
            (labels[REVISION_LABEL].as_str(), labels[GENERATION_LABEL].as_str()),
            ("abc", "4")
        );
        let spec = pod.spec.unwrap();
        let tolerations = spec.tolerations.unwrap();
        assert_eq!(tolerations.len(), 6);
        assert!(tolerations.iter().all(|one| one.toleration_seconds.is_none()));
        let affinity = spec.affinity.unwrap().node_affinity.unwrap();
        let required = affinity.required_during_scheduling_ignored_during_execution.unwrap();
        assert_eq!(required.node_selector_terms.len(), 1, "the node alone");
    }
}
