//! ResourceQuotas.

use std::collections::{BTreeMap, BTreeSet};

use coracle_api::cause::Cause;
use coracle_api::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use serde_json::json;

use super::resources;

/// Resources that are counted under names of their own.
const COUNTED: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
/// Resources of pods, by which scopes choose.
const COMPUTED: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];
const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
const EXISTENCE: &str = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";

fn is_standard(name: &str) -> bool {
    COUNTED.contains(&name)
        || COMPUTED.contains(&name)
        || name == "requests.storage"
        || name == "storage"
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
}

/// Whether a scope can choose among what the resource counts.
fn chooses(scope: &str, name: &str) -> bool {
    match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => {
            matches!(name, "persistentvolumeclaims" | "requests.storage" | "storage")
        }
        _ => name == "pods" || COMPUTED.contains(&name),
    }
}

/// The faults of a ResourceQuota.
pub(crate) fn resourcequota(quota: &ResourceQuota) -> Vec<Cause> {
    let Some(spec) = &quota.spec else { return vec![] };
    let mut faults = amounts(spec.hard.as_ref(), "spec.hard");
    faults.extend(scopes(spec));
    faults.extend(scope_selector(spec));
    faults
}

/// The faults of a change of a ResourceQuota.
pub(crate) fn resourcequota_update(new: &ResourceQuota, old: &ResourceQuota) -> Vec<Cause> {
    let scopes = |quota: &ResourceQuota| -> BTreeSet<String> {
        let spec = quota.spec.as_ref();
        spec.and_then(|spec| spec.scopes.clone()).into_iter().flatten().collect()
    };
    if scopes(new) == scopes(old) {
        return vec![];
    }
    let value = json!(new.spec.as_ref().and_then(|spec| spec.scopes.clone()).unwrap_or_default());
    vec![Cause::invalid("spec.scopes", value, "field is immutable")]
}

/// The faults of a ResourceQuota's status.
pub(crate) fn resourcequota_status(quota: &ResourceQuota) -> Vec<Cause> {
    let Some(status) = &quota.status else { return vec![] };
    let mut faults = amounts(status.hard.as_ref(), "status.hard");
    faults.extend(amounts(status.used.as_ref(), "status.used"));
    faults
}

fn amounts(amounts: Option<&BTreeMap<String, Text>>, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (name, amount) in amounts.into_iter().flatten() {
        let path = format!("{path}[{name}]");
        faults.extend(resources::resource_name(name, &path));
        if !name.contains('/') && !is_standard(name) {
            let detail = "must be a standard resource for quota";
            faults.push(Cause::invalid(path.as_str(), name.as_str(), detail));
        }
        faults.extend(resources::quantity(amount, &path));
        if COUNTED.contains(&name.as_str())
            && Quantity::try_from(amount).is_ok_and(|amount| !amount.is_whole())
        {
            faults.push(Cause::invalid(path, amount.0.as_str(), "must be an integer"));
        }
    }
    faults
}

/// Scopes that exclude each other.
fn conflicting(scopes: &BTreeSet<&str>) -> bool {
    let pairs = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
    pairs.iter().any(|pair| pair.iter().all(|scope| scopes.contains(scope)))
}

fn not_applicable(spec: &ResourceQuotaSpec, scope: &str) -> usize {
    let names = spec.hard.iter().flatten().map(|(name, _)| name);
    names.filter(|name| is_standard(name) && !chooses(scope, name)).count()
}

fn scopes(spec: &ResourceQuotaSpec) -> Vec<Cause> {
    let path = "spec.scopes";
    let given = spec.scopes.as_deref().unwrap_or_default();
    let mut faults = vec![];
    for scope in given {
        if !SCOPES.contains(&scope.as_str()) {
            faults.push(Cause::invalid(path, json!(given), "unsupported scope"));
        }
        for _ in 0..not_applicable(spec, scope) {
            let detail = "unsupported scope applied to resource";
            faults.push(Cause::invalid(path, json!(given), detail));
        }
    }
    if conflicting(&given.iter().map(String::as_str).collect()) {
        faults.push(Cause::invalid(path, json!(given), "conflicting scopes"));
    }
    faults
}

fn scope_selector(spec: &ResourceQuotaSpec) -> Vec<Cause> {
    let Some(selector) = &spec.scope_selector else { return vec![] };
    let terms = selector.match_expressions.as_deref().unwrap_or_default();
    let path = "spec.scopeSelector.matchExpressions";
    let mut faults = vec![];
    for term in terms {
        let scope = term.scope_name.as_str();
        if !SCOPES.contains(&scope) {
            faults.push(Cause::invalid(format!("{path}.scopeName"), scope, "unsupported scope"));
        }
        for _ in 0..not_applicable(spec, scope) {
            let detail = "unsupported scope applied to resource";
            faults.push(Cause::invalid(path, json!(selector), detail));
        }
        faults.extend(requirement(term, path));
    }
    if conflicting(&terms.iter().map(|term| term.scope_name.as_str()).collect()) {
        faults.push(Cause::invalid(path, json!(terms), "conflicting scopes"));
    }
    faults
}

fn requirement(term: &ScopedResourceSelectorRequirement, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let values = term.values.as_deref().unwrap_or_default();
    let operator = term.operator.as_str();
    let of_operator = format!("{path}.operator");
    let by_value = ["PriorityClass", "VolumeAttributesClass"].contains(&term.scope_name.as_str());
    if SCOPES.contains(&term.scope_name.as_str()) && !by_value && operator != "Exists" {
        faults.push(Cause::invalid(of_operator.as_str(), operator, EXISTENCE));
    }
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail =
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            faults.push(Cause::required(format!("{path}.values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail =
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            faults.push(Cause::invalid(format!("{path}.values"), json!(values), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => {
            let detail = "not a valid selector operator";
            faults.push(Cause::invalid(of_operator, operator, detail));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    fn faults(spec: Value) -> Vec<String> {
        lines(resourcequota(&object(json!({ "spec": spec }))))
    }

    #[test]
    fn quotas() {
        for (spec, expected) in [
            (
                json!({"hard": {"pods": "3", "requests.cpu": "1", "count/jobs.batch": "2"}, "scopes": ["NotBestEffort"]}),
                &[][..],
            ),
            (
                json!({"hard": {"bogus": "1", "pods": "500m"}}),
                &[
                    "spec.hard[bogus]: Invalid value: \"bogus\": must be a standard resource type or fully qualified",
                    "spec.hard[bogus]: Invalid value: \"bogus\": must be a standard resource for quota",
                    "spec.hard[pods]: Invalid value: \"500m\": must be an integer",
                ],
            ),
            (
                json!({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}),
                &[
                    "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
                ],
            ),
            (
                json!({"scopes": ["Terminating", "NotTerminating"]}),
                &[
                    "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes",
                ],
            ),
            (
                json!({"scopeSelector": {"matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In"}, {"scopeName": "X", "operator": "Y"},
                ]}}),
                &[
                    "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
                    "spec.scopeSelector.matchExpressions.scopeName: Invalid value: \"X\": unsupported scope",
                    "spec.scopeSelector.matchExpressions.operator: Invalid value: \"Y\": not a valid selector operator",
                ],
            ),
        ] {
            assert_eq!(faults(spec.clone()), expected, "{spec}");
        }
        let scoped = |scope: &str| object::<ResourceQuota>(json!({"spec": {"scopes": [scope]}}));
        assert_eq!(
            lines(resourcequota_update(&scoped("BestEffort"), &scoped("Terminating"))),
            ["spec.scopes: Invalid value: [\"BestEffort\"]: field is immutable"]
        );
    }
}
