//! Tolerations and taints.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::{Taint, Toleration};
use serde_json::json;

use super::all;

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The faults of a pod's tolerations.
pub(crate) fn tolerations(tolerations: &[Toleration], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, toleration) in tolerations.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (key, value) = (text(&toleration.key), text(&toleration.value));
        let (operator, effect) = (text(&toleration.operator), text(&toleration.effect));
        let of_operator = format!("{path}.operator");
        let of_effect = format!("{path}.effect");
        if !key.is_empty() {
            faults.extend(all(&format!("{path}.key"), &key, meta::qualified_name(&key)));
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            faults.push(Cause::invalid(of_operator.as_str(), operator.as_str(), detail));
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            faults.push(Cause::invalid(of_effect.as_str(), effect.as_str(), detail));
        }
        match operator.as_str() {
            "" | "Equal" => {
                let complaints = meta::label_value(&value);
                if !complaints.is_empty() {
                    faults.push(Cause::invalid(of_operator, value, &complaints.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                faults.push(Cause::invalid(of_operator, json!(toleration), detail));
            }
            "Exists" => {}
            other => faults.push(Cause::not_supported(of_operator, other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() && !EFFECTS.contains(&effect.as_str()) {
            faults.push(Cause::not_supported(of_effect, &effect, EFFECTS));
        }
    }
    faults
}

/// The faults of a node's taints.
pub(super) fn taints(taints: &[Taint], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, taint) in taints.iter().enumerate() {
        let path = format!("{path}[{at}]");
        faults.extend(all(&format!("{path}.key"), &taint.key, meta::qualified_name(&taint.key)));
        let value = taint.value.as_deref().unwrap_or_default();
        let complaints = meta::label_value(value);
        if !complaints.is_empty() {
            faults.push(Cause::invalid(format!("{path}.value"), value, &complaints.join(";")));
        }
        faults.extend(super::one_of(&format!("{path}.effect"), Some(&taint.effect), EFFECTS));
        let same = |other: &&Taint| other.key == taint.key && other.effect == taint.effect;
        if taints[..at].iter().any(|other| same(&other)) {
            faults.push(Cause::duplicate(path, json!(taint)));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;

    #[test]
    fn good_and_bad() {
        let good: Vec<Toleration> = object(json!([
            {"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoSchedule"},
            {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3},
        ]));
        assert_eq!(tolerations(&good, "t"), []);
        let bad: Vec<Toleration> = object(json!([
            {"value": "a"}, {"key": "a", "operator": "X", "effect": "Y", "tolerationSeconds": 1},
        ]));
        let found = lines(tolerations(&bad, "t"));
        assert!(
            found[0].starts_with("t[0].operator: Invalid value: \"\": operator must be Exists")
        );
        assert_eq!(
            found[1],
            "t[1].effect: Invalid value: \"Y\": effect must be 'NoExecute' when `tolerationSeconds` is set"
        );
        assert_eq!(
            found[2],
            "t[1].operator: Unsupported value: \"X\": supported values: \"Equal\", \"Exists\""
        );
        assert_eq!(found.len(), 4);
    }
}
