//! When a failed pod fails the job, and when some succeeded ones are enough.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule,
};
use serde_json::json;

use super::super::all;
use super::super::number::not_negative;
use super::indexes;

const MAX_RULES: usize = 20;
const MAX_PATTERNS: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_INDEXES_TEXT: usize = 64 << 10;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// `valid values: ["In" "NotIn"]`
fn valid(values: &[&str]) -> String {
    let values: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", values.join(" "))
}

/// A text that must be given, with the choice named where it is not.
fn chosen(text: &str, choice: &[&str], path: String) -> Option<Cause> {
    match text {
        "" => Some(Cause::required(path, &valid(choice))),
        text if choice.contains(&text) => None,
        text => Some(Cause::not_supported(path, text, choice)),
    }
}

pub(super) fn failure(spec: &JobSpec, policy: &PodFailurePolicy, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if policy.rules.len() > MAX_RULES {
        faults.push(Cause::too_many(format!("{path}.rules"), policy.rules.len(), MAX_RULES));
    }
    let pod = spec.template.spec.as_ref();
    let containers = pod
        .into_iter()
        .flat_map(|pod| pod.containers.iter().chain(pod.init_containers.iter().flatten()));
    let names: HashSet<&str> = containers.map(|container| container.name.as_str()).collect();
    for (at, one) in policy.rules.iter().enumerate() {
        faults.extend(rule(spec, one, &names, &format!("{path}.rules[{at}]")));
    }
    faults
}

fn rule(
    spec: &JobSpec,
    rule: &PodFailurePolicyRule,
    names: &HashSet<&str>,
    path: &str,
) -> Vec<Cause> {
    let of_action = format!("{path}.action");
    let mut faults: Vec<_> = chosen(&rule.action, ACTIONS, of_action.clone()).into_iter().collect();
    if rule.action == "FailIndex" && spec.backoff_limit_per_index.is_none() {
        let detail = "requires the backoffLimitPerIndex to be set";
        faults.push(Cause::invalid(of_action, "FailIndex", detail));
    }
    if let Some(codes) = &rule.on_exit_codes {
        faults.extend(exit_codes(codes, names, &format!("{path}.onExitCodes")));
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    faults.extend(conditions(patterns, &format!("{path}.onPodConditions")));
    match (&rule.on_exit_codes, patterns.is_empty()) {
        (Some(_), false) => {
            let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
            faults.push(Cause::wrong(path, detail));
        }
        (None, true) => {
            let detail = "specifying one of OnExitCodes and OnPodConditions is required";
            faults.push(Cause::wrong(path, detail));
        }
        _ => {}
    }
    faults
}

fn conditions(patterns: &[PodFailurePolicyOnPodConditionsPattern], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if patterns.len() > MAX_PATTERNS {
        faults.push(Cause::too_many(path, patterns.len(), MAX_PATTERNS));
    }
    for (at, pattern) in patterns.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let complaints = meta::qualified_name(&pattern.type_);
        faults.extend(all(&format!("{path}.type"), &pattern.type_, complaints));
        let status = pattern.status.as_deref().unwrap_or_default();
        faults.extend(chosen(status, STATUSES, format!("{path}.status")));
    }
    faults
}

fn exit_codes(
    codes: &PodFailurePolicyOnExitCodesRequirement,
    names: &HashSet<&str>,
    path: &str,
) -> Vec<Cause> {
    let operator = codes.operator.as_str();
    let mut faults: Vec<_> =
        chosen(operator, OPERATORS, format!("{path}.operator")).into_iter().collect();
    if let Some(name) = codes.container_name.as_deref().filter(|name| !names.contains(name)) {
        let path = format!("{path}.containerName");
        let detail = "must be one of the container or initContainer names in the pod template";
        faults.push(Cause::invalid(path, name, detail));
    }
    let values = &codes.values;
    let path = format!("{path}.values");
    if values.is_empty() {
        faults.push(Cause::invalid(path.as_str(), json!(values), "at least one value is required"));
    } else if values.len() > MAX_EXIT_CODES {
        faults.push(Cause::too_many(path.as_str(), values.len(), MAX_EXIT_CODES));
    }
    let mut seen = HashSet::new();
    for (at, code) in values.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if operator == "In" && *code == 0 {
            let detail = "must not be 0 for the In operator";
            faults.push(Cause::invalid(path.as_str(), *code, detail));
        }
        if !seen.insert(code) {
            faults.push(Cause::duplicate(path, *code));
        }
    }
    if !values.is_sorted() {
        faults.push(Cause::invalid(path, json!(values), "must be ordered"));
    }
    faults
}

pub(super) fn success(spec: &JobSpec, policy: &SuccessPolicy, path: &str) -> Vec<Cause> {
    let path = format!("{path}.rules");
    let mut faults = vec![];
    if policy.rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        faults.push(Cause::required(path.as_str(), detail));
    }
    if policy.rules.len() > MAX_RULES {
        faults.push(Cause::too_many(path.as_str(), policy.rules.len(), MAX_RULES));
    }
    for (at, rule) in policy.rules.iter().enumerate() {
        faults.extend(enough(spec, rule, &format!("{path}[{at}]")));
    }
    faults
}

fn enough(spec: &JobSpec, rule: &SuccessPolicyRule, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let completions = spec.completions.unwrap_or(0);
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        faults.push(Cause::required(path, detail));
    }
    let mut named = None;
    if let Some(text) = &rule.succeeded_indexes {
        let path = format!("{path}.succeededIndexes");
        if text.len() > MAX_INDEXES_TEXT {
            faults.push(Cause::too_long(path.as_str(), MAX_INDEXES_TEXT));
        }
        match indexes::count(text, completions) {
            Ok(count) => named = Some(count),
            Err(error) => {
                named = Some(0);
                let detail = format!("error parsing succeededIndexes: {error}");
                faults.push(Cause::invalid(path, text.as_str(), &detail));
            }
        }
    }
    if let Some(count) = rule.succeeded_count {
        let path = format!("{path}.succeededCount");
        faults.extend(not_negative(&path, Some(count)));
        if count > completions {
            let detail = format!(
                "must be less than or equal to {completions} (the number of specified completions)"
            );
            faults.push(Cause::invalid(path.as_str(), count, &detail));
        }
        if let Some(named) = named.filter(|named| count > *named) {
            let detail = format!(
                "must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
            );
            faults.push(Cause::invalid(path, count, &detail));
        }
    }
    faults
}
