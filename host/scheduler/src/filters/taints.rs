//! Taints and tolerations, and nodes that take nothing.

use k8s_openapi::api::core::v1::Toleration;

use super::Reason;
use crate::cluster::Place;
use crate::cycle::Cycle;

const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

type Taint = (String, String, String);

/// Whether `toleration` bears `taint`.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let (key, value, effect) = taint;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let its_effect = text(&toleration.effect);
    if !its_effect.is_empty() && its_effect != *effect {
        return false;
    }
    let its_key = text(&toleration.key);
    if !its_key.is_empty() && its_key != *key {
        return false;
    }
    let its_value = text(&toleration.value);
    let numbers = || its_value.parse::<i64>().ok().zip(value.parse::<i64>().ok());
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" | "" => !its_key.is_empty() && its_value == *value,
        "Lt" => numbers().is_some_and(|(bound, value)| value < bound),
        "Gt" => numbers().is_some_and(|(bound, value)| value > bound),
        _ => false,
    }
}

fn tolerated(cycle: &Cycle<'_>, taint: &Taint) -> bool {
    cycle.tolerations().iter().any(|toleration| tolerates(toleration, taint))
}

/// Whether the pod can be on a node with these taints.
pub(crate) fn bears(cycle: &Cycle<'_>, taints: &[Taint]) -> bool {
    let hard = |(_, _, effect): &&Taint| matches!(effect.as_str(), "NoSchedule" | "NoExecute");
    taints.iter().filter(hard).all(|taint| tolerated(cycle, taint))
}

pub(super) fn unschedulable(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    let taint = (UNSCHEDULABLE_TAINT.to_owned(), String::new(), "NoSchedule".to_owned());
    if place.facts.unschedulable && !tolerated(cycle, &taint) {
        return vec!["node(s) were unschedulable".into()];
    }
    Vec::new()
}

pub(super) fn refuse(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    if bears(cycle, &place.facts.taints) {
        return Vec::new();
    }
    vec!["node(s) had untolerated taint(s)".into()]
}

/// How many taints ask the pod to stay away if it can.
pub(crate) fn unwelcome(cycle: &Cycle<'_>, place: &Place<'_>) -> i64 {
    let soft = |taint: &&Taint| taint.2 == "PreferNoSchedule" && !tolerated(cycle, taint);
    let count = place.facts.taints.iter().filter(soft).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tolerations_bear_what_they_name() {
        let taint =
            |key: &str, value: &str, effect: &str| (key.into(), value.into(), effect.into());
        for (toleration, taint, expected) in [
            (json!({"key": "a", "value": "b"}), taint("a", "b", "NoSchedule"), true),
            (json!({"key": "a", "value": "c"}), taint("a", "b", "NoSchedule"), false),
            (json!({"key": "a", "operator": "Exists"}), taint("a", "b", "NoExecute"), true),
            (json!({"operator": "Exists"}), taint("a", "b", "NoExecute"), true),
            (json!({"operator": "Equal"}), taint("", "", "NoExecute"), false),
            (
                json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"}),
                taint("a", "", "NoExecute"),
                false,
            ),
            (
                json!({"key": "a", "operator": "Gt", "value": "5"}),
                taint("a", "7", "NoSchedule"),
                true,
            ),
            (
                json!({"key": "a", "operator": "Lt", "value": "5"}),
                taint("a", "7", "NoSchedule"),
                false,
            ),
            (
                json!({"key": "a", "operator": "Gt", "value": "5"}),
                taint("a", "x", "NoSchedule"),
                false,
            ),
        ] {
            let text = toleration.to_string();
            let toleration = serde_json::from_value(toleration).unwrap();
            assert_eq!(tolerates(&toleration, &taint), expected, "{text} {taint:?}");
        }
    }
}
