//! What a job's controller may report: a job that is over stays over, and says why.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use serde_json::json;

use super::super::number::not_negative;
use super::{indexes, is_indexed};

fn holds(status: &JobStatus, type_: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// The faults of a change of a Job's status.
pub(crate) fn job_status(new: &Job, old: &Job) -> Vec<Cause> {
    let (no_spec, none) = (JobSpec::default(), JobStatus::default());
    let spec = new.spec.as_ref().unwrap_or(&no_spec);
    let status = new.status.as_ref().unwrap_or(&none);
    let before = old.status.as_ref().unwrap_or(&none);
    let mut faults = counts(status);
    faults.extend(ending(spec, status));
    faults.extend(indexes(spec, status));
    faults.extend(change(spec, status, before));
    faults
}

fn counts(status: &JobStatus) -> Vec<Cause> {
    let counts = [
        ("active", status.active),
        ("succeeded", status.succeeded),
        ("failed", status.failed),
        ("ready", status.ready),
        ("terminating", status.terminating),
    ];
    let mut faults: Vec<_> = counts
        .into_iter()
        .filter_map(|(field, count)| not_negative(&format!("status.{field}"), count))
        .collect();
    if let Some(uncounted) = &status.uncounted_terminated_pods {
        let mut seen = HashSet::new();
        for (field, pods) in [("succeeded", &uncounted.succeeded), ("failed", &uncounted.failed)] {
            for (at, uid) in pods.iter().flatten().enumerate() {
                let path = format!("status.uncountedTerminatedPods.{field}[{at}]");
                if uid.is_empty() {
                    faults.push(Cause::invalid(path, "", "must not be empty"));
                } else if !seen.insert(uid) {
                    faults.push(Cause::duplicate(path, uid.as_str()));
                }
            }
        }
    }
    let active = status.active.unwrap_or(0);
    if let Some(ready) = status.ready.filter(|ready| *ready > active) {
        let detail = "cannot set more ready pods than active";
        faults.push(Cause::invalid("status.ready", ready, detail));
    }
    faults
}

/// The conditions of the end, and what goes with them.
fn ending(spec: &JobSpec, status: &JobStatus) -> Vec<Cause> {
    let mut faults = vec![];
    let complete = holds(status, "Complete");
    let failed = holds(status, "Failed");
    let target = holds(status, "FailureTarget");
    let met = holds(status, "SuccessCriteriaMet");
    let mut contradiction = |wrong: bool, detail: &str| {
        if wrong {
            faults.push(Cause::wrong("status.conditions", detail));
        }
    };
    contradiction(complete && failed, "cannot set Complete=True and Failed=true conditions");
    contradiction(complete && target, "cannot set Complete=True and FailureTarget=true conditions");
    contradiction(
        failed && !target,
        "cannot set Failed=True condition without the FailureTarget=true condition",
    );
    contradiction(
        complete && !met,
        "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
    );
    contradiction(met && failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
    contradiction(
        met && target,
        "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
    );
    contradiction(
        spec.success_policy.is_some() && !met && complete,
        "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
    );
    let path = "status.completionTime";
    match &status.completion_time {
        Some(time) if !complete => {
            let detail = "cannot set completionTime when there is no Complete=True condition";
            faults.push(Cause::invalid(path, json!(time), detail));
        }
        None if complete => {
            faults.push(Cause::required(path, "completionTime is required for Complete jobs"));
        }
        _ => {}
    }
    if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time)
        && end.0 < start.0
    {
        let detail = "completionTime cannot be set before startTime";
        faults.push(Cause::invalid(path, json!(end), detail));
    }
    if !complete && !failed {
        return faults;
    }
    if let Some(active) = status.active.filter(|active| *active > 0) {
        let detail = "active>0 is invalid for finished job";
        faults.push(Cause::invalid("status.active", active, detail));
    }
    if status.start_time.is_none() {
        let detail = "startTime is required for finished job";
        faults.push(Cause::required("status.startTime", detail));
    }
    if let Some(uncounted) = &status.uncounted_terminated_pods
        && uncounted.succeeded.iter().flatten().chain(uncounted.failed.iter().flatten()).count() > 0
    {
        let path = "status.uncountedTerminatedPods";
        let detail = "uncountedTerminatedPods needs to be empty for finished job";
        faults.push(Cause::invalid(path, json!(uncounted), detail));
    }
    if let Some(terminating) = status.terminating.filter(|terminating| *terminating > 0) {
        let detail = "terminating>0 is invalid for finished job";
        faults.push(Cause::invalid("status.terminating", terminating, detail));
    }
    faults
}

fn indexes(spec: &JobSpec, status: &JobStatus) -> Vec<Cause> {
    let mut faults = vec![];
    let completed = status.completed_indexes.as_deref().unwrap_or_default();
    let failed = status.failed_indexes.as_deref();
    let of_completed = "status.completedIndexes";
    let of_failed = "status.failedIndexes";
    if let Some(completions) = spec.completions {
        if let Err(error) = indexes::count(completed, completions) {
            let detail = format!("error parsing completedIndexes: {error}");
            faults.push(Cause::invalid(of_completed, completed, &detail));
        }
        if let Some(failed) = failed {
            if spec.backoff_limit_per_index.is_some()
                && let Err(error) = indexes::count(failed, completions)
            {
                let detail = format!("error parsing failedIndexes: {error}");
                faults.push(Cause::invalid(of_failed, failed, &detail));
            }
            if let Some(at) = indexes::overlap(completed, failed, completions) {
                let detail = format!("failedIndexes and completedIndexes overlap at index: {at}");
                faults.push(Cause::invalid(of_failed, failed, &detail));
            }
        }
    }
    if !completed.is_empty() && !is_indexed(spec) {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        faults.push(Cause::invalid(of_completed, completed, detail));
    }
    if let Some(failed) = failed.filter(|_| spec.backoff_limit_per_index.is_none()) {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        faults.push(Cause::invalid(of_failed, failed, detail));
    }
    faults
}

/// What was reported once is not taken back.
fn change(spec: &JobSpec, status: &JobStatus, before: &JobStatus) -> Vec<Cause> {
    let mut faults = vec![];
    for type_ in ["Failed", "Complete", "FailureTarget"] {
        if holds(before, type_) && !holds(status, type_) {
            let detail = format!("cannot disable the terminal {type_}=True condition");
            faults.push(Cause::wrong("status.conditions", &detail));
        }
    }
    // An indexed job that is made smaller forgets the indexes beyond its end.
    let shrinks = is_indexed(spec) && spec.completions == spec.parallelism;
    let counters = [
        ("failed", status.failed, before.failed, false),
        ("succeeded", status.succeeded, before.succeeded, shrinks),
    ];
    for (field, new, old, may_shrink) in counters {
        let new = new.unwrap_or(0);
        if new < old.unwrap_or(0) && !may_shrink {
            let detail = format!("cannot decrease the {field} counter");
            faults.push(Cause::invalid(format!("status.{field}"), new, &detail));
        }
    }
    if let (Some(new), Some(old)) = (&status.completion_time, &before.completion_time)
        && new != old
    {
        let detail = "completionTime cannot be mutated";
        faults.push(Cause::invalid("status.completionTime", json!(new), detail));
    }
    let resumes = holds(before, "Suspended") && !holds(status, "Suspended");
    if before.start_time.is_some()
        && before.start_time != status.start_time
        && spec.suspend != Some(true)
        && !resumes
    {
        let detail = "startTime cannot be removed for unsuspended job";
        faults.push(Cause::required("status.startTime", detail));
    }
    let met = holds(status, "SuccessCriteriaMet");
    let was_met = holds(before, "SuccessCriteriaMet");
    if was_met && !met {
        let detail = "cannot disable the SuccessCriteriaMet=True condition";
        faults.push(Cause::wrong("status.conditions", detail));
    }
    if holds(before, "Complete") && !was_met && met {
        let detail =
            "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        faults.push(Cause::wrong("status.conditions", detail));
    }
    faults
}
