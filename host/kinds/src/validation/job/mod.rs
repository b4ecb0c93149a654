//! Jobs. `policy` holds the rules for what failure and success mean, `status` those for what the
//! controller reports.

mod indexes;
mod policy;
mod status;

use coracle_api::cause::Cause;
use coracle_api::selector::Selector;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{Affinity, PodTemplateSpec};
use serde_json::{Value, json};

use super::meta::domain_prefixed_path;
use super::number::not_negative;
use super::{dns_label, immutable, selector, template};
use crate::strategy::{CONTROLLER_UID, JOB_NAME};

pub(crate) use status::job_status;

/// Bounds of indexed jobs, above which their status would grow too large.
const MAX_PARALLELISM_INDEXED: i32 = 100_000;
const MAX_FAILED_INDEXES: i32 = 100_000;
/// Above so many completions tighter bounds hold for jobs with limits by index.
const MANY_COMPLETIONS: i32 = 100_000;
const MAX_PARALLELISM_OF_MANY: i32 = 10_000;
const MAX_FAILED_OF_MANY: i32 = 10_000;
const MANAGED_BY_MAX: usize = 63;

/// The faults of a Job.
pub(crate) fn job(job: &Job) -> Vec<Cause> {
    let none = JobSpec::default();
    let spec = job.spec.as_ref().unwrap_or(&none);
    let mut faults = generated_selector(job, spec);
    faults.extend(job_spec(spec, "spec"));
    match &spec.selector {
        None => faults.push(Cause::required("spec.selector", "")),
        Some(wanted) => {
            faults.extend(selector::label_selector(wanted, "spec.selector"));
            if let Ok(wanted) = Selector::try_from(wanted) {
                faults.extend(template::mismatch(&wanted, &spec.template, "spec.template"));
            }
        }
    }
    if let Some(completions) = spec.completions.filter(|count| *count > 0)
        && is_indexed(spec)
    {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let longest = format!("{name}-{}", completions - 1);
        if !dns_label(&longest).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {longest}");
            faults.push(Cause::invalid("metadata.name", name, &detail));
        }
    }
    faults
}

fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// The labels that tell the job's pods from all others must be those that the job gave them.
fn generated_selector(job: &Job, spec: &JobSpec) -> Vec<Cause> {
    let Some(wanted) = spec.selector.as_ref().filter(|_| spec.manual_selector != Some(true)) else {
        return vec![];
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (uid, name) = (text(&job.metadata.uid), text(&job.metadata.name));
    let mut faults = vec![];
    if uid.is_empty() {
        faults.push(Cause::required("metadata.uid", ""));
    }
    let labels = template::labels_of(&spec.template);
    let mut expected = std::collections::BTreeMap::new();
    for at in [0, 1] {
        for (key, value) in [(CONTROLLER_UID[at], &uid), (JOB_NAME[at], &name)] {
            faults.extend(has_label(labels, key, value));
            expected.insert(key.to_owned(), value.clone());
        }
    }
    if let Ok(parsed) = Selector::try_from(wanted)
        && !parsed.matches(&expected)
    {
        let detail = "`selector` not auto-generated";
        faults.push(Cause::invalid("spec.selector", json!(wanted), detail));
    }
    faults
}

fn has_label(
    labels: Option<&std::collections::BTreeMap<String, String>>,
    key: &str,
    expected: &str,
) -> Option<Cause> {
    let path = format!("spec.template.metadata.labels[{key}]");
    match labels.and_then(|labels| labels.get(key)) {
        None => Some(Cause::required(path, &format!("must be '{expected}'"))),
        Some(value) if value != expected => {
            Some(Cause::invalid(path, json!(labels), &format!("must be '{expected}'")))
        }
        Some(_) => None,
    }
}

/// The faults of a template of jobs.
pub(super) fn job_template(template: &JobTemplateSpec, path: &str) -> Vec<Cause> {
    let none = JobSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&none);
    let path = format!("{path}.spec");
    let mut faults = job_spec(spec, &path);
    if let Some(wanted) = &spec.selector {
        let detail = "`selector` will be auto-generated";
        faults.push(Cause::invalid(format!("{path}.selector"), json!(wanted), detail));
    }
    if spec.manual_selector == Some(true) {
        let path = format!("{path}.manualSelector");
        faults.push(Cause::not_supported(path, "true", &["nil", "false"]));
    }
    faults
}

/// What holds for jobs and for templates of jobs.
fn job_spec(spec: &JobSpec, path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let mut faults = vec![];
    let counts = [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ];
    for (field, count) in counts {
        faults.extend(not_negative(&at(field), count));
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        let detail = "when maxFailedIndexes is specified";
        faults.push(Cause::required(at("backoffLimitPerIndex"), detail));
    }
    if let Some(manager) = &spec.managed_by {
        faults.extend(domain_prefixed_path(manager, &at("managedBy")));
        if manager.len() > MANAGED_BY_MAX {
            faults.push(Cause::too_long(at("managedBy"), MANAGED_BY_MAX));
        }
    }
    faults.extend(completion_mode(spec, path));
    if let Some(failure) = &spec.pod_failure_policy {
        faults.extend(policy::failure(spec, failure, &at("podFailurePolicy")));
    }
    if let Some(success) = &spec.success_policy {
        let path = at("successPolicy");
        if is_indexed(spec) {
            faults.extend(policy::success(spec, success, &path));
        } else {
            let detail = "requires indexed completion mode";
            faults.push(Cause::invalid(path, json!(success), detail));
        }
    }
    if let Some(replacement) = spec.pod_replacement_policy.as_deref() {
        let allowed: &[&str] = match spec.pod_failure_policy {
            Some(_) => &["Failed"],
            None => &["Failed", "TerminatingOrFailed"],
        };
        if !allowed.contains(&replacement) {
            faults.push(Cause::not_supported(at("podReplacementPolicy"), replacement, allowed));
        }
    }
    faults.extend(template::template(&spec.template, &at("template")));
    let restart = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    let path = at("template.spec.restartPolicy");
    match restart.unwrap_or_default() {
        "" | "Always" => {
            faults.push(Cause::required(path, "valid values: \"OnFailure\", \"Never\""));
        }
        "Never" => {}
        "OnFailure" if spec.pod_failure_policy.is_none() => {}
        "OnFailure" => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            faults.push(Cause::invalid(path, "OnFailure", detail));
        }
        other => faults.push(Cause::not_supported(path, other, &["OnFailure", "Never"])),
    }
    faults
}

fn completion_mode(spec: &JobSpec, path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let mut faults = vec![];
    let mode = spec.completion_mode.as_deref().unwrap_or("NonIndexed");
    if !matches!(mode, "NonIndexed" | "Indexed") {
        let modes = &["NonIndexed", "Indexed"];
        faults.push(Cause::not_supported(at("completionMode"), mode, modes));
    }
    if mode == "NonIndexed" {
        let detail = "requires indexed completion mode";
        let counts = [
            ("backoffLimitPerIndex", spec.backoff_limit_per_index),
            ("maxFailedIndexes", spec.max_failed_indexes),
        ];
        for (field, count) in counts {
            faults.extend(count.map(|count| Cause::invalid(at(field), count, detail)));
        }
    }
    if mode != "Indexed" {
        return faults;
    }
    if spec.completions.is_none() {
        faults.push(Cause::required(at("completions"), "when completion mode is Indexed"));
    }
    let mut bounded = |field: &str, count: Option<i32>, most: i32, further: &str| {
        if let Some(count) = count.filter(|count| *count > most) {
            let detail = format!("must be less than or equal to {most}{further}");
            faults.push(Cause::invalid(at(field), count, &detail));
        }
    };
    let further = " when completion mode is Indexed";
    bounded("parallelism", spec.parallelism, MAX_PARALLELISM_INDEXED, further);
    if let (Some(completions), Some(failed)) = (spec.completions, spec.max_failed_indexes)
        && failed > completions
    {
        let detail = "must be less than or equal to completions";
        faults.push(Cause::invalid(at("maxFailedIndexes"), failed, detail));
    }
    let mut bounded = |field: &str, count: Option<i32>, most: i32, further: &str| {
        if let Some(count) = count.filter(|count| *count > most) {
            let detail = format!("must be less than or equal to {most}{further}");
            faults.push(Cause::invalid(at(field), count, &detail));
        }
    };
    bounded("maxFailedIndexes", spec.max_failed_indexes, MAX_FAILED_INDEXES, "");
    let many = spec.completions.is_some_and(|count| count > MANY_COMPLETIONS);
    if many && spec.backoff_limit_per_index.is_some() {
        let further = format!(
            " when completions are above {MANY_COMPLETIONS} and used with backoff limit per index"
        );
        bounded("parallelism", spec.parallelism, MAX_PARALLELISM_OF_MANY, &further);
        bounded("maxFailedIndexes", spec.max_failed_indexes, MAX_FAILED_OF_MANY, &further);
        if spec.max_failed_indexes.is_none() {
            let detail = format!("must be specified when completions is above {MANY_COMPLETIONS}");
            faults.push(Cause::required(at("maxFailedIndexes"), &detail));
        }
    }
    faults
}

/// The faults of a change of a Job.
pub(crate) fn job_update(new: &Job, old: &Job) -> Vec<Cause> {
    let (Some(spec), Some(before)) = (&new.spec, &old.spec) else { return vec![] };
    let mut faults = vec![];
    if !is_indexed(spec) {
        faults.extend(immutable("spec.completions", &spec.completions, &before.completions));
    } else if spec.completions != before.completions
        && let Some(completions) = spec.completions
        && Some(completions) != spec.parallelism
    {
        let detail = "can only be modified in tandem with spec.parallelism";
        faults.push(Cause::invalid("spec.completions", completions, detail));
    }
    faults.extend(immutable("spec.selector", &spec.selector, &before.selector));
    let started = old.status.as_ref().is_some_and(|status| status.start_time.is_some());
    let allowed = if before.suspend == Some(true) && !started {
        rescheduled(&before.template, &spec.template)
    } else {
        before.template.clone()
    };
    faults.extend(immutable("spec.template", &spec.template, &allowed));
    let fields = [
        ("completionMode", json!(spec.completion_mode), json!(before.completion_mode)),
        ("podFailurePolicy", json!(spec.pod_failure_policy), json!(before.pod_failure_policy)),
        (
            "backoffLimitPerIndex",
            json!(spec.backoff_limit_per_index),
            json!(before.backoff_limit_per_index),
        ),
        ("managedBy", json!(spec.managed_by), json!(before.managed_by)),
        ("successPolicy", json!(spec.success_policy), json!(before.success_policy)),
    ];
    for (field, new, old) in fields {
        faults.extend(immutable::<Value>(&format!("spec.{field}"), &new, &old));
    }
    faults
}

/// The `old` template with that taken from the `new` which may change while nothing runs yet: where
/// the pods go.
fn rescheduled(old: &PodTemplateSpec, new: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = old.clone();
    let meta = template.metadata.get_or_insert_default();
    let wanted = new.metadata.clone().unwrap_or_default();
    meta.labels = wanted.labels;
    meta.annotations = wanted.annotations;
    if new.metadata.is_none() {
        template.metadata.take_if(|meta| *meta == Default::default());
    }
    let (Some(spec), Some(wanted)) = (&mut template.spec, &new.spec) else { return template };
    spec.node_selector.clone_from(&wanted.node_selector);
    spec.tolerations.clone_from(&wanted.tolerations);
    spec.scheduling_gates.clone_from(&wanted.scheduling_gates);
    let nodes = wanted.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    match (&mut spec.affinity, &wanted.affinity) {
        (Some(affinity), _) => {
            affinity.node_affinity = nodes;
            if wanted.affinity.is_none() && *affinity == Affinity::default() {
                spec.affinity = None;
            }
        }
        (affinity @ None, Some(_)) => {
            *affinity = Some(Affinity { node_affinity: nodes, ..Affinity::default() });
        }
        (None, None) => {}
    }
    template
}

#[cfg(test)]
mod tests;
