//! What an update may change in a pod.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Toleration};

use crate::validation;

const FORBIDDEN: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// The faults of a change of `old` to `new`.
pub(super) fn validate(new: &Pod, old: &Pod) -> Vec<Cause> {
    let none = PodSpec::default();
    let (new, old) = (new.spec.as_ref().unwrap_or(&none), old.spec.as_ref().unwrap_or(&none));
    if new == old {
        return vec![];
    }
    let mut faults = vec![];
    let lists = [
        ("spec.containers", &new.containers[..], &old.containers[..]),
        (
            "spec.initContainers",
            new.init_containers.as_deref().unwrap_or_default(),
            old.init_containers.as_deref().unwrap_or_default(),
        ),
    ];
    for (path, new, old) in lists {
        if new.len() != old.len() {
            faults.push(Cause::forbidden(path, "pod updates may not add or remove containers"));
            return faults;
        }
        for (at, container) in new.iter().enumerate() {
            let image = container.image.as_deref().unwrap_or_default();
            if image.is_empty() {
                faults.push(Cause::required(format!("{path}[{at}].image"), ""));
            }
            if image.trim() != image {
                let detail = "must not have leading or trailing whitespace";
                faults.push(Cause::invalid(format!("{path}[{at}].image"), image, detail));
            }
        }
    }
    faults.extend(deadline(new, old));
    let tolerations = |spec: &PodSpec| spec.tolerations.clone().unwrap_or_default();
    faults.extend(validation::tolerations(&tolerations(new), "spec.tolerations"));
    if !only_added(&tolerations(new), &tolerations(old)) {
        let path = "spec.tolerations";
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        faults.push(Cause::forbidden(path, detail));
    }
    let kept = old.scheduling_gates.as_deref().unwrap_or_default();
    for (at, gate) in new.scheduling_gates.iter().flatten().enumerate() {
        if !kept.contains(gate) {
            let path = format!("spec.schedulingGates[{at}].name");
            let name = &gate.name;
            let detail =
                format!("only deletion is allowed, but found new scheduling gate '{name}'");
            faults.push(Cause::forbidden(path, &detail));
        }
    }
    if changeable_as(new, old) != *old {
        faults.push(Cause::forbidden("spec", FORBIDDEN));
    }
    faults
}

/// An active deadline can be set or brought nearer.
fn deadline(new: &PodSpec, old: &PodSpec) -> Option<Cause> {
    let path = "spec.activeDeadlineSeconds";
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
            Some(Cause::invalid(path, new, &detail))
        }
        (Some(new), Some(old)) if new > old => {
            let detail = "must be less than or equal to previous value";
            Some(Cause::invalid(path, new, detail))
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            Some(Cause::invalid(path, serde_json::Value::Null, detail))
        }
        _ => None,
    }
}

/// Whether every old toleration is still there, with any `tolerationSeconds`.
fn only_added(new: &[Toleration], old: &[Toleration]) -> bool {
    let plain =
        |toleration: &Toleration| Toleration { toleration_seconds: None, ..toleration.clone() };
    old.iter().all(|old| new.iter().any(|new| plain(new) == plain(old)))
}

/// `new` with everything that may be changed taken from `old`.
fn changeable_as(new: &PodSpec, old: &PodSpec) -> PodSpec {
    let images = |new: &[Container], old: &[Container]| -> Vec<Container> {
        let pairs = new.iter().zip(old);
        pairs.map(|(new, old)| Container { image: old.image.clone(), ..new.clone() }).collect()
    };
    let mut like_old = PodSpec {
        containers: images(&new.containers, &old.containers),
        init_containers: match (&new.init_containers, &old.init_containers) {
            (Some(new), Some(old)) => Some(images(new, old)),
            _ => old.init_containers.clone(),
        },
        active_deadline_seconds: old.active_deadline_seconds,
        tolerations: old.tolerations.clone(),
        ..new.clone()
    };
    if old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0)
        && new.termination_grace_period_seconds == Some(1)
    {
        like_old.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
    let gates = |spec: &PodSpec| {
        let gates = spec.scheduling_gates.iter().flatten();
        gates.map(|gate| gate.name.clone()).collect::<Vec<_>>()
    };
    // Gates open for good.
    if gates(new).iter().all(|gate| gates(old).contains(gate)) {
        like_old.scheduling_gates.clone_from(&old.scheduling_gates);
    }
    like_old
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Strategy;
    use serde_json::{Value, json};

    fn faults(change: Value) -> Vec<String> {
        let mut value = json!({"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "a", "image": "1"}],
            "activeDeadlineSeconds": 10,
            "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute"}],
        }});
        let mut old: Pod = serde_json::from_value(value.clone()).unwrap();
        old.default_fields();
        json_patch::merge(&mut value, &change);
        let mut new: Pod = serde_json::from_value(value).unwrap();
        new.default_fields();
        validate(&new, &old).into_iter().map(|cause| cause.field).collect()
    }

    #[test]
    fn what_may_change() {
        for change in [
            json!({}),
            json!({"metadata": {"labels": {"a": "b"}}}),
            // Without a tag, so that the pull policy stays the same.
            json!({"spec": {"containers": [{"name": "a", "image": "2"}]}}),
            json!({"spec": {"activeDeadlineSeconds": 5}}),
            json!({"spec": {"tolerations": [
                {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3},
                {"key": "b", "operator": "Exists"},
            ]}}),
        ] {
            assert_eq!(faults(change.clone()), Vec::<String>::new(), "{change}");
        }
    }

    #[test]
    fn what_may_not() {
        for (change, field) in [
            (json!({"spec": {"nodeName": "n"}}), "spec"),
            (json!({"spec": {"containers": [{"name": "b", "image": "1"}]}}), "spec"),
            (json!({"spec": {"containers": []}}), "spec.containers"),
            (
                json!({"spec": {"containers": [{"name": "a", "image": ""}]}}),
                "spec.containers[0].image",
            ),
            (json!({"spec": {"activeDeadlineSeconds": 11}}), "spec.activeDeadlineSeconds"),
            (json!({"spec": {"activeDeadlineSeconds": null}}), "spec.activeDeadlineSeconds"),
            (json!({"spec": {"tolerations": []}}), "spec.tolerations"),
        ] {
            let found = faults(change.clone());
            assert!(found.iter().any(|found| found == field), "{change}: {found:?}");
        }
    }
}
