//! Who owns the claims of a StatefulSet's pods, which decides whether they go with pod or set
//! (`spec.persistentVolumeClaimRetentionPolicy`). Pure.

use coracle_api::owner;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use super::identity;

/// Whether claims go when the pod is scaled away, and whether they go with the set.
fn policy(set: &StatefulSet) -> (bool, bool) {
    let policy =
        identity::spec(set).and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let deletes = |text: Option<&String>| text.is_some_and(|text| text == "Delete");
    let scaled = policy.and_then(|policy| policy.when_scaled.as_ref());
    let deleted = policy.and_then(|policy| policy.when_deleted.as_ref());
    (deletes(scaled), deletes(deleted))
}

/// Whether claims may go at all before the set does.
pub(super) fn goes_with_pod(set: &StatefulSet) -> bool {
    policy(set).0
}

fn names<K: Resource<DynamicType = ()>>(reference: &OwnerReference, object: &K) -> bool {
    reference.api_version == K::api_version(&())
        && reference.kind == K::kind(&())
        && Some(&reference.name) == object.meta().name.as_ref()
}

fn is<K: Resource>(reference: &OwnerReference, object: &K) -> bool {
    object.meta().uid.as_ref() == Some(&reference.uid)
}

/// Whether a claim belongs to an earlier object of that name, and goes with it.
pub(super) fn is_stale<K: Resource<DynamicType = ()>>(
    claim: &PersistentVolumeClaim,
    object: &K,
) -> bool {
    let references = claim.metadata.owner_references.iter().flatten();
    let mut named = references.filter(|reference| names(reference, object));
    named.next().is_some_and(|reference| !is(reference, object))
}

/// The owners that a claim of `pod` should have; none if they are as they should be, or are not ours
/// to change.
pub(super) fn wanted(
    claim: &PersistentVolumeClaim,
    set: &StatefulSet,
    pod: &Pod,
) -> Option<Vec<OwnerReference>> {
    if is_stale(claim, set) || is_stale(claim, pod) {
        return None;
    }
    let (with_pod, with_set) = policy(set);
    let present = claim.metadata.owner_references.clone().unwrap_or_default();
    let ours = |reference: &OwnerReference| names(reference, set) || names(reference, pod);
    let (mine, mut others): (Vec<_>, Vec<_>) = present.into_iter().partition(ours);
    let somebody_elses = others.iter().any(|reference| reference.controller == Some(true));
    let mut desired = Vec::new();
    if !somebody_elses {
        let scaled_away =
            identity::ordinal(set, pod).is_none_or(|ordinal| !identity::in_range(set, ordinal));
        if with_pod && scaled_away {
            desired.push(owner::controller_reference(pod));
        } else if with_set {
            desired.push(owner::controller_reference(set));
        }
    }
    let same =
        |a: &OwnerReference, b: &OwnerReference| a.uid == b.uid && a.controller == b.controller;
    if mine.len() == desired.len() && mine.iter().zip(&desired).all(|(a, b)| same(a, b)) {
        return None;
    }
    others.extend(desired);
    Some(others)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reference(kind: &str, uid: &str, controller: bool) -> Value {
        let (version, name) = match kind {
            "Pod" => ("v1", "web-1"),
            "StatefulSet" => ("apps/v1", "web"),
            _ => ("example.com/v1", "other"),
        };
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid,
            "controller": controller})
    }

    #[test]
    fn claims_go_with_whom_the_policy_says() {
        let set_owner = || reference("StatefulSet", "s", true);
        let pod_owner = || reference("Pod", "p", true);
        let other = || reference("Other", "o", true);
        // scaled, deleted, replicas, owners before; kinds of the owners after
        for (scaled, deleted, replicas, before, after) in [
            ("Retain", "Retain", 2, vec![], None),
            ("Retain", "Retain", 2, vec![set_owner()], Some(vec![])),
            ("Retain", "Delete", 2, vec![], Some(vec!["StatefulSet"])),
            ("Retain", "Delete", 2, vec![set_owner()], None),
            ("Retain", "Delete", 1, vec![], Some(vec!["StatefulSet"])),
            ("Delete", "Retain", 2, vec![], None),
            ("Delete", "Retain", 1, vec![], Some(vec!["Pod"])),
            ("Delete", "Retain", 2, vec![pod_owner()], Some(vec![])),
            ("Delete", "Delete", 2, vec![], Some(vec!["StatefulSet"])),
            ("Delete", "Delete", 1, vec![set_owner()], Some(vec!["Pod"])),
            ("Delete", "Delete", 2, vec![pod_owner()], Some(vec!["StatefulSet"])),
            // Not ours to change.
            ("Delete", "Delete", 2, vec![reference("StatefulSet", "old", true)], None),
            ("Delete", "Delete", 1, vec![reference("Pod", "old", true)], None),
            ("Delete", "Delete", 2, vec![other()], None),
            ("Delete", "Delete", 2, vec![other(), set_owner()], Some(vec!["Other"])),
            // An owner that is no controller is made one.
            (
                "Retain",
                "Delete",
                2,
                vec![reference("StatefulSet", "s", false)],
                Some(vec!["StatefulSet"]),
            ),
        ] {
            let set: StatefulSet = serde_json::from_value(json!({
                "metadata": {"name": "web", "uid": "s"},
                "spec": {"replicas": replicas, "selector": {}, "template": {},
                    "persistentVolumeClaimRetentionPolicy":
                        {"whenScaled": scaled, "whenDeleted": deleted}}}))
            .unwrap();
            let pod: Pod =
                serde_json::from_value(json!({"metadata": {"name": "web-1", "uid": "p"}})).unwrap();
            let text = format!("{scaled} {deleted} {replicas} {before:?}");
            let claim: PersistentVolumeClaim =
                serde_json::from_value(json!({"metadata": {"ownerReferences": before}})).unwrap();
            let got = wanted(&claim, &set, &pod);
            let kinds = got.as_ref().map(|all| all.iter().map(|one| one.kind.as_str()).collect());
            assert_eq!(kinds, after, "{text}");
        }
    }
}
