//! Selectors of nodes.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};

use super::all;

/// The faults of a node selector.
pub(super) fn node_selector(selector: &NodeSelector, path: &str) -> Vec<Cause> {
    let path = format!("{path}.nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        let detail = "must have at least one node selector term";
        return vec![Cause::required(path, detail)];
    }
    let terms = selector.node_selector_terms.iter().enumerate();
    terms.flat_map(|(at, each)| term(each, &format!("{path}[{at}]"))).collect()
}

/// The faults of a term of a node selector.
pub(super) fn term(term: &NodeSelectorTerm, path: &str) -> Vec<Cause> {
    let labels = term.match_expressions.iter().flatten().enumerate();
    let labels =
        labels.flat_map(|(at, each)| by_label(each, &format!("{path}.matchExpressions[{at}]")));
    let fields = term.match_fields.iter().flatten().enumerate();
    let fields = fields.flat_map(|(at, each)| by_field(each, &format!("{path}.matchFields[{at}]")));
    labels.chain(fields).collect()
}

fn by_label(requirement: &NodeSelectorRequirement, path: &str) -> Vec<Cause> {
    let values = requirement.values.as_ref().map_or(0, Vec::len);
    let of_values = format!("{path}.values");
    let mut faults = vec![];
    match requirement.operator.as_str() {
        "In" | "NotIn" if values == 0 => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            faults.push(Cause::required(of_values, detail));
        }
        "Exists" | "DoesNotExist" if values > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            faults.push(Cause::forbidden(of_values, detail));
        }
        "Gt" | "Lt" if values != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            faults.push(Cause::required(of_values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => faults.push(unknown(other, path)),
    }
    let key = requirement.key.as_str();
    faults.extend(all(&format!("{path}.key"), key, meta::qualified_name(key)));
    faults
}

fn by_field(requirement: &NodeSelectorRequirement, path: &str) -> Vec<Cause> {
    let values = requirement.values.as_deref().unwrap_or_default();
    let mut faults = vec![];
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node \
                          field selector";
            faults.push(Cause::required(format!("{path}.values"), detail));
        }
        "In" | "NotIn" => {}
        other => faults.push(unknown(other, path)),
    }
    if requirement.key == "metadata.name" {
        for (at, value) in values.iter().enumerate() {
            let path = format!("{path}.values[{at}]");
            faults.extend(all(&path, value, meta::dns_1123_subdomain(value)));
        }
    } else {
        let path = format!("{path}.key");
        let detail = "not a valid field selector key";
        faults.push(Cause::invalid(path, requirement.key.as_str(), detail));
    }
    faults
}

fn unknown(operator: &str, path: &str) -> Cause {
    Cause::invalid(format!("{path}.operator"), operator, "not a valid selector operator")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::{Value, json};

    fn faults(selector: Value) -> Vec<String> {
        lines(node_selector(&object(selector), "s"))
    }

    #[test]
    fn good_and_bad() {
        assert_eq!(
            faults(json!({})),
            ["s.nodeSelectorTerms: Required value: must have at least one node selector term"]
        );
        let of = |requirement: Value| {
            faults(json!({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}))
        };
        assert_eq!(
            of(json!({"key": "a", "operator": "In", "values": ["b"]})),
            Vec::<String>::new()
        );
        for (requirement, expected) in [
            (
                json!({"key": "a", "operator": "In"}),
                "values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
            (
                json!({"key": "a", "operator": "Exists", "values": ["b"]}),
                "values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            (
                json!({"key": "a", "operator": "Gt"}),
                "values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
            ),
            (
                json!({"key": "a", "operator": "X"}),
                "operator: Invalid value: \"X\": not a valid selector operator",
            ),
        ] {
            let expected = format!("s.nodeSelectorTerms[0].matchExpressions[0].{expected}");
            assert_eq!(of(requirement), [expected]);
        }
        let field = json!({"key": "spec.x", "operator": "In", "values": []});
        assert_eq!(
            faults(json!({"nodeSelectorTerms": [{"matchFields": [field]}]})),
            [
                "s.nodeSelectorTerms[0].matchFields[0].values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
                "s.nodeSelectorTerms[0].matchFields[0].key: Invalid value: \"spec.x\": not a valid field selector key",
            ]
        );
    }
}
