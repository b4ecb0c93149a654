//! DaemonSets.

use coracle_api::cause::Cause;
use coracle_api::selector::Selector;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetUpdateStrategy, RollingUpdateDaemonSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::number::{at_most_hundred_percent, count_or_percent, is_nothing, not_negative};
use super::{selector, template, workload};

/// The faults of a DaemonSet.
pub(crate) fn daemonset(set: &DaemonSet) -> Vec<Cause> {
    let spec = set.spec.clone().unwrap_or_default();
    let mut faults = selector::label_selector(&spec.selector, "spec.selector");
    if let Ok(wanted) = Selector::try_from(&spec.selector) {
        faults.extend(template::mismatch(&wanted, &spec.template, "spec.template"));
    }
    if selector::is_empty(&spec.selector) {
        let detail = "empty selector is invalid for daemonset";
        faults.push(Cause::invalid("spec.selector", json!(spec.selector), detail));
    }
    faults.extend(template::template(&spec.template, "spec.template"));
    faults.extend(template::for_ever(&spec.template, "DaemonSet", "spec.template"));
    faults.extend(not_negative("spec.minReadySeconds", spec.min_ready_seconds));
    let strategy = spec.update_strategy.unwrap_or_default();
    faults.extend(update_strategy(&strategy));
    faults.extend(not_negative("spec.revisionHistoryLimit", spec.revision_history_limit));
    faults
}

fn update_strategy(strategy: &DaemonSetUpdateStrategy) -> Vec<Cause> {
    let path = "spec.updateStrategy";
    match strategy.type_.as_deref().unwrap_or_default() {
        "OnDelete" => vec![],
        "RollingUpdate" => match &strategy.rolling_update {
            Some(rolling) => rolling_update(rolling),
            None => vec![Cause::required(format!("{path}.rollingUpdate"), "")],
        },
        other => vec![Cause::not_supported(path, other, &["RollingUpdate", "OnDelete"])],
    }
}

fn rolling_update(rolling: &RollingUpdateDaemonSet) -> Vec<Cause> {
    let nothing = IntOrString::Int(0);
    let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&nothing);
    let surge = rolling.max_surge.as_ref().unwrap_or(&nothing);
    let of_unavailable = "spec.updateStrategy.rollingUpdate.maxUnavailable";
    let of_surge = "spec.updateStrategy.rollingUpdate.maxSurge";
    let mut faults = count_or_percent(of_unavailable, unavailable);
    faults.extend(count_or_percent(of_surge, surge));
    faults.extend(at_most_hundred_percent(of_unavailable, unavailable));
    faults.extend(at_most_hundred_percent(of_surge, surge));
    match (is_nothing(unavailable), is_nothing(surge)) {
        (false, false) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            faults.push(Cause::invalid(of_surge, json!(surge), detail));
        }
        (true, true) => {
            faults.push(Cause::required(of_unavailable, "cannot be 0 when maxSurge is 0"));
        }
        _ => {}
    }
    faults
}

/// The faults of a change of a DaemonSet's status.
pub(crate) fn daemonset_status(new: &DaemonSet, old: &DaemonSet) -> Vec<Cause> {
    let Some(status) = &new.status else { return vec![] };
    let counts = [
        ("currentNumberScheduled", Some(status.current_number_scheduled)),
        ("numberMisscheduled", Some(status.number_misscheduled)),
        ("desiredNumberScheduled", Some(status.desired_number_scheduled)),
        ("numberReady", Some(status.number_ready)),
        ("updatedNumberScheduled", status.updated_number_scheduled),
        ("numberAvailable", status.number_available),
        ("numberUnavailable", status.number_unavailable),
        ("collisionCount", status.collision_count),
    ];
    let mut faults = vec![];
    for (field, count) in counts {
        faults.extend(not_negative(&format!("status.{field}"), count));
        if field == "numberReady" {
            faults.extend(not_negative("status.observedGeneration", status.observed_generation));
        }
    }
    let before = old.status.as_ref().and_then(|status| status.collision_count);
    faults.extend(workload::decremented(status.collision_count, before));
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::{Value, json};

    fn faults(change: Value) -> Vec<String> {
        let mut value = json!({
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "a", "image": "b"}]},
            },
        });
        json_patch::merge(&mut value, &change);
        let mut it: DaemonSet = object(json!({ "spec": value }));
        it.default_fields();
        lines(daemonset(&it))
    }

    #[test]
    fn daemonsets() {
        let rolling = |rolling: Value| json!({"updateStrategy": {"rollingUpdate": rolling}});
        for (change, expected) in [
            (json!({}), &[][..]),
            (
                rolling(json!({"maxSurge": 1})),
                &[
                    "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
                ],
            ),
            (
                rolling(json!({"maxUnavailable": 0})),
                &[
                    "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
                ],
            ),
            (
                rolling(json!({"maxUnavailable": "101%"})),
                &[
                    "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
                ],
            ),
            (rolling(json!({"maxUnavailable": 0, "maxSurge": "10%"})), &[]),
            (
                json!({"updateStrategy": {"type": "X"}}),
                &[
                    "spec.updateStrategy: Unsupported value: \"X\": supported values: \"RollingUpdate\", \"OnDelete\"",
                ],
            ),
            (
                json!({"selector": {"matchLabels": null}}),
                &["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"],
            ),
            (
                json!({"template": {"spec": {"restartPolicy": "Never", "activeDeadlineSeconds": 5}}}),
                &[
                    "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
                    "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported",
                ],
            ),
        ] {
            assert_eq!(faults(change.clone()), expected, "{change}");
        }
    }
}
