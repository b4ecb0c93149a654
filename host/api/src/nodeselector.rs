//! Which nodes a pod names or selects.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use crate::selector::{Operator, Requirement, Selector};

/// A node selector's term, parsed.
#[derive(Clone, Debug, Default)]
pub struct Term {
    labels: Selector,
    /// Requirements on the node's name.
    names: Selector,
    /// A term that cannot be understood, or has nothing to say, selects nothing.
    selects_nothing: bool,
}

impl Term {
    /// Reads a term.
    pub fn of(term: &NodeSelectorTerm) -> Self {
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

    /// Whether the term selects the node of this name and with these labels.
    pub fn holds(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        if self.selects_nothing {
            return false;
        }
        let named = || BTreeMap::from([("metadata.name".to_owned(), name.to_owned())]);
        self.labels.matches(labels) && (self.names.is_everything() || self.names.matches(&named()))
    }
}

/// What a pod insists on: its node selector, and its required node affinity.
#[derive(Clone, Debug, Default)]
pub struct Required {
    selector: BTreeMap<String, String>,
    /// One of them must hold, if there are any.
    terms: Option<Vec<Term>>,
}

impl Required {
    /// Reads what a pod insists on.
    pub fn of(spec: &PodSpec) -> Self {
        let node = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required =
            node.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
        Self {
            selector: spec.node_selector.clone().unwrap_or_default(),
            terms: required
                .map(|selector| selector.node_selector_terms.iter().map(Term::of).collect()),
        }
    }

    /// Whether the pod may be on the node of this name and with these labels.
    pub fn admits(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let labelled = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.selector.iter().all(labelled)
            && self
                .terms
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term.holds(name, labels)))
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn admits(mut spec: Value, name: &str, labels: Value) -> bool {
        spec["containers"] = json!([]);
        let labels = serde_json::from_value(labels).unwrap();
        Required::of(&serde_json::from_value(spec).unwrap()).admits(name, &labels)
    }

    fn required(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn selectors_and_required_terms_admit() {
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
            let text = spec.to_string();
            assert_eq!(
                admits(spec, "n1", json!({"disk": "ssd", "cores": "8"})),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn one_term_suffices_and_all_its_expressions_must_hold() {
        let both = required(json!([
            {"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]},
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}]));
        assert!(admits(both.clone(), "n1", json!({"a": "1"})));
        assert!(!admits(both, "n1", json!({"a": "2"})));
    }
}
