//! What a DaemonSet's status says, counted over nodes: pure.

use std::time::Duration;

use coracle_api::pods::{self, Availability};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::jiff::Timestamp;

use super::plan::{self, Places};
use crate::runner::Next;

/// The status that follows from what is where, and when it will change by the passing of time alone.
pub(super) fn calculate(
    set: &DaemonSet,
    places: &Places,
    hash: &str,
    collisions: i32,
    now: Timestamp,
) -> (DaemonSetStatus, Next) {
    let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let before = set.status.clone().unwrap_or_default();
    let (mut desired, mut current, mut misplaced) = (0, 0, 0);
    let (mut ready, mut available, mut updated) = (0, 0, 0);
    let mut soonest: Option<Duration> = None;
    for place in places.values() {
        let Some(verdict) = place.verdict else { continue };
        let mut pods = place.pods.clone();
        plan::by_age(&mut pods);
        if !verdict.run {
            misplaced += i32::from(!pods.is_empty());
            continue;
        }
        desired += 1;
        let Some(pod) = pods.first() else { continue };
        current += 1;
        ready += i32::from(pods::is_ready(pod));
        match pods::availability(pod, min_ready, now) {
            Availability::Yes => available += 1,
            Availability::After(missing) => {
                soonest = Some(soonest.map_or(missing, |soonest| soonest.min(missing)));
            }
            Availability::No => {}
        }
        updated += i32::from(plan::is_updated(pod, hash));
    }
    // Counts of nothing are not spelt out, as Kubernetes does not.
    let some = |number: i32| (number > 0).then_some(number);
    let status = DaemonSetStatus {
        observed_generation: set.metadata.generation,
        desired_number_scheduled: desired,
        current_number_scheduled: current,
        number_misscheduled: misplaced,
        number_ready: ready,
        updated_number_scheduled: some(updated),
        number_available: some(available),
        number_unavailable: some(desired - available),
        collision_count: some(collisions),
        conditions: before.conditions,
    };
    (status, soonest.map_or(Next::Wait, Next::After))
}
