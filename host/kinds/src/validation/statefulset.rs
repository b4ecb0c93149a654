//! StatefulSets, and the ControllerRevisions that remember what they were.

use coracle_api::cause::Cause;
use coracle_api::selector::Selector;
use k8s_openapi::api::apps::v1::{
    ControllerRevision, RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume};
use serde_json::json;

use super::number::{at_most_hundred_percent, count_or_percent, is_nothing, not_negative};
use super::workload::{decremented, not_above};
use super::{all, dns_label, template};

const IMMUTABLE: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// The faults of a StatefulSet.
pub(crate) fn statefulset(set: &StatefulSet) -> Vec<Cause> {
    let none = StatefulSetSpec::default();
    let spec = set.spec.as_ref().unwrap_or(&none);
    let mut faults = vec![];
    match spec.pod_management_policy.as_deref().unwrap_or_default() {
        "" => faults.push(Cause::required("spec.podManagementPolicy", "")),
        "OrderedReady" | "Parallel" => {}
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            faults.push(Cause::invalid("spec.podManagementPolicy", other, detail));
        }
    }
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    faults.extend(update_strategy(&strategy));
    if let Some(retention) = &spec.persistent_volume_claim_retention_policy {
        let path = "spec.persistentVolumeClaimRetentionPolicy";
        for (field, policy) in
            [("whenDeleted", &retention.when_deleted), ("whenScaled", &retention.when_scaled)]
        {
            let policy = policy.as_deref().unwrap_or_default();
            if !matches!(policy, "Retain" | "Delete") {
                let path = format!("{path}.{field}");
                faults.push(Cause::not_supported(path, policy, &["Retain", "Delete"]));
            }
        }
    }
    faults.extend(not_negative("spec.replicas", spec.replicas));
    faults.extend(not_negative("spec.minReadySeconds", spec.min_ready_seconds));
    let first = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    faults.extend(not_negative("spec.ordinals.start", first));
    let service = spec.service_name.as_deref().unwrap_or_default();
    if !service.is_empty() {
        faults.extend(all("spec.serviceName", service, dns_label(service)));
    }
    faults.extend(template::selector(&spec.selector, "statefulset", "spec.selector"));
    match Selector::try_from(&spec.selector) {
        Err(_) => faults.push(Cause::invalid("spec.selector", json!(spec.selector), "")),
        Ok(wanted) => {
            if !wanted.is_everything() {
                faults.extend(template::mismatch(&wanted, &spec.template, "spec.template"));
            }
            let claims = claimed(spec);
            faults.extend(template::template_with(&spec.template, &claims, "spec.template"));
        }
    }
    faults.extend(template::for_ever(&spec.template, "StatefulSet", "spec.template"));
    faults
}

/// The volumes that each pod gets by its claims.
fn claimed(spec: &StatefulSetSpec) -> Vec<Volume> {
    let claims = spec.volume_claim_templates.iter().flatten();
    let volume = |name: &String| Volume {
        name: name.clone(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: name.clone(),
            read_only: None,
        }),
        ..Volume::default()
    };
    claims.filter_map(|claim| claim.metadata.name.as_ref().map(volume)).collect()
}

fn update_strategy(strategy: &StatefulSetUpdateStrategy) -> Vec<Cause> {
    let path = "spec.updateStrategy";
    let of_rolling = format!("{path}.rollingUpdate");
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("", _) => vec![Cause::required(path, "")],
        ("OnDelete", Some(rolling)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            vec![Cause::invalid(of_rolling, json!(rolling), detail)]
        }
        ("RollingUpdate", Some(rolling)) => rolling_update(rolling, &of_rolling),
        ("OnDelete" | "RollingUpdate", None) => vec![],
        _ => {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            vec![Cause::invalid(path, json!(strategy), detail)]
        }
    }
}

fn rolling_update(rolling: &RollingUpdateStatefulSetStrategy, path: &str) -> Vec<Cause> {
    let partition = not_negative(&format!("{path}.partition"), rolling.partition);
    let mut faults: Vec<_> = partition.into_iter().collect();
    if let Some(unavailable) = &rolling.max_unavailable {
        let path = format!("{path}.maxUnavailable");
        faults.extend(count_or_percent(&path, unavailable));
        if is_nothing(unavailable) {
            faults.push(Cause::invalid(path.as_str(), json!(unavailable), "cannot be 0"));
        }
        faults.extend(at_most_hundred_percent(&path, unavailable));
    }
    faults
}

/// The faults of a change of a StatefulSet.
pub(crate) fn statefulset_update(new: &StatefulSet, old: &StatefulSet) -> Vec<Cause> {
    let (Some(wanted), Some(before)) = (&new.spec, &old.spec) else { return vec![] };
    let like_old = StatefulSetSpec {
        replicas: before.replicas,
        template: before.template.clone(),
        update_strategy: before.update_strategy.clone(),
        min_ready_seconds: before.min_ready_seconds,
        ordinals: before.ordinals.clone(),
        revision_history_limit: before.revision_history_limit,
        persistent_volume_claim_retention_policy: before
            .persistent_volume_claim_retention_policy
            .clone(),
        ..wanted.clone()
    };
    if like_old == *before { vec![] } else { vec![Cause::forbidden("spec", IMMUTABLE)] }
}

/// The faults of a change of a StatefulSet's status.
pub(crate) fn statefulset_status(new: &StatefulSet, old: &StatefulSet) -> Vec<Cause> {
    let Some(status) = &new.status else { return vec![] };
    let replicas = status.replicas;
    let counts = [
        ("readyReplicas", status.ready_replicas),
        ("currentReplicas", status.current_replicas),
        ("updatedReplicas", status.updated_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    let mut faults: Vec<_> = not_negative("status.replicas", Some(replicas)).into_iter().collect();
    for (field, count) in counts {
        faults.extend(not_negative(&format!("status.{field}"), count));
    }
    faults.extend(not_negative("status.observedGeneration", status.observed_generation));
    faults.extend(not_negative("status.collisionCount", status.collision_count));
    for (field, count) in counts {
        faults.extend(not_above(field, count.unwrap_or(0), replicas, "status.replicas"));
    }
    let ready = status.ready_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    faults.extend(not_above("availableReplicas", available, ready, "status.readyReplicas"));
    let before = old.status.as_ref().and_then(|status| status.collision_count);
    faults.extend(decremented(status.collision_count, before));
    faults
}

/// The faults of a ControllerRevision.
pub(crate) fn controllerrevision(revision: &ControllerRevision) -> Vec<Cause> {
    let missing = revision.data.is_none().then(|| Cause::required("data", "data is mandatory"));
    missing.into_iter().chain(not_negative("revision", Some(revision.revision))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::{Value, json};

    fn set(change: Value) -> StatefulSet {
        let mut value = json!({
            "selector": {"matchLabels": {"app": "a"}},
            "serviceName": "nginx",
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "a", "image": "b",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        });
        json_patch::merge(&mut value, &change);
        let mut it: StatefulSet = object(json!({ "spec": value }));
        it.default_fields();
        it
    }

    #[test]
    fn statefulsets() {
        for (change, expected) in [
            (json!({}), &[][..]),
            (
                json!({"podManagementPolicy": "X"}),
                &[
                    "spec.podManagementPolicy: Invalid value: \"X\": must be 'OrderedReady' or 'Parallel'",
                ],
            ),
            (
                json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}),
                &[
                    "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'",
                ],
            ),
            (
                json!({"updateStrategy": {"rollingUpdate": {"partition": -1, "maxUnavailable": 0}}}),
                &[
                    "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
                    "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0",
                ],
            ),
            (
                json!({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "X"}}),
                &[
                    "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"X\": supported values: \"Retain\", \"Delete\"",
                ],
            ),
            (
                json!({"ordinals": {"start": -1}}),
                &["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"],
            ),
            (
                json!({"volumeClaimTemplates": []}),
                &["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"data\""],
            ),
            (
                json!({"selector": {"matchLabels": {"app": "b"}}}),
                &[
                    "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`",
                ],
            ),
        ] {
            assert_eq!(lines(statefulset(&set(change.clone()))), expected, "{change}");
        }
    }

    #[test]
    fn what_may_change() {
        let old = set(json!({}));
        for change in [
            json!({"replicas": 3, "minReadySeconds": 1, "revisionHistoryLimit": 2}),
            json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}),
            json!({"ordinals": {"start": 5}}),
        ] {
            assert_eq!(statefulset_update(&set(change.clone()), &old), [], "{change}");
        }
        for change in [json!({"serviceName": "x"}), json!({"podManagementPolicy": "Parallel"})] {
            let found = lines(statefulset_update(&set(change), &old));
            assert_eq!(found, [format!("spec: Forbidden: {IMMUTABLE}")]);
        }
    }
}
