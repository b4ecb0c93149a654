//! What a job must know of one of its pods.

use coracle_api::conditions::{self, Condition};
use coracle_api::pods;
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::spec::replaces_only_failed;

/// Keeps a pod until its job has counted it.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Annotation and label that say which index a pod works on.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often its index has failed before this pod.
pub(super) const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// How often its index has failed in a way that does not count.
pub(super) const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// Whether the pod is still to be counted.
pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(super) fn has_succeeded(pod: &Pod) -> bool {
    pods::phase(pod) == "Succeeded"
}

/// Whether the pod counts as failed. One that is deleted counts at once unless the job waits for
/// its end: it may never get to say that it has failed.
pub(super) fn has_failed(pod: &Pod, spec: &JobSpec) -> bool {
    match pods::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => pods::is_terminating(pod) && !replaces_only_failed(spec),
    }
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

fn number(pod: &Pod, name: &str) -> Option<i32> {
    annotation(pod, name)?.parse().ok().filter(|number| *number >= 0)
}

/// The index that the pod works on.
pub(super) fn index(pod: &Pod) -> Option<i32> {
    number(pod, INDEX)
}

/// The index that the pod works on, if the job has so many.
pub(super) fn valid_index(pod: &Pod, spec: &JobSpec) -> Option<i32> {
    index(pod).filter(|index| *index < spec.completions.unwrap_or(0))
}

pub(super) fn failures(pod: &Pod) -> i32 {
    number(pod, FAILURES).unwrap_or(0)
}

pub(super) fn ignored_failures(pod: &Pod) -> i32 {
    number(pod, IGNORED_FAILURES).unwrap_or(0)
}

/// How often the pod's index had failed before it, counted or not.
pub(super) fn all_failures(pod: &Pod) -> i32 {
    failures(pod).saturating_add(ignored_failures(pod))
}

/// When the pod was over: as its containers say, else as its readiness does, else when it was
/// deleted.
pub(super) fn finished_at(pod: &Pod) -> Timestamp {
    let status = pod.status.as_ref();
    let of_containers = || {
        let containers = status?.container_statuses.as_ref()?;
        let ends = containers.iter().map(|container| {
            Some(container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0)
        });
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    };
    let of_readiness = || {
        let ready = conditions::find(status?.conditions.as_ref(), "Ready")?;
        (ready.status() == "False").then_some(ready.last_transition()?.0)
    };
    let of_deletion = || {
        let deleted = pod.metadata.deletion_timestamp.as_ref()?.0;
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        deleted.checked_sub(SignedDuration::from_secs(grace)).ok()
    };
    let created = || pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    of_containers().or_else(of_readiness).or_else(of_deletion).or_else(created).unwrap_or_default()
}
