//! What a budget's status says, computed from its pods: pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::conditions::{self, Condition};
use coracle_api::pods;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    Condition as MetaCondition, LabelSelector, Time,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::intstr::scaled;

const ALLOWED: &str = "DisruptionAllowed";
/// For how long an eviction's word counts that its pod is going.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

/// Whether the budget speaks of a share of the pods that there should be, rather than of those
/// that there are.
pub(super) fn needs_scale(budget: &PodDisruptionBudget) -> bool {
    budget.spec.as_ref().is_some_and(|spec| {
        spec.max_unavailable.is_some() || matches!(spec.min_available, Some(IntOrString::String(_)))
    })
}

/// The status that follows from the budget's `pods`, of which there should be `expected`, and after
/// which time it changes by itself.
pub(super) fn calculate(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    expected: i32,
    now: Timestamp,
) -> (PodDisruptionBudgetStatus, Option<Duration>) {
    let spec = budget.spec.as_ref();
    let desired = match spec.map(|spec| (&spec.max_unavailable, &spec.min_available)) {
        Some((Some(unavailable), _)) => (expected - scaled(unavailable, expected, true)).max(0),
        Some((None, Some(available))) => scaled(available, expected, true),
        _ => 0,
    };
    let mut disrupted = BTreeMap::new();
    let mut recheck: Option<Duration> = None;
    for (pod, at) in announced(budget, pods) {
        if let Some(left) = left(at, now) {
            disrupted.insert(name_of(pod), at.clone());
            recheck = Some(recheck.map_or(left, |recheck| recheck.min(left)));
        }
    }
    let healthy = pods.iter().filter(|pod| {
        !pods::is_terminating(pod)
            && pods::is_ready(pod)
            && disrupted.get(&name_of(pod)).and_then(|at| left(at, now)).is_none_or(|l| l.is_zero())
    });
    let healthy = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
    // A budget over nothing allows nothing, so that its first pods are safe until they are counted.
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };

    let generation = budget.metadata.generation;
    let mut status = PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        expected_pods: Some(expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        observed_generation: generation,
        conditions: budget.status.as_ref().and_then(|status| status.conditions.clone()),
    };
    let (truth, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    set(&mut status, MetaCondition::new(ALLOWED, truth, reason, ""));
    (status, recheck)
}

/// The status of a budget that could not be judged: nothing may go.
pub(super) fn failed(budget: &PodDisruptionBudget, why: &str) -> PodDisruptionBudgetStatus {
    let mut status = budget.status.clone().unwrap_or_default();
    status.disruptions_allowed = Some(0);
    set(&mut status, MetaCondition::new(ALLOWED, "False", "SyncFailed", why));
    status
}

fn set(status: &mut PodDisruptionBudgetStatus, mut condition: MetaCondition) {
    let generation = status.observed_generation;
    condition.observed_generation = generation;
    conditions::set(&mut status.conditions, condition);
    let all = status.conditions.iter_mut().flatten();
    for one in all.filter(|one| one.type_ == ALLOWED) {
        one.observed_generation = generation;
    }
}

/// The pods that should have been deleted by now and were not.
pub(super) fn not_deleted<'a>(
    budget: &'a PodDisruptionBudget,
    pods: &'a [Arc<Pod>],
    now: Timestamp,
) -> impl Iterator<Item = &'a Arc<Pod>> {
    announced(budget, pods).filter(move |(_, at)| left(at, now).is_none()).map(|(pod, _)| pod)
}

/// The pods whose eviction was granted and that are not yet going, and since when.
fn announced<'a>(
    budget: &'a PodDisruptionBudget,
    pods: &'a [Arc<Pod>],
) -> impl Iterator<Item = (&'a Arc<Pod>, &'a Time)> {
    let disrupted = budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref());
    let staying = pods.iter().filter(|pod| !pods::is_terminating(pod));
    staying.filter_map(move |pod| Some((pod, disrupted?.get(&name_of(pod))?)))
}

/// How much longer an eviction of `at` is believed; none if it no longer is.
fn left(at: &Time, now: Timestamp) -> Option<Duration> {
    Duration::try_from(DELETION_TIMEOUT - now.duration_since(at.0)).ok()
}

fn name_of(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

/// What the event says of pods that nobody manages.
pub(super) fn unmanaged(budget: &PodDisruptionBudget) -> String {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    format!(
        "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a \
         result, the status of the PDB cannot be calculated correctly, which may result in undefined \
         behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to \
         an integer value.",
        printed(&selector)
    )
}

/// A selector as Go prints it.
fn printed(selector: &LabelSelector) -> String {
    let mut text = "&LabelSelector{MatchLabels:map[string]string{".to_owned();
    for (key, value) in selector.match_labels.iter().flatten() {
        let _ = write!(text, "{key}: {value},");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for one in selector.match_expressions.iter().flatten() {
        let values = one.values.clone().unwrap_or_default().join(" ");
        let _ = write!(
            text,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            one.key, one.operator
        );
    }
    text + "},}"
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
        let mut budget = json!({"metadata": {"name": "b", "namespace": "ns", "generation": 3},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": status});
        for (key, value) in spec.as_object().unwrap() {
            budget["spec"][key] = value.clone();
        }
        serde_json::from_value(budget).unwrap()
    }

    fn pods(ready: usize, unready: usize) -> Vec<Arc<Pod>> {
        let pod = |number: usize| {
            let state = if number < ready { "True" } else { "False" };
            let pod = json!({"metadata": {"name": format!("p-{number}")},
                "status": {"conditions": [{"type": "Ready", "status": state}]}});
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        (0..ready + unready).map(pod).collect()
    }

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn budgets_are_counted() {
        // spec, ready, not ready, expected; healthy asked for, disruptions allowed
        for (spec, ready, unready, expected, desired, allowed) in [
            (json!({"minAvailable": 2}), 3, 0, 3, 2, 1),
            (json!({"minAvailable": 3}), 3, 0, 3, 3, 0),
            (json!({"minAvailable": 3}), 2, 1, 3, 3, 0),
            (json!({"minAvailable": 0}), 0, 0, 0, 0, 0),
            (json!({"minAvailable": "50%"}), 3, 0, 3, 2, 1),
            (json!({"minAvailable": "100%"}), 3, 0, 4, 4, 0),
            (json!({"maxUnavailable": 1}), 3, 0, 3, 2, 1),
            (json!({"maxUnavailable": 1}), 2, 1, 3, 2, 0),
            (json!({"maxUnavailable": "30%"}), 7, 0, 7, 4, 3),
            (json!({"maxUnavailable": 5}), 3, 0, 3, 0, 3),
            (json!({}), 2, 0, 2, 0, 2),
        ] {
            let budget = budget(spec.clone(), Value::Null);
            let (status, recheck) = calculate(&budget, &pods(ready, unready), expected, now());
            assert_eq!(status.desired_healthy, Some(desired), "{spec}");
            assert_eq!(status.disruptions_allowed, Some(allowed), "{spec}");
            assert_eq!(status.current_healthy, i32::try_from(ready).ok());
            assert_eq!(
                (status.expected_pods, status.observed_generation),
                (Some(expected), Some(3))
            );
            let condition = &status.conditions.unwrap()[0];
            let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
            assert_eq!((condition.reason(), condition.is_true()), (reason, allowed > 0));
            assert_eq!((condition.observed_generation, recheck), (Some(3), None));
        }
    }

    #[test]
    fn granted_evictions_are_believed_for_two_minutes() {
        let disrupted = json!({"disruptedPods": {
            "p-0": "2026-01-01T00:09:00Z", // going
            "p-1": "2026-01-01T00:07:59Z", // should be gone
            "gone": "2026-01-01T00:09:00Z"}});
        let budget = budget(json!({"minAvailable": 1}), disrupted);
        let pods = pods(3, 0);
        let (status, recheck) = calculate(&budget, &pods, 3, now());
        assert_eq!(status.current_healthy, Some(2));
        assert_eq!(status.disruptions_allowed, Some(1));
        assert_eq!(status.disrupted_pods.unwrap().into_keys().collect::<Vec<_>>(), ["p-0"]);
        assert_eq!(recheck, Some(Duration::from_secs(60)));
        let late: Vec<_> = not_deleted(&budget, &pods, now()).map(|pod| name_of(pod)).collect();
        assert_eq!(late, ["p-1"]);
    }

    #[test]
    fn a_failure_allows_nothing_and_is_taken_back() {
        let mut budget = budget(json!({"minAvailable": 1}), json!({"observedGeneration": 2}));
        let status = failed(&budget, "no such thing");
        let condition = &status.conditions.as_ref().unwrap()[0];
        assert_eq!((condition.reason(), condition.message()), ("SyncFailed", "no such thing"));
        assert_eq!(condition.observed_generation, Some(2));
        assert_eq!(status.disruptions_allowed, Some(0));
        budget.status = Some(status);
        let (status, _) = calculate(&budget, &pods(2, 0), 2, now());
        let condition = &status.conditions.as_ref().unwrap()[0];
        assert_eq!((condition.reason(), condition.message()), ("SufficientPods", ""));
    }

    #[test]
    fn selectors_are_printed_as_go_does() {
        let budget = budget(
            json!({"selector": {"matchLabels": {"a": "b"},
                "matchExpressions": [{"key": "c", "operator": "In", "values": ["d", "e"]}]}}),
            Value::Null,
        );
        let text = unmanaged(&budget);
        assert!(
            text.contains(
                "(selector: &LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:\
                 []LabelSelectorRequirement{LabelSelectorRequirement{Key:c,Operator:In,Values:[d e],},},})"
            ),
            "{text}"
        );
    }
}
