//! PodDisruptionBudgets.

use coracle_api::cause::Cause;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::json;

use super::number::{at_most_hundred_percent, count_or_percent, not_negative};
use super::selector;

/// The faults of a PodDisruptionBudget.
pub(crate) fn poddisruptionbudget(budget: &PodDisruptionBudget) -> Vec<Cause> {
    let Some(spec) = &budget.spec else { return vec![] };
    let mut faults = vec![];
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        faults.push(Cause::invalid("spec", json!(spec), detail));
    }
    let amounts =
        [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)];
    for (field, amount) in amounts {
        let Some(amount) = amount else { continue };
        let path = format!("spec.{field}");
        faults.extend(count_or_percent(&path, amount));
        faults.extend(at_most_hundred_percent(&path, amount));
    }
    if let Some(wanted) = &spec.selector {
        faults.extend(selector::label_selector(wanted, "spec.selector"));
    }
    let policies = &["AlwaysAllow", "IfHealthyBudget"];
    let policy = spec.unhealthy_pod_eviction_policy.as_deref();
    if let Some(other) = policy.filter(|policy| !policies.contains(policy)) {
        let path = "spec.unhealthyPodEvictionPolicy";
        faults.push(Cause::not_supported(path, other, policies));
    }
    faults
}

/// The faults of a change of a PodDisruptionBudget's status.
pub(crate) fn poddisruptionbudget_status(budget: &PodDisruptionBudget) -> Vec<Cause> {
    let Some(status) = &budget.status else { return vec![] };
    let counts = [
        ("disruptionsAllowed", status.disruptions_allowed),
        ("currentHealthy", status.current_healthy),
        ("desiredHealthy", status.desired_healthy),
        ("expectedPods", status.expected_pods),
    ];
    let faults =
        counts.into_iter().map(|(field, count)| not_negative(&format!("status.{field}"), count));
    faults.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    fn faults(spec: Value) -> Vec<String> {
        lines(poddisruptionbudget(&object(json!({ "spec": spec }))))
    }

    #[test]
    fn budgets() {
        assert_eq!(faults(json!({"minAvailable": "50%"})), Vec::<String>::new());
        assert_eq!(
            faults(json!({"minAvailable": -1, "unhealthyPodEvictionPolicy": "X"})),
            [
                "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"X\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
            ]
        );
        assert_eq!(
            faults(json!({"minAvailable": 1, "maxUnavailable": "101%"})),
            [
                "spec: Invalid value: {\"maxUnavailable\":\"101%\",\"minAvailable\":1}: minAvailable and maxUnavailable cannot be both set",
                "spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ]
        );
    }
}
