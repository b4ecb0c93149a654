//! Which pods a job needs more, and which it has too many of: [`plan`] says it, the rest does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodTemplateSpec,
};
use k8s_openapi::jiff::Timestamp;

use super::assess::Assessment;
use super::backoff::Record;
use super::failure;
use super::pods::{
    FAILURES, FINALIZER, IGNORED_FAILURES, INDEX, failures, ignored_failures, index,
};
use super::spec::{is_indexed, is_suspended, replaces_only_failed};
use super::tracking;
use crate::context::Context;
use crate::error::{Result, all};
use crate::podcontrol::{self, BURST};
use crate::ranking;

const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The longest beginning of a generated name.
const LONGEST_NAME: usize = 58;

/// What is to be done about the number of pods.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    Nothing,
    Delete(Vec<Arc<Pod>>),
    /// So many more pods.
    Create(usize),
    /// A pod for each of these indexes.
    CreateIndexes(Vec<i32>),
    /// Pods are missing, but failures put them off.
    Wait(Duration),
}

pub(super) fn plan(spec: &JobSpec, assessment: &Assessment, now: Timestamp) -> Plan {
    let active = assessment.active.len();
    if is_suspended(spec) {
        return deletion(surplus(spec, assessment, active, now));
    }
    let parallelism = spec.parallelism.unwrap_or(1);
    let wanted = match spec.completions {
        Some(completions) => (completions - assessment.succeeded).min(parallelism),
        // Once a pod has succeeded the others may end, but are not replaced.
        None if assessment.succeeded > 0 => i32::try_from(active).unwrap_or(i32::MAX),
        None => parallelism,
    };
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let mut surplus = surplus(spec, assessment, active.saturating_sub(wanted), now);
    if !surplus.is_empty() {
        surplus.truncate(BURST);
        return deletion(surplus);
    }
    let leaving = if replaces_only_failed(spec) { assessment.terminating.len() } else { 0 };
    let missing = wanted.saturating_sub(active + leaving).min(BURST);
    if missing == 0 {
        return Plan::Nothing;
    }
    if spec.backoff_limit_per_index.is_some() {
        return indexes_now(spec, assessment, missing, now);
    }
    let remaining = assessment.backoff.remaining(now);
    if !remaining.is_zero() {
        Plan::Wait(remaining)
    } else if is_indexed(spec) {
        creation(pending(spec, assessment, missing))
    } else {
        Plan::Create(missing)
    }
}

fn deletion(pods: Vec<Arc<Pod>>) -> Plan {
    if pods.is_empty() { Plan::Nothing } else { Plan::Delete(pods) }
}

fn creation(indexes: Vec<i32>) -> Plan {
    if indexes.is_empty() { Plan::Nothing } else { Plan::CreateIndexes(indexes) }
}

/// Those of the pending indexes whose own wait is over.
fn indexes_now(spec: &JobSpec, assessment: &Assessment, missing: usize, now: Timestamp) -> Plan {
    let mut soonest: Option<Duration> = None;
    let mut indexes = pending(spec, assessment, missing);
    indexes.retain(|index| {
        let last = assessment.predecessors.get(index);
        let remaining = last.map_or(Duration::ZERO, |pod| Record::of_index(pod).remaining(now));
        if !remaining.is_zero() {
            soonest = Some(soonest.map_or(remaining, |soonest| soonest.min(remaining)));
        }
        remaining.is_zero()
    });
    match soonest {
        Some(soonest) if indexes.is_empty() => Plan::Wait(soonest),
        _ => creation(indexes),
    }
}

/// The first indexes that no pod has worked on, or does.
fn pending(spec: &JobSpec, assessment: &Assessment, count: usize) -> Vec<i32> {
    let mut busy: BTreeSet<_> = assessment.active.iter().filter_map(|pod| index(pod)).collect();
    if replaces_only_failed(spec) {
        busy.extend(assessment.terminating.iter().filter_map(|pod| index(pod)));
    }
    let mut taken = assessment.succeeded_indexes.with(&busy);
    if let Some(failed) = &assessment.failed_indexes {
        taken = taken.merged(failed);
    }
    taken.missing(count, spec.completions.unwrap_or(0))
}

/// The active pods to delete: of an indexed job those without an index of its own, then as many as
/// it takes for `at_least`.
fn surplus(
    spec: &JobSpec,
    assessment: &Assessment,
    at_least: usize,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    let (mut surplus, mut left) = (Vec::new(), Vec::new());
    if is_indexed(spec) {
        let mut by_index: BTreeMap<i32, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in &assessment.active {
            match super::pods::valid_index(pod, spec) {
                Some(index) => by_index.entry(index).or_default().push(pod.clone()),
                None => surplus.push(pod.clone()),
            }
        }
        for pods in by_index.into_values() {
            let mut ranked = ranking::victims(&pods, &[], pods.len(), now);
            left.extend(ranked.pop());
            surplus.append(&mut ranked);
        }
    } else {
        left.clone_from(&assessment.active);
    }
    let more = at_least.saturating_sub(surplus.len());
    surplus.extend(ranking::victims(&left, &[], more, now));
    surplus
}

/// Does what was planned.
pub(super) async fn carry_out(
    context: &Context,
    job: &Job,
    spec: &JobSpec,
    assessment: &Assessment,
    plan: Plan,
) -> Result<()> {
    match plan {
        Plan::Nothing | Plan::Wait(_) => Ok(()),
        Plan::Delete(pods) => delete(context, job, &pods).await,
        Plan::Create(count) => {
            let pod = new_pod(job, spec, None, None);
            podcontrol::create_slowly(context, job, &vec![pod; count]).await
        }
        Plan::CreateIndexes(indexes) => {
            let new = |index: &i32| {
                new_pod(
                    job,
                    spec,
                    Some(*index),
                    assessment.predecessors.get(index).map(|pod| &**pod),
                )
            };
            let pods: Vec<_> = indexes.iter().map(new).collect();
            podcontrol::create_slowly(context, job, &pods).await
        }
    }
}

/// Deletes pods that are not to be counted.
async fn delete(context: &Context, job: &Job, pods: &[Arc<Pod>]) -> Result<()> {
    let deleted = pods.iter().map(async |pod| {
        tracking::release(context, pod).await?;
        podcontrol::delete(context, job, pod).await
    });
    all(join_all(deleted).await)?;
    Ok(())
}

/// The pod for an index, or for none; `predecessor` is the one that failed before it.
fn new_pod(job: &Job, spec: &JobSpec, index: Option<i32>, predecessor: Option<&Pod>) -> Pod {
    let mut template = spec.template.clone();
    if is_indexed(spec) {
        add_index_variable(&mut template);
    }
    let mut pod = podcontrol::from_template(job, &template);
    let metadata = &mut pod.metadata;
    let finalizers = metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    let Some(index) = index else { return pod };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    metadata.generate_name = Some(generate_name(name, index));
    metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), index.to_string());
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.to_string());
    if spec.backoff_limit_per_index.is_some() {
        let (counted, ignored) = failures_before(spec, predecessor);
        annotations.insert(FAILURES.to_owned(), counted.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED_FAILURES.to_owned(), ignored.to_string());
        }
    }
    if let Some(spec) = &mut pod.spec {
        spec.hostname = Some(format!("{name}-{index}"));
    }
    pod
}

fn generate_name(job: &str, index: i32) -> String {
    let end = format!("-{index}-");
    let room = LONGEST_NAME - end.len();
    // Names are ASCII.
    format!("{}{end}", job.get(..room).unwrap_or(job))
}

/// How often an index has failed, counted and not, once `last` is replaced.
fn failures_before(spec: &JobSpec, last: Option<&Pod>) -> (i32, i32) {
    let Some(last) = last else { return (0, 0) };
    let (counted, ignored) = (failures(last), ignored_failures(last));
    if failure::action(spec.pod_failure_policy.as_ref(), last).counts() {
        (counted.saturating_add(1), ignored)
    } else {
        (counted, ignored.saturating_add(1))
    }
}

fn add_index_variable(template: &mut PodTemplateSpec) {
    let Some(spec) = &mut template.spec else { return };
    let add = |container: &mut Container| {
        let variables = container.env.get_or_insert_default();
        if variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
            return;
        }
        let field = ObjectFieldSelector {
            field_path: format!("metadata.labels['{INDEX}']"),
            ..ObjectFieldSelector::default()
        };
        let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
        variables.push(EnvVar {
            name: INDEX_VARIABLE.to_owned(),
            value_from: Some(source),
            ..EnvVar::default()
        });
    };
    spec.init_containers.iter_mut().flatten().for_each(add);
    spec.containers.iter_mut().for_each(add);
}
