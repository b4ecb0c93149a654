//! Which nodes a pod names or selects.

use std::collections::BTreeMap;

use coracle_api::selector::{Operator, Requirement, Selector};
use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use super::Reason;
use crate::cluster::{NodeFacts, Place};
use crate::cycle::Cycle;

/// A node selector's term, parsed.
#[derive(Debug, Default)]
pub(crate) struct Term {
    labels: Selector,
    /// Requirements on the node's name.
    names: Selector,
    /// A term that cannot be understood, or has nothing to say, selects nothing.
    selects_nothing: bool,
}

/// What a pod asks of a node's labels.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    selector: BTreeMap<String, String>,
    /// One of them must hold, if there are any.
    required: Option<Vec<Term>>,
    /// Each that holds counts by its weight.
    preferred: Vec<(i64, Term)>,
}

impl Wishes {
    pub(crate) fn of(spec: &PodSpec) -> Self {
        let node = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required =
            node.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred = node
            .and_then(|node| node.preferred_during_scheduling_ignored_during_execution.as_ref());
        Self {
            selector: spec.node_selector.clone().unwrap_or_default(),
            required: required
                .map(|selector| selector.node_selector_terms.iter().map(Term::of).collect()),
            preferred: preferred
                .into_iter()
                .flatten()
                .map(|term| (i64::from(term.weight), Term::of(&term.preference)))
                .collect(),
        }
    }

    /// Whether the pod may be on a node.
    pub(crate) fn admit(&self, node: &NodeFacts) -> bool {
        let labelled = |(key, value): (&String, &String)| node.labels.get(key) == Some(value);
        self.selector.iter().all(labelled)
            && self.required.as_ref().is_none_or(|terms| terms.iter().any(|term| term.holds(node)))
    }

    /// How much the pod likes a node.
    pub(crate) fn liking(&self, node: &NodeFacts) -> i64 {
        self.preferred.iter().filter(|(_, term)| term.holds(node)).map(|(weight, _)| weight).sum()
    }

    pub(crate) fn has_preferences(&self) -> bool {
        !self.preferred.is_empty()
    }
}

impl Term {
    fn of(term: &NodeSelectorTerm) -> Self {
        let parse = |list: &Option<Vec<NodeSelectorRequirement>>| -> Option<Vec<Requirement>> {
            list.iter().flatten().map(requirement_of).collect()
        };
        let (Some(labels), Some(names)) =
            (parse(&term.match_expressions), parse(&term.match_fields))
        else {
            return Self { selects_nothing: true, ..Self::default() };
        };
        let odd = names.iter().any(|requirement| requirement.key() != "metadata.name");
        let selects_nothing = odd || (labels.is_empty() && names.is_empty());
        Self { labels: Selector::new(labels), names: Selector::new(names), selects_nothing }
    }

    fn holds(&self, node: &NodeFacts) -> bool {
        if self.selects_nothing {
            return false;
        }
        let named = || BTreeMap::from([("metadata.name".to_owned(), node.name.clone())]);
        self.labels.matches(&node.labels)
            && (self.names.is_everything() || self.names.matches(&named()))
    }
}

fn requirement_of(requirement: &NodeSelectorRequirement) -> Option<Requirement> {
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return None,
    };
    let values = requirement.values.clone().unwrap_or_default();
    Requirement::new(&requirement.key, operator, values).ok()
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

    fn required(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn selectors_and_required_terms_admit() {
        let node = node("n1", json!({"disk": "ssd", "cores": "8"}));
        let expression = |key: &str, operator: &str, values: Value| json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]);
        for (spec, expected) in [
            (json!({}), true),
            (json!({"nodeSelector": {"disk": "ssd"}}), true),
            (json!({"nodeSelector": {"disk": "hdd"}}), false),
            (required(expression("disk", "In", json!(["ssd", "nvme"]))), true),
            (required(expression("disk", "NotIn", json!(["ssd"]))), false),
            (required(expression("disk", "Exists", json!([]))), true),
            (required(expression("gpu", "DoesNotExist", json!([]))), true),
            (required(expression("cores", "Gt", json!(["4"]))), true),
            (required(expression("cores", "Lt", json!(["4"]))), false),
            (required(json!([{}])), false),
            (
                required(json!([{"matchFields": [
                    {"key": "metadata.name", "operator": "In", "values": ["n1"]}]}])),
                true,
            ),
            (
                required(json!([{"matchFields": [
                    {"key": "metadata.name", "operator": "In", "values": ["n2"]}]}])),
                false,
            ),
        ] {
            assert_eq!(wishes(spec.clone()).admit(&node), expected, "{spec}");
        }
    }

    #[test]
    fn one_term_suffices_and_all_its_expressions_must_hold() {
        let node = node("n1", json!({"a": "1"}));
        let both = required(json!([
            {"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]},
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}]));
        assert!(wishes(both).admit(&node));
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
