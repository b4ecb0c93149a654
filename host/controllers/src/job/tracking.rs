//! Counting each pod once, whatever fails in between: a pod that is over is first noted in the
//! status, then loses the finalizer that kept it, and only then counts.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::assess::{Assessment, Ending};
use super::failure;
use super::pods::{FINALIZER, has_failed, has_succeeded, is_tracked, uid, valid_index};
use super::spec::is_indexed;
use crate::context::Context;
use crate::error::{Result, While};

/// How many pods are noted at once, so that a status stays small and no job keeps others waiting.
const MOST_UNCOUNTED: usize = 500;

/// The pods that may go once the status is written.
pub(super) struct Noted {
    pub(super) release: Vec<Arc<Pod>>,
    /// Whether there are more than were noted.
    pub(super) is_capped: bool,
}

/// The uids of the pods that still have their finalizer.
pub(super) fn held(pods: &[Arc<Pod>]) -> HashSet<String> {
    pods.iter().filter(|pod| is_tracked(pod)).map(|pod| uid(pod).to_owned()).collect()
}

/// Counts what was noted and is no longer `held`.
pub(super) fn settle(status: &mut JobStatus, held: &HashSet<String>) {
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    let counters = [
        (&mut uncounted.succeeded, &mut status.succeeded),
        (&mut uncounted.failed, &mut status.failed),
    ];
    for (noted, counter) in counters {
        let Some(pods) = noted else { continue };
        let before = pods.len();
        pods.retain(|pod| held.contains(pod));
        let gone = i32::try_from(before - pods.len()).unwrap_or(i32::MAX);
        if pods.is_empty() {
            *noted = None;
        }
        if gone > 0 {
            *counter = Some(counter.unwrap_or(0).saturating_add(gone));
        }
    }
}

/// Notes in `status` the pods that are over.
pub(super) fn note(
    status: &mut JobStatus,
    spec: &JobSpec,
    is_leaving: bool,
    assessment: &Assessment,
    ending: Option<&Ending>,
) -> Noted {
    let indexed = is_indexed(spec);
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    let succeeded = uncounted.succeeded.get_or_insert_default();
    let failed = uncounted.failed.get_or_insert_default();
    let mut known: HashSet<String> = succeeded.iter().chain(&*failed).cloned().collect();
    let mut release = Vec::new();
    let mut new_indexes = 0;
    let mut is_capped = false;
    for pod in assessment.pods.iter().filter(|pod| is_tracked(pod)) {
        let is_failed = has_failed(pod, spec);
        let is_over = has_succeeded(pod) || is_failed && !is_predecessor(assessment, spec, pod);
        if !is_leaving && ending.is_none() && !is_over {
            continue;
        }
        release.push(pod.clone());
        let index = valid_index(pod, spec);
        let is_new = known.insert(uid(pod).to_owned()) && (!indexed || index.is_some());
        if has_succeeded(pod) && indexed {
            // The index says enough: there is no counting it twice.
            let known = index.is_none_or(|index| assessment.known_indexes.has(index));
            new_indexes += usize::from(!known);
        } else if has_succeeded(pod) {
            succeeded.extend(is_new.then(|| uid(pod).to_owned()));
        } else if is_failed || ending.is_some_and(|ending| !ending.succeeded) {
            // With a job that fails everything fails that has not ended.
            let counts = failure::action(spec.pod_failure_policy.as_ref(), pod).counts();
            failed.extend((is_new && counts).then(|| uid(pod).to_owned()));
        }
        if new_indexes + succeeded.len() + failed.len() >= MOST_UNCOUNTED {
            is_capped = true;
            break;
        }
    }
    for list in [&mut uncounted.succeeded, &mut uncounted.failed] {
        list.take_if(|pods| pods.is_empty());
    }
    if indexed {
        let done = assessment.succeeded_indexes.to_string();
        status.succeeded = Some(assessment.succeeded).filter(|count| *count > 0);
        status.completed_indexes = (!done.is_empty()).then_some(done);
        status.failed_indexes = assessment.failed_indexes.as_ref().map(ToString::to_string);
    }
    Noted { release, is_capped }
}

/// Whether the pod stays until another takes over its count of failures.
fn is_predecessor(assessment: &Assessment, spec: &JobSpec, pod: &Pod) -> bool {
    let index = valid_index(pod, spec);
    let held = index.and_then(|index| assessment.predecessors.get(&index));
    held.is_some_and(|held| uid(held) == uid(pod))
}

/// Takes a pod's finalizer away.
pub(super) async fn release(context: &Context, pod: &Pod) -> Result<()> {
    if !is_tracked(pod) {
        return Ok(());
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let api = Api::<Pod>::namespaced(context.client.clone(), namespace);
    let patch = json!({"metadata": {
        "uid": uid(pod), "$deleteFromPrimitiveList/finalizers": [FINALIZER],
    }});
    let patched = api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    match patched.doing("letting a pod go that is counted") {
        Ok(patched) => {
            context.informers.pods.observe(patched);
            Ok(())
        }
        Err(error) if error.is_not_found() => {
            context.informers.pods.forget(pod);
            Ok(())
        }
        Err(error) => Err(error),
    }
}
