//! What a job asks for, and how far it is: questions that every part of the controller asks.

use coracle_api::conditions::{self, Condition};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};

/// Who looks after jobs that do not say who does.
const THIS_CONTROLLER: &str = "kubernetes.io/job-controller";

pub(super) const COMPLETE: &str = "Complete";
pub(super) const FAILED: &str = "Failed";
pub(super) const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
pub(super) const FAILURE_TARGET: &str = "FailureTarget";
pub(super) const SUSPENDED: &str = "Suspended";

pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

pub(super) fn is_suspended(spec: &JobSpec) -> bool {
    spec.suspend == Some(true)
}

/// Whether pods that are being deleted are replaced only once they are gone, and no failures until
/// they have failed.
pub(super) fn replaces_only_failed(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed") || spec.pod_failure_policy.is_some()
}

/// Whether somebody else looks after the job.
pub(super) fn is_managed_elsewhere(job: &Job) -> bool {
    let manager = job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref());
    manager.is_some_and(|manager| manager != THIS_CONTROLLER)
}

/// The condition of a job that is over.
pub(crate) fn end(job: &Job) -> Option<&k8s_openapi::api::batch::v1::JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let is_end = |type_: &str| type_ == COMPLETE || type_ == FAILED;
    conditions.iter().find(|condition| is_end(&condition.type_) && condition.is_true())
}

/// Whether `status` says that condition `type_` holds.
pub(super) fn holds(status: &JobStatus, type_: &str) -> bool {
    conditions::is_true(status.conditions.as_ref(), type_)
}
