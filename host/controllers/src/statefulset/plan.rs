//! What a StatefulSet does next, from what there is: pure. One after the other, or all at once if the
//! set allows (`podManagementPolicy: Parallel`).

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::pods::{self, Availability};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;

use super::identity;
use crate::intstr::scaled;

/// How many pods one reconcile makes at most.
const BURST: usize = 500;

/// One thing to do.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The pod of this ordinal is made.
    Create(i64),
    /// The claims of a pod that waits are made if they are not there.
    Claims(Arc<Pod>),
    /// A member is given whatever it lacks of its identity.
    Keep(Arc<Pod>),
    /// The claims of a pod that goes are given the owner that they go with.
    Bequeath(Arc<Pod>),
    Delete(Arc<Pod>),
}

/// Whether pods are made and deleted without waiting for one another.
pub(super) fn is_parallel(set: &StatefulSet) -> bool {
    identity::spec(set).and_then(|spec| spec.pod_management_policy.as_deref()) == Some("Parallel")
}

/// How many ordinals, from the first, stay at their revision.
pub(super) fn partition(set: &StatefulSet) -> i64 {
    let strategy = identity::spec(set).and_then(|spec| spec.update_strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    rolling.and_then(|rolling| rolling.partition).map_or(0, i64::from)
}

pub(super) fn is_rolling(set: &StatefulSet) -> bool {
    let strategy = identity::spec(set).and_then(|spec| spec.update_strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
}

/// How many pods may be unavailable while they are updated; never none, or nothing would move.
fn max_unavailable(set: &StatefulSet) -> i64 {
    let strategy = identity::spec(set).and_then(|spec| spec.update_strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let one = IntOrString::Int(1);
    let value = rolling.and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&one);
    let replicas = i32::try_from(identity::replicas(set)).unwrap_or(i32::MAX);
    i64::from(scaled(value, replicas, false).max(1))
}

/// Makes a plan for the members among `pods`, which are updated to the revision `update`.
pub(super) struct Planner<'a> {
    set: &'a StatefulSet,
    update: &'a str,
    now: Timestamp,
    /// Those that should be there, by ordinal.
    members: BTreeMap<i64, Arc<Pod>>,
    /// Those that should not, by ordinal.
    condemned: BTreeMap<i64, Arc<Pod>>,
    steps: Vec<Step>,
}

/// Whether what comes after must wait.
type Blocked = bool;

/// The steps that are due, in their order.
pub(super) fn plan(
    set: &StatefulSet,
    pods: &[Arc<Pod>],
    update: &str,
    now: Timestamp,
) -> Vec<Step> {
    let named = pods.iter().filter_map(|pod| Some((identity::ordinal(set, pod)?, pod.clone())));
    let (members, condemned) = named.partition(|(ordinal, _)| identity::in_range(set, *ordinal));
    let mut planner = Planner { set, update, now, members, condemned, steps: Vec::new() };
    if !planner.fill() && !planner.shrink() && is_rolling(set) {
        planner.update();
    }
    planner.steps
}

impl Planner<'_> {
    fn min_ready(&self) -> i32 {
        identity::spec(self.set).and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn is_available(&self, pod: &Pod) -> bool {
        matches!(pods::availability(pod, self.min_ready(), self.now), Availability::Yes)
    }

    fn is_unavailable(&self, pod: &Pod) -> bool {
        !self.is_available(pod) || pods::is_terminating(pod)
    }

    /// Every ordinal has its pod, from the first on.
    fn fill(&mut self) -> Blocked {
        let parallel = is_parallel(self.set);
        let first = identity::start(self.set);
        let mut made = 0;
        for ordinal in first..first + identity::replicas(self.set) {
            let Some(pod) = self.members.get(&ordinal) else {
                self.steps.push(Step::Create(ordinal));
                made += 1;
                if parallel && made < BURST {
                    continue;
                }
                return true;
            };
            let pod = pod.clone();
            let (going, over) = (pods::is_terminating(&pod), pods::is_terminal(&pod));
            if over {
                // Made again when it is gone.
                if !going {
                    self.steps.push(Step::Delete(pod));
                }
                if parallel {
                    continue;
                }
                return true;
            }
            if pods::phase(&pod) == "Pending" {
                self.steps.push(Step::Claims(pod.clone()));
            }
            if !parallel {
                let running = pods::phase(&pod) == "Running" && pods::is_ready(&pod);
                if going || !running || !self.is_available(&pod) {
                    return true;
                }
            }
            self.steps.push(Step::Keep(pod));
        }
        false
    }

    /// What is too many goes, from the last.
    fn shrink(&mut self) -> Blocked {
        let parallel = is_parallel(self.set);
        let condemned: Vec<_> = self.condemned.values().rev().cloned().collect();
        let unhealthy = condemned.iter().rev().find(|pod| self.is_unavailable(pod)).cloned();
        self.steps.extend(condemned.iter().cloned().map(Step::Bequeath));
        for pod in condemned {
            if pods::is_terminating(&pod) {
                if parallel {
                    continue;
                }
                return true;
            }
            let ready = pods::phase(&pod) == "Running" && pods::is_ready(&pod);
            let healthy = ready && self.is_available(&pod);
            let first = unhealthy.as_ref().is_some_and(|first| Arc::ptr_eq(first, &pod));
            // While another pod is in trouble no healthy or later one is taken.
            if !parallel && !healthy && !first {
                return true;
            }
            self.steps.push(Step::Delete(pod));
            if !parallel {
                return true;
            }
        }
        false
    }

    /// Old pods go, from the last, as far as availability permits.
    fn update(&mut self) {
        let wanted = identity::replicas(self.set);
        let available = self.members.values().filter(|pod| !self.is_unavailable(pod)).count();
        let unavailable = wanted - i64::try_from(available).unwrap_or(i64::MAX);
        let mut left = max_unavailable(self.set) - unavailable;
        let least = identity::start(self.set) + partition(self.set);
        let old = self.members.range(least..).rev().map(|(_, pod)| pod).filter(|pod| {
            // What is over goes already.
            let over = pods::is_terminal(pod) || pods::is_terminating(pod);
            !over && identity::revision_of(pod) != self.update
        });
        let (broken, good): (Vec<_>, Vec<_>) =
            old.cloned().partition(|pod| self.is_unavailable(pod));
        // Replacing what is unavailable costs nothing. In order, nothing is: `fill` waited for it.
        self.steps.extend(broken.into_iter().map(Step::Delete));
        for pod in good {
            if left <= 0 {
                return;
            }
            left -= 1;
            self.steps.push(Step::Delete(pod));
        }
    }
}
