//! Taints and tolerations: whether a pod bears what a node repels others with.

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether `toleration` bears `taint`.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let effect = text(&toleration.effect);
    let key = text(&toleration.key);
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    let (bound, value) = (text(&toleration.value), text(&taint.value));
    let numbers = || bound.parse::<i64>().ok().zip(value.parse::<i64>().ok());
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" | "" => !key.is_empty() && bound == value,
        "Lt" => numbers().is_some_and(|(bound, value)| value < bound),
        "Gt" => numbers().is_some_and(|(bound, value)| value > bound),
        _ => false,
    }
}

/// The first of `tolerations` that bears `taint`.
pub fn bearing<'a>(tolerations: &'a [Toleration], taint: &Taint) -> Option<&'a Toleration> {
    tolerations.iter().find(|toleration| tolerates(toleration, taint))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tolerations_bear_what_they_name() {
        let taint = |key: &str, value: &str, effect: &str| json!({"key": key, "value": value, "effect": effect});
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
            let text = format!("{toleration} {taint}");
            let toleration = serde_json::from_value(toleration).unwrap();
            let taint = serde_json::from_value(taint).unwrap();
            assert_eq!(tolerates(&toleration, &taint), expected, "{text}");
        }
    }
}
