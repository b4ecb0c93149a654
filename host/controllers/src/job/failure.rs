//! What a job's failure policy makes of a pod that failed.

use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

/// What follows from a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It counts towards the limits.
    Count,
    /// It does not.
    Ignore,
    /// The pod's index has failed for good.
    FailIndex,
    /// The whole job has; the reason for people.
    FailJob(String),
}

impl Action {
    pub(super) fn counts(&self) -> bool {
        *self != Self::Ignore
    }
}

/// The first rule that matches decides; without one the failure counts.
pub(super) fn action(policy: Option<&PodFailurePolicy>, pod: &Pod) -> Action {
    let rules = policy.into_iter().flat_map(|policy| policy.rules.iter().enumerate());
    for (at, rule) in rules {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let matched = if let Some(codes) = &rule.on_exit_codes {
            failed_container(pod, codes).map(|(container, code)| {
                format!(
                    "Container {container} for pod {namespace}/{name} failed with exit code {code} \
                     matching {} rule at index {at}",
                    rule.action
                )
            })
        } else {
            let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
            condition(pod, patterns).map(|condition| {
                format!(
                    "Pod {namespace}/{name} has condition {} matching {} rule at index {at}",
                    condition.type_, rule.action
                )
            })
        };
        let Some(message) = matched else { continue };
        match rule.action.as_str() {
            "Ignore" => return Action::Ignore,
            "FailIndex" => return Action::FailIndex,
            "FailJob" => return Action::FailJob(message),
            "Count" => return Action::Count,
            _ => {}
        }
    }
    Action::Count
}

/// The first container that ended as `wanted` says: its name and exit code.
fn failed_container<'a>(
    pod: &'a Pod,
    wanted: &PodFailurePolicyOnExitCodesRequirement,
) -> Option<(&'a str, i32)> {
    let status = pod.status.as_ref()?;
    let regular = status.container_statuses.iter().flatten();
    let all = regular.chain(status.init_container_statuses.iter().flatten());
    all.filter_map(|container| Some((container.name.as_str(), exit_code(container)?))).find(
        |(name, code)| {
            let named = wanted.container_name.as_deref().is_none_or(|wanted| wanted == *name);
            let listed = wanted.values.contains(code);
            let fits = match wanted.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                _ => false,
            };
            named && *code != 0 && fits
        },
    )
}

fn exit_code(container: &ContainerStatus) -> Option<i32> {
    Some(container.state.as_ref()?.terminated.as_ref()?.exit_code)
}

fn condition<'a>(
    pod: &'a Pod,
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| {
        patterns.iter().any(|pattern| {
            let status = pattern.status.as_deref().unwrap_or("True");
            pattern.type_ == condition.type_ && status == condition.status
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy: PodFailurePolicy = serde_json::from_value(json!({"rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes":
                {"containerName": "main", "operator": "In", "values": [42, 43]}},
            {"action": "Count", "onExitCodes": {"operator": "In", "values": [1]}},
            {"action": "FailIndex", "onExitCodes": {"operator": "NotIn", "values": [2]}},
        ]}))
        .unwrap();
        let code = |container: &str, code: i32| {
            json!({"containerStatuses": [
                {"name": container, "state": {"terminated": {"exitCode": code}}}]})
        };
        let fail_job = "Container main for pod default/p failed with exit code 42 matching FailJob \
                        rule at index 1";
        for (status, expected) in [
            (code("main", 42), Action::FailJob(fail_job.into())),
            (code("side", 42), Action::FailIndex),
            (code("main", 1), Action::Count),
            (code("main", 2), Action::Count),
            (code("main", 0), Action::Count),
            (code("main", 7), Action::FailIndex),
            (
                json!({"initContainerStatuses": code("main", 7)["containerStatuses"]}),
                Action::FailIndex,
            ),
            (
                json!({"conditions": [{"type": "DisruptionTarget", "status": "True"}]}),
                Action::Ignore,
            ),
            (
                json!({"conditions": [{"type": "DisruptionTarget", "status": "False"}]}),
                Action::Count,
            ),
            (
                json!({"containerStatuses": [{"name": "main", "state": {"running": {}}}]}),
                Action::Count,
            ),
        ] {
            let pod = json!({"metadata": {"namespace": "default", "name": "p"}, "status": status});
            let pod: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(action(Some(&policy), &pod), expected, "{status}");
            assert_eq!(action(None, &pod), Action::Count);
        }
    }
}
