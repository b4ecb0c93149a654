//! How a job stands, by its status and its pods: what has succeeded and failed, and whether that is
//! the end. Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use coracle_api::conditions;
use coracle_api::pods as pod;
use k8s_openapi::api::batch::v1::{JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;

use super::backoff::Record;
use super::failure::{self, Action};
use super::indexes::Indexes;
use super::pods::{all_failures, failures, finished_at, has_failed, has_succeeded, is_tracked};
use super::pods::{index, uid, valid_index};
use super::spec::{FAILURE_TARGET, SUCCESS_CRITERIA_MET, is_indexed, is_suspended};
use super::success;

/// Why a job is over, or will be as soon as its pods are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) succeeded: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Ending {
    fn failure(reason: &str, message: impl Into<String>) -> Self {
        Self { succeeded: false, reason: reason.to_owned(), message: message.into() }
    }

    fn success(reason: &str, message: impl Into<String>) -> Self {
        Self { succeeded: true, ..Self::failure(reason, message) }
    }

    pub(super) fn completions_reached() -> Self {
        Self::success("CompletionsReached", "Reached expected number of succeeded pods")
    }

    /// The ending that was announced already.
    fn announced(status: &JobStatus) -> Option<Self> {
        let of = |type_: &str, succeeded: bool| {
            let condition = conditions::find(status.conditions.as_ref(), type_)?;
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let (reason, message) = (text(&condition.reason), text(&condition.message));
            (condition.status == "True").then_some(Self { succeeded, reason, message })
        };
        of(SUCCESS_CRITERIA_MET, true).or_else(|| of(FAILURE_TARGET, false))
    }
}

/// How a job stands.
#[derive(Debug)]
pub(super) struct Assessment {
    /// All its pods, by index.
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) active: Vec<Arc<Pod>>,
    pub(super) terminating: Vec<Arc<Pod>>,
    /// Pods that have succeeded; of an indexed job, indexes.
    pub(super) succeeded: i32,
    /// The indexes that the status knows of.
    pub(super) known_indexes: Indexes,
    pub(super) succeeded_indexes: Indexes,
    /// Only where indexes may fail each for itself.
    pub(super) failed_indexes: Option<Indexes>,
    /// By its index, the failed pod that stays until another takes its place and with it its count
    /// of failures.
    pub(super) predecessors: BTreeMap<i32, Arc<Pod>>,
    pub(super) backoff: Record,
    pub(super) ending: Option<Ending>,
    /// When the deadline will have passed.
    pub(super) deadline_in: Option<Duration>,
}

/// Judges a job that began at `start`.
pub(super) fn assess(
    spec: &JobSpec,
    status: &JobStatus,
    start: Option<Timestamp>,
    mut pods: Vec<Arc<Pod>>,
    backoff: Record,
    now: Timestamp,
) -> Assessment {
    pods.sort_by_key(|pod| index(pod));
    let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    let known: HashSet<&String> =
        uncounted.succeeded.iter().chain(&uncounted.failed).flatten().collect();
    let fresh = |pod: &Arc<Pod>| {
        let counts = !is_indexed(spec) || valid_index(pod, spec).is_some();
        is_tracked(pod) && counts && !known.contains(&uid(pod).to_owned())
    };
    let only = |test: &dyn Fn(&Pod) -> bool| -> Vec<Arc<Pod>> {
        pods.iter().filter(|pod| test(pod)).cloned().collect()
    };
    let new = |test: &dyn Fn(&Pod) -> bool| -> Vec<Arc<Pod>> {
        pods.iter().filter(|pod| fresh(pod) && test(pod)).cloned().collect()
    };
    let new_succeeded = new(&has_succeeded);
    let new_failed = new(&|pod| has_failed(pod, spec));
    let policy = spec.pod_failure_policy.as_ref();
    let counted = new_failed.iter().filter(|pod| failure::action(policy, pod).counts());
    let length = |list: &Option<Vec<String>>| count(list.as_ref().map_or(0, Vec::len));
    let failed = status.failed.unwrap_or(0) + count(counted.count()) + length(&uncounted.failed);

    let mut assessment = Assessment {
        active: only(&pod::is_active),
        terminating: only(&|pod| pod::is_terminating(pod) && !pod::is_terminal(pod)),
        succeeded: status.succeeded.unwrap_or(0)
            + count(new_succeeded.len())
            + length(&uncounted.succeeded),
        known_indexes: Indexes::default(),
        succeeded_indexes: Indexes::default(),
        failed_indexes: None,
        predecessors: BTreeMap::new(),
        backoff: backoff.after(&new_succeeded, &new_failed),
        ending: Ending::announced(status).or_else(|| fails_by_policy(spec, &pods)),
        deadline_in: None,
        pods,
    };
    if assessment.ending.is_none() {
        assessment.limits(spec, start, failed, now);
    }
    if is_indexed(spec) {
        assessment.judge_indexes(spec, status);
    }
    assessment
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Whether the failure policy says of some pod that the job has failed.
fn fails_by_policy(spec: &JobSpec, pods: &[Arc<Pod>]) -> Option<Ending> {
    let policy = Some(spec.pod_failure_policy.as_ref()?);
    let failed = pods.iter().filter(|pod| has_failed(pod, spec));
    let mut messages = failed.filter_map(|pod| match failure::action(policy, pod) {
        Action::FailJob(message) => Some(message),
        _ => None,
    });
    Some(Ending::failure("PodFailurePolicy", messages.next()?))
}

/// Whether containers that are restarted in place were restarted too often.
fn restarted_too_often(spec: &JobSpec, pods: &[Arc<Pod>], limit: i32) -> bool {
    let template = spec.template.spec.as_ref();
    if template.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
        return false;
    }
    let restarts = |list: &Option<Vec<ContainerStatus>>| -> i64 {
        list.iter().flatten().map(|container| i64::from(container.restart_count)).sum()
    };
    let live = pods.iter().filter(|pod| matches!(pod::phase(pod), "Running" | "Pending"));
    let total: i64 = live
        .filter_map(|pod| pod.status.as_ref())
        .map(|status| {
            restarts(&status.init_container_statuses) + restarts(&status.container_statuses)
        })
        .sum();
    total >= i64::from(limit).max(1)
}

impl Assessment {
    /// The limits on failures and time.
    fn limits(&mut self, spec: &JobSpec, start: Option<Timestamp>, failed: i32, now: Timestamp) {
        let limit = spec.backoff_limit.unwrap_or(6);
        if failed > limit || restarted_too_often(spec, &self.pods, limit) {
            let message = "Job has reached the specified backoff limit";
            self.ending = Some(Ending::failure("BackoffLimitExceeded", message));
            return;
        }
        let (Some(seconds), Some(start)) = (spec.active_deadline_seconds, start) else { return };
        if is_suspended(spec) {
            return;
        }
        let allowed = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let passed = Duration::try_from(now.duration_since(start)).unwrap_or_default();
        if passed >= allowed {
            let message = "Job was active longer than specified deadline";
            self.ending = Some(Ending::failure("DeadlineExceeded", message));
        } else {
            self.deadline_in = Some(allowed - passed);
        }
    }

    fn judge_indexes(&mut self, spec: &JobSpec, status: &JobStatus) {
        let completions = spec.completions.unwrap_or(0);
        let done = status.completed_indexes.as_deref().unwrap_or_default();
        self.known_indexes = Indexes::parse(done, completions);
        let tracked = |pod: &&Arc<Pod>| is_tracked(pod);
        let succeeded = self.pods.iter().filter(tracked).filter(|pod| has_succeeded(pod));
        let succeeded = succeeded.filter_map(|pod| valid_index(pod, spec)).collect();
        self.succeeded_indexes = self.known_indexes.with(&succeeded);
        self.succeeded = self.succeeded_indexes.count();

        if let Some(limit) = spec.backoff_limit_per_index {
            let failed = self.pods.iter().filter(tracked);
            let failed = failed.filter(|pod| index_has_failed(pod, spec, limit));
            let failed: BTreeSet<_> = failed.filter_map(|pod| valid_index(pod, spec)).collect();
            let known = status.failed_indexes.as_deref().unwrap_or_default();
            let failed = Indexes::parse(known, completions).with(&failed);
            if self.ending.is_none() {
                self.ending = self.too_many(spec, &failed);
            }
            self.predecessors = self.predecessors(spec, &failed);
            self.failed_indexes = Some(failed);
        }
        if self.ending.is_none() {
            let policy = spec.success_policy.as_ref();
            self.ending = success::is_met(policy, completions, &self.succeeded_indexes)
                .map(|message| Ending::success("SuccessPolicy", message));
        }
    }

    fn too_many(&self, spec: &JobSpec, failed: &Indexes) -> Option<Ending> {
        let count = failed.count();
        if spec.max_failed_indexes.is_some_and(|most| count > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(Ending::failure("MaxFailedIndexesExceeded", message));
        }
        let all = count + self.succeeded_indexes.count() >= spec.completions.unwrap_or(0);
        (count > 0 && all).then(|| Ending::failure("FailedIndexes", "Job has failed indexes"))
    }

    /// Of each index that is to be tried again, the pod that failed last.
    fn predecessors(&self, spec: &JobSpec, failed: &Indexes) -> BTreeMap<i32, Arc<Pod>> {
        let active: BTreeSet<_> = self.active.iter().filter_map(|pod| index(pod)).collect();
        let mut last: BTreeMap<i32, Arc<Pod>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| is_tracked(pod) && has_failed(pod, spec)) {
            let Some(index) = valid_index(pod, spec) else { continue };
            if self.succeeded_indexes.has(index) || failed.has(index) || active.contains(&index) {
                continue;
            }
            let rank = |pod: &Pod| (all_failures(pod), finished_at(pod));
            if last.get(&index).is_none_or(|other| rank(other) <= rank(pod)) {
                last.insert(index, pod.clone());
            }
        }
        last
    }
}

/// Whether the pod was its index's last try.
fn index_has_failed(pod: &Pod, spec: &JobSpec, limit: i32) -> bool {
    if !has_failed(pod, spec) {
        return false;
    }
    match failure::action(spec.pod_failure_policy.as_ref(), pod) {
        Action::FailIndex => true,
        action => action.counts() && failures(pod) >= limit,
    }
}
