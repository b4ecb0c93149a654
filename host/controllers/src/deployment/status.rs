//! What a Deployment's status says, and how the progress of its rollout is judged: pure.

use std::sync::Arc;
use std::time::Duration;

use coracle_api::conditions::{self, Condition};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetStatus,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::math;

pub(super) const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const REPLICA_FAILURE: &str = "ReplicaFailure";

pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";

/// Sets a condition unless it already has that status for that reason.
pub(super) fn set(status: &mut DeploymentStatus, condition: DeploymentCondition) {
    let old = conditions::find(status.conditions.as_ref(), condition.type_());
    let same = |old: &DeploymentCondition| {
        old.status() == condition.status() && old.reason() == condition.reason()
    };
    if !old.is_some_and(same) {
        conditions::set(&mut status.conditions, condition);
    }
}

/// The deadline for progress, if there is one.
pub(super) fn deadline(deployment: &Deployment) -> Option<i32> {
    let spec = deployment.spec.as_ref()?;
    spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)
}

/// The status that follows from the ReplicaSets; progress aside.
pub(super) fn calculate(
    deployment: &Deployment,
    new: Option<&Arc<ReplicaSet>>,
    old: &[Arc<ReplicaSet>],
) -> DeploymentStatus {
    let all = || old.iter().chain(new);
    let sum = |of: fn(&ReplicaSetStatus) -> Option<i32>| -> i32 {
        all().filter_map(|one| one.status.as_ref().and_then(of)).sum()
    };
    let available = sum(|status| status.available_replicas);
    let asked_for: i32 = all().map(|one| math::size(one)).sum();
    let updated = new.and_then(|new| new.status.as_ref()).map_or(0, |status| status.replicas);

    let before = deployment.status.clone().unwrap_or_default();
    // Counts of nothing are not spelt out, as Kubernetes does not.
    let some = |number: i32| (number != 0).then_some(number);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sum(|status| Some(status.replicas))),
        updated_replicas: some(updated),
        ready_replicas: some(sum(|status| status.ready_replicas)),
        available_replicas: some(available),
        unavailable_replicas: some((asked_for - available).max(0)),
        terminating_replicas: Some(sum(|status| status.terminating_replicas)),
        collision_count: before.collision_count,
        conditions: before.conditions,
    };
    let condition = if available >= math::wanted(deployment) - math::max_unavailable(deployment) {
        let message = "Deployment has minimum availability.";
        DeploymentCondition::new(AVAILABLE, "True", "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.";
        DeploymentCondition::new(AVAILABLE, "False", "MinimumReplicasUnavailable", message)
    };
    set(&mut status, condition);
    status
}

/// Whether all that is asked for runs, updated and available, and nothing else.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = math::wanted(deployment);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    let number = |number: Option<i32>| number.unwrap_or(0);
    let old = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(now.updated_replicas) > number(before.updated_replicas)
        || old(now) < old(before)
        || number(now.ready_replicas) > number(before.ready_replicas)
        || number(now.available_replicas) > number(before.available_replicas)
}

/// Judges the progress of a rollout in `status`, compared with the status `before`.
pub(super) fn judge(
    deployment: &Deployment,
    before: &DeploymentStatus,
    status: &mut DeploymentStatus,
    new: Option<&ReplicaSet>,
    now: Timestamp,
) {
    let Some(deadline) = deadline(deployment) else {
        conditions::remove(&mut status.conditions, PROGRESSING);
        return;
    };
    let current = conditions::find(status.conditions.as_ref(), PROGRESSING).cloned();
    let settled = current.as_ref().is_some_and(|current| current.reason() == NEW_AVAILABLE)
        && status.replicas == status.updated_replicas;
    if settled {
        return;
    }
    let subject = match new.and_then(|new| new.metadata.name.as_deref()) {
        Some(name) => format!("ReplicaSet {name:?}"),
        None => format!("Deployment {:?}", deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        set(status, DeploymentCondition::new(PROGRESSING, "True", NEW_AVAILABLE, message));
    } else if has_progressed(before, status) {
        let message = format!("{subject} is progressing.");
        let mut condition =
            DeploymentCondition::new(PROGRESSING, "True", "ReplicaSetUpdated", message);
        // Progress is worth a new time even if nothing else about the condition is new.
        if let Some(current) = current.filter(Condition::is_true) {
            condition.last_transition_time = current.last_transition_time;
        }
        conditions::remove(&mut status.conditions, PROGRESSING);
        conditions::set(&mut status.conditions, condition);
    } else if current.is_some_and(|current| has_timed_out(&current, deadline, now)) {
        let message = format!("{subject} has timed out progressing.");
        set(status, DeploymentCondition::new(PROGRESSING, "False", TIMED_OUT, message));
    }
}

fn has_timed_out(current: &DeploymentCondition, deadline: i32, now: Timestamp) -> bool {
    match current.reason() {
        NEW_AVAILABLE => false,
        TIMED_OUT => true,
        _ => left(current, deadline, now).is_negative(),
    }
}

fn left(current: &DeploymentCondition, deadline: i32, now: Timestamp) -> SignedDuration {
    let since = current.last_update_time.as_ref().map_or(now, |time| time.0);
    SignedDuration::from_secs(i64::from(deadline)) - now.duration_since(since)
}

/// When a rollout without progress must be judged again.
pub(super) fn next_judgement(
    deployment: &Deployment,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let deadline = deadline(deployment)?;
    let current = conditions::find(status.conditions.as_ref(), PROGRESSING)?;
    let timed_out = current.reason() == TIMED_OUT;
    // Without anyone waiting for progress there is nothing to judge.
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
    if timed_out || paused || is_complete(deployment, status) {
        return None;
    }
    let left = Duration::try_from(left(current, deadline, now)).unwrap_or_default();
    // Past the deadline, not on it.
    Some(left + Duration::from_secs(1))
}

/// Takes over what keeps ReplicaSets from creating pods, the new one's reason first.
pub(super) fn adopt_failure(
    status: &mut DeploymentStatus,
    new: Option<&Arc<ReplicaSet>>,
    old: &[Arc<ReplicaSet>],
) {
    let failure = new.into_iter().chain(old).find_map(|one| {
        conditions::find(one.status.as_ref()?.conditions.as_ref(), REPLICA_FAILURE).cloned()
    });
    match failure {
        None => {
            conditions::remove(&mut status.conditions, REPLICA_FAILURE);
        }
        Some(failure) => set(
            status,
            DeploymentCondition {
                type_: failure.type_,
                status: failure.status,
                last_update_time: failure.last_transition_time.clone(),
                last_transition_time: failure.last_transition_time,
                reason: failure.reason,
                message: failure.message,
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": 4, "selector": {}, "template": {}, "progressDeadlineSeconds": 60},
        }))
        .unwrap()
    }

    fn replica_set(name: &str, size: i32, replicas: i32, ready: i32) -> Arc<ReplicaSet> {
        let value = json!({"metadata": {"name": name}, "spec": {"replicas": size, "selector": {}},
            "status": {"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready}});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn progressing(status: &DeploymentStatus) -> (&str, &str) {
        let condition = conditions::find(status.conditions.as_ref(), PROGRESSING).unwrap();
        (condition.status(), condition.reason())
    }

    fn now() -> Timestamp {
        coracle_api::clock::now()
    }

    #[test]
    fn counts_are_summed_and_availability_is_judged() {
        let new = replica_set("new", 2, 2, 1);
        let old = [replica_set("old", 3, 3, 2)];
        let status = calculate(&deployment(), Some(&new), &old);
        assert_eq!(status.replicas, Some(5));
        assert_eq!(status.updated_replicas, Some(2));
        assert_eq!(status.available_replicas, Some(3));
        assert_eq!(status.unavailable_replicas, Some(2));
        assert_eq!(status.observed_generation, Some(2));
        // 4 wanted, 25 % may be missing.
        assert!(conditions::is_true(status.conditions.as_ref(), AVAILABLE));
        let fewer = calculate(&deployment(), Some(&new), &[]);
        assert!(!conditions::is_true(fewer.conditions.as_ref(), AVAILABLE));
    }

    #[test]
    fn a_rollout_progresses_and_completes() {
        let deployment = deployment();
        let half = replica_set("new", 4, 4, 2);
        let mut status = calculate(&deployment, Some(&half), &[]);
        judge(&deployment, &DeploymentStatus::default(), &mut status, Some(&half), now());
        assert_eq!(progressing(&status), ("True", "ReplicaSetUpdated"));
        assert!(next_judgement(&deployment, &status, now()).is_some());

        let whole = replica_set("new", 4, 4, 4);
        let mut after = calculate(&deployment, Some(&whole), &[]);
        after.conditions = status.conditions.clone();
        judge(&deployment, &status, &mut after, Some(&whole), now());
        assert_eq!(progressing(&after), ("True", NEW_AVAILABLE));
        assert_eq!(next_judgement(&deployment, &after, now()), None);
    }

    #[test]
    fn a_rollout_without_progress_times_out() {
        let deployment = deployment();
        let stuck = replica_set("new", 4, 4, 2);
        let mut status = calculate(&deployment, Some(&stuck), &[]);
        judge(&deployment, &DeploymentStatus::default(), &mut status, Some(&stuck), now());
        let before = status.clone();
        let later = now() + SignedDuration::from_secs(61);
        judge(&deployment, &before, &mut status, Some(&stuck), now());
        assert_eq!(progressing(&status), ("True", "ReplicaSetUpdated"));
        judge(&deployment, &before, &mut status, Some(&stuck), later);
        assert_eq!(progressing(&status), ("False", TIMED_OUT));
        assert_eq!(next_judgement(&deployment, &status, later), None);
    }

    #[test]
    fn without_a_deadline_progress_is_not_judged() {
        let mut deployment = deployment();
        deployment.spec.as_mut().unwrap().progress_deadline_seconds = Some(i32::MAX);
        let new = replica_set("new", 4, 4, 4);
        let mut status = calculate(&deployment, Some(&new), &[]);
        judge(&deployment, &DeploymentStatus::default(), &mut status, Some(&new), now());
        assert!(conditions::find(status.conditions.as_ref(), PROGRESSING).is_none());
    }
}
