//! Deployments, ReplicaSets and ReplicationControllers.

use coracle_api::cause::Cause;
use coracle_api::selector::Selector;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, DeploymentStrategy, ReplicaSet, ReplicaSetSpec,
};
use k8s_openapi::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::number::{at_most_hundred_percent, count_or_percent, is_nothing, not_negative};
use super::template;

/// The faults of a Deployment.
pub(crate) fn deployment(deployment: &Deployment) -> Vec<Cause> {
    let Some(spec) = &deployment.spec else {
        return vec![Cause::required("spec.selector", ""), Cause::required("spec.template", "")];
    };
    let mut faults: Vec<_> = not_negative("spec.replicas", spec.replicas).into_iter().collect();
    faults.extend(selector_and_template(&spec.selector, Some(&spec.template)));
    if let Some(strategy) = &spec.strategy {
        faults.extend(rollout(strategy));
    }
    faults.extend(not_negative("spec.minReadySeconds", spec.min_ready_seconds));
    faults.extend(not_negative("spec.revisionHistoryLimit", spec.revision_history_limit));
    faults.extend(deadline(spec));
    faults
}

fn deadline(spec: &DeploymentSpec) -> Vec<Cause> {
    let path = "spec.progressDeadlineSeconds";
    let mut faults: Vec<_> =
        not_negative(path, spec.progress_deadline_seconds).into_iter().collect();
    if let Some(deadline) = spec.progress_deadline_seconds
        && deadline <= spec.min_ready_seconds.unwrap_or(0)
    {
        faults.push(Cause::invalid(path, deadline, "must be greater than minReadySeconds"));
    }
    faults
}

fn rollout(strategy: &DeploymentStrategy) -> Vec<Cause> {
    let rolling = strategy.rolling_update.as_ref();
    match strategy.type_.as_deref().unwrap_or_default() {
        "Recreate" if rolling.is_some() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            vec![Cause::forbidden("spec.strategy.rollingUpdate", detail)]
        }
        "Recreate" => vec![],
        "RollingUpdate" => {
            let path = "spec.strategy.rollingUpdate";
            let Some(rolling) = rolling else {
                let detail = "this should be defaulted and never be nil";
                return vec![Cause::required(path, detail)];
            };
            let mut faults = vec![];
            let of_unavailable = format!("{path}.maxUnavailable");
            let of_surge = format!("{path}.maxSurge");
            if let Some(value) = &rolling.max_unavailable {
                faults.extend(count_or_percent(&of_unavailable, value));
            }
            if let Some(value) = &rolling.max_surge {
                faults.extend(count_or_percent(&of_surge, value));
            }
            if let (Some(unavailable), Some(surge)) = (&rolling.max_unavailable, &rolling.max_surge)
                && is_nothing(unavailable)
                && is_nothing(surge)
            {
                let detail = "may not be 0 when `maxSurge` is 0";
                faults.push(Cause::invalid(of_unavailable.as_str(), json!(unavailable), detail));
            }
            let unavailable = rolling.max_unavailable.as_ref();
            faults.extend(unavailable.and_then(|v| at_most_hundred_percent(&of_unavailable, v)));
            faults
        }
        other => super::one_of("spec.strategy.type", Some(other), &["Recreate", "RollingUpdate"])
            .into_iter()
            .collect(),
    }
}

/// The faults of a ReplicaSet.
pub(crate) fn replicaset(set: &ReplicaSet) -> Vec<Cause> {
    let none = ReplicaSetSpec::default();
    let spec = set.spec.as_ref().unwrap_or(&none);
    let mut faults: Vec<_> = not_negative("spec.replicas", spec.replicas).into_iter().collect();
    faults.extend(not_negative("spec.minReadySeconds", spec.min_ready_seconds));
    faults.extend(selector_and_template(&spec.selector, spec.template.as_ref()));
    faults
}

fn selector_and_template(wanted: &LabelSelector, template: Option<&PodTemplateSpec>) -> Vec<Cause> {
    let mut faults = template::selector(wanted, "deployment", "spec.selector");
    let parsed = Selector::try_from(wanted);
    if parsed.is_err() {
        faults.push(Cause::invalid("spec.selector", json!(wanted), "invalid label selector"));
    }
    let Some(template) = template else {
        faults.push(Cause::required("spec.template", ""));
        return faults;
    };
    if let Ok(parsed) = parsed
        && !parsed.is_everything()
    {
        faults.extend(template::mismatch(&parsed, template, "spec.template"));
    }
    faults.extend(template::template(template, "spec.template"));
    faults.extend(template::for_ever(template, "ReplicaSet", "spec.template"));
    faults
}

/// The faults of a ReplicationController.
pub(crate) fn replicationcontroller(controller: &ReplicationController) -> Vec<Cause> {
    let none = ReplicationControllerSpec::default();
    let spec = controller.spec.as_ref().unwrap_or(&none);
    let mut faults: Vec<_> =
        not_negative("spec.minReadySeconds", spec.min_ready_seconds).into_iter().collect();
    let selector = spec.selector.clone().unwrap_or_default();
    if selector.is_empty() {
        faults.push(Cause::required("spec.selector", ""));
    }
    faults.extend(not_negative("spec.replicas", spec.replicas));
    let Some(template) = &spec.template else {
        faults.push(Cause::required("spec.template", ""));
        return faults;
    };
    if !selector.is_empty() {
        let wanted = LabelSelector { match_labels: Some(selector), match_expressions: None };
        // Malformed values cannot be on a template that passes.
        let wanted = Selector::try_from(&wanted).unwrap_or_default();
        faults.extend(template::mismatch(&wanted, template, "spec.template"));
    }
    faults.extend(template::template(template, "spec.template"));
    faults.extend(template::for_ever(template, "ReplicationController", "spec.template"));
    faults
}

/// Complains where the first count is above the second.
pub(super) fn not_above(field: &str, count: i32, bound: i32, named: &str) -> Option<Cause> {
    let detail = format!("cannot be greater than {named}");
    (count > bound).then(|| Cause::invalid(format!("status.{field}"), count, &detail))
}

/// A count of collisions that was lowered.
pub(super) fn decremented(new: Option<i32>, old: Option<i32>) -> Option<Cause> {
    let value = new.unwrap_or(0);
    (new < old).then(|| Cause::invalid("status.collisionCount", value, "cannot be decremented"))
}

/// The faults of a change of a Deployment's status.
pub(crate) fn deployment_status(new: &Deployment, old: &Deployment) -> Vec<Cause> {
    let none = DeploymentStatus::default();
    let status = new.status.as_ref().unwrap_or(&none);
    let count = |count: Option<i32>| count.unwrap_or(0);
    let replicas = count(status.replicas);
    let ready = count(status.ready_replicas);
    let available = count(status.available_replicas);
    let updated = count(status.updated_replicas);
    let counts = [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", count(status.unavailable_replicas)),
    ];
    let mut faults: Vec<_> =
        not_negative("status.observedGeneration", status.observed_generation).into_iter().collect();
    for (field, count) in counts {
        faults.extend(not_negative(&format!("status.{field}"), Some(count)));
    }
    faults.extend(not_above("updatedReplicas", updated, replicas, "status.replicas"));
    faults.extend(not_above("readyReplicas", ready, replicas, "status.replicas"));
    faults.extend(not_above("availableReplicas", available, replicas, "status.replicas"));
    faults.extend(not_above("availableReplicas", available, ready, "readyReplicas"));
    faults.extend(not_negative("status.collisionCount", status.collision_count));
    let before = old.status.as_ref().and_then(|status| status.collision_count);
    faults.extend(decremented(status.collision_count, before));
    faults
}

/// What a ReplicaSet's and a ReplicationController's status count.
struct Counts {
    replicas: i32,
    labelled: Option<i32>,
    ready: Option<i32>,
    available: Option<i32>,
    observed: Option<i64>,
}

/// The faults of a change of a ReplicaSet's status.
pub(crate) fn replicaset_status(set: &ReplicaSet) -> Vec<Cause> {
    let Some(status) = &set.status else { return vec![] };
    counts(&Counts {
        replicas: status.replicas,
        labelled: status.fully_labeled_replicas,
        ready: status.ready_replicas,
        available: status.available_replicas,
        observed: status.observed_generation,
    })
}

/// The faults of a change of a ReplicationController's status.
pub(crate) fn replicationcontroller_status(controller: &ReplicationController) -> Vec<Cause> {
    let Some(status) = &controller.status else { return vec![] };
    counts(&Counts {
        replicas: status.replicas,
        labelled: status.fully_labeled_replicas,
        ready: status.ready_replicas,
        available: status.available_replicas,
        observed: status.observed_generation,
    })
}

fn counts(status: &Counts) -> Vec<Cause> {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let labelled = count(status.labelled);
    let ready = count(status.ready);
    let available = count(status.available);
    let replicas = status.replicas;
    let counts = [
        ("replicas", replicas),
        ("fullyLabeledReplicas", labelled),
        ("readyReplicas", ready),
        ("availableReplicas", available),
    ];
    let mut faults: Vec<_> =
        not_negative("status.observedGeneration", status.observed).into_iter().collect();
    for (field, count) in counts {
        faults.extend(not_negative(&format!("status.{field}"), Some(count)));
    }
    faults.extend(not_above("fullyLabeledReplicas", labelled, replicas, "status.replicas"));
    faults.extend(not_above("readyReplicas", ready, replicas, "status.replicas"));
    faults.extend(not_above("availableReplicas", available, replicas, "status.replicas"));
    faults.extend(not_above("availableReplicas", available, ready, "readyReplicas"));
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::Value;

    fn faults(change: Value) -> Vec<String> {
        let mut value = json!({
            "replicas": 1,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "a", "image": "b"}]},
            },
        });
        json_patch::merge(&mut value, &change);
        let mut it: Deployment = object(json!({ "spec": value }));
        it.default_fields();
        lines(deployment(&it))
    }

    #[test]
    fn deployments() {
        assert_eq!(faults(json!({})), Vec::<String>::new());
        for (change, expected) in [
            (
                json!({"template": {"metadata": {"labels": {"app": "b"}}}}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`",
            ),
            (
                json!({"replicas": -1}),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (json!({"selector": null}), "spec.selector: Required value"),
            (
                json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}}),
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ),
            (
                json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
            ),
            (
                json!({"minReadySeconds": 600}),
                "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
            ),
            (
                json!({"template": {"spec": {"restartPolicy": "Never"}}}),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
            (
                json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
        ] {
            let found = faults(change.clone());
            assert!(found.contains(&expected.to_owned()), "{change}: {found:?}");
        }
    }

    #[test]
    fn statuses() {
        let of = |status: Value| object::<Deployment>(json!({ "status": status }));
        let good = of(json!({"replicas": 2, "readyReplicas": 2, "availableReplicas": 1}));
        assert_eq!(deployment_status(&good, &good), []);
        let bad = of(json!({"replicas": 1, "readyReplicas": 2}));
        assert_eq!(
            lines(deployment_status(&bad, &good)),
            ["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"]
        );
    }
}
