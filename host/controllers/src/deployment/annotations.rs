//! The annotations by which a Deployment keeps its history on its ReplicaSets.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The place in the rollout sequence.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Earlier places of a ReplicaSet that was rolled back to.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's size when the ReplicaSet's size was set.
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// That size with the surge.
pub(super) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// How many old revisions' names the history keeps, in bytes.
const HISTORY_BYTES: usize = 2000;

/// What belongs to one of the two only.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// A number in an annotation.
pub(super) fn number(metadata: &ObjectMeta, name: &str) -> Option<i32> {
    metadata.annotations.as_ref()?.get(name)?.parse().ok()
}

/// The revision of a Deployment or ReplicaSet, 0 if it has none.
pub(super) fn revision(metadata: &ObjectMeta) -> i64 {
    let text = metadata.annotations.as_ref().and_then(|all| all.get(REVISION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The highest revision among `replica_sets`.
pub(super) fn highest<'a>(replica_sets: impl IntoIterator<Item = &'a ReplicaSet>) -> i64 {
    replica_sets.into_iter().map(|one| revision(&one.metadata)).max().unwrap_or(0)
}

/// Gives a new or an existing ReplicaSet the Deployment's annotations and at least `revision`.
/// Answers whether anything changed.
pub(super) fn inherit(
    deployment: &Deployment,
    replica_set: &mut ReplicaSet,
    revision: i64,
) -> bool {
    let old = self::revision(&replica_set.metadata);
    let had_revision = has(&replica_set.metadata, REVISION);
    let annotations = replica_set.metadata.annotations.get_or_insert_default();
    let mut changed = copy(deployment, annotations);
    if old < revision {
        annotations.insert(REVISION.to_owned(), revision.to_string());
        changed = true;
        if had_revision && old > 0 {
            remember(annotations, old);
        }
    }
    changed
}

fn has(metadata: &ObjectMeta, name: &str) -> bool {
    metadata.annotations.as_ref().is_some_and(|all| all.contains_key(name))
}

fn copy(deployment: &Deployment, annotations: &mut BTreeMap<String, String>) -> bool {
    let mut changed = false;
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&name.as_str()) && annotations.get(name) != Some(value) {
            annotations.insert(name.clone(), value.clone());
            changed = true;
        }
    }
    changed
}

/// Adds a revision to the history, the oldest falling out when it gets long.
fn remember(annotations: &mut BTreeMap<String, String>, revision: i64) {
    let history = annotations.entry(REVISION_HISTORY.to_owned()).or_default();
    if !history.is_empty() {
        history.push(',');
    }
    history.push_str(&revision.to_string());
    while history.len() > HISTORY_BYTES
        && let Some((_, rest)) = history.split_once(',')
    {
        *history = rest.to_owned();
    }
}

/// Records the sizes on a ReplicaSet; answers whether they were others.
pub(super) fn record_sizes(metadata: &mut ObjectMeta, desired: i32, max: i32) -> bool {
    if number(metadata, DESIRED_REPLICAS) == Some(desired)
        && number(metadata, MAX_REPLICAS) == Some(max)
    {
        return false;
    }
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED_REPLICAS.to_owned(), desired.to_string());
    annotations.insert(MAX_REPLICAS.to_owned(), max.to_string());
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Deployment {
        serde_json::from_value(json!({"metadata": {"annotations": {
            "note": "hello", REVISION: "7", "kubectl.kubernetes.io/last-applied-configuration": "{}"}}}))
        .unwrap()
    }

    #[test]
    fn a_rollback_keeps_the_earlier_revisions() {
        let deployment = deployment();
        let mut replica_set = ReplicaSet::default();
        assert!(inherit(&deployment, &mut replica_set, 1));
        assert_eq!(revision(&replica_set.metadata), 1);
        let annotations = |set: &ReplicaSet| set.metadata.annotations.clone().unwrap();
        assert_eq!(annotations(&replica_set).len(), 2, "one note and the revision");
        assert!(!inherit(&deployment, &mut replica_set, 1));
        assert!(inherit(&deployment, &mut replica_set, 3));
        assert!(inherit(&deployment, &mut replica_set, 5));
        assert_eq!(annotations(&replica_set)[REVISION_HISTORY], "1,3");
        assert!(!inherit(&deployment, &mut replica_set, 4), "a revision never goes back");
    }

    #[test]
    fn revisions_are_compared_as_numbers() {
        let mut replica_set = ReplicaSet::default();
        inherit(&deployment(), &mut replica_set, 9);
        assert!(inherit(&deployment(), &mut replica_set, 10));
        assert_eq!(highest([&replica_set]), 10);
    }

    #[test]
    fn sizes_are_recorded_once() {
        let mut metadata = ObjectMeta::default();
        assert!(record_sizes(&mut metadata, 3, 4));
        assert!(!record_sizes(&mut metadata, 3, 4));
        assert_eq!(number(&metadata, MAX_REPLICAS), Some(4));
    }
}
