//! What a DaemonSet does next, node by node: pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::pods::{self, Availability};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;

use super::nodes::{self, Verdict};
use crate::history::REVISION_LABEL;
use crate::intstr::scaled;

/// A node, what is decided for it, and the pods that are on it or meant for it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// None if the node is not there (any more).
    pub(super) verdict: Option<Verdict>,
    pub(super) pods: Vec<Arc<Pod>>,
}

/// Places by the names of their nodes.
pub(super) type Places = BTreeMap<String, Place>;

impl Place {
    /// Whether the node is to have a pod.
    pub(super) fn wants(&self) -> bool {
        self.verdict.is_some_and(|verdict| verdict.run)
    }
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Todo {
    /// On which nodes a pod is made.
    pub(super) create: Vec<String>,
    pub(super) delete: Vec<Arc<Pod>>,
    /// What of it has failed or succeeded, on which node.
    pub(super) over: Vec<(String, Arc<Pod>)>,
    /// After which time a failed pod may be replaced.
    pub(super) again: Option<Duration>,
}

impl Todo {
    pub(super) fn is_nothing(&self) -> bool {
        self.create.is_empty() && self.delete.is_empty()
    }
}

/// What a set must know of itself to plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) surge: usize,
    pub(super) unavailable: usize,
    pub(super) min_ready: i32,
}

impl Bounds {
    /// The bounds of an update over as many nodes.
    pub(super) fn of(set: &DaemonSet, desired: usize) -> Self {
        let spec = set.spec.as_ref();
        let min_ready = spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let rolling = rolling.filter(|_| is_rolling(set));
        let total = i32::try_from(desired).unwrap_or(i32::MAX);
        let count = |value: Option<&IntOrString>| {
            value.map_or(0, |value| usize::try_from(scaled(value, total, true)).unwrap_or(0))
        };
        let surge = count(rolling.and_then(|rolling| rolling.max_surge.as_ref()));
        let unavailable = count(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()));
        // Were both nothing, the update could not move.
        let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
        Self { surge, unavailable, min_ready }
    }

    fn is_available(self, pod: &Pod, now: Timestamp) -> bool {
        matches!(pods::availability(pod, self.min_ready, now), Availability::Yes)
    }
}

pub(super) fn is_rolling(set: &DaemonSet) -> bool {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
}

/// Whether a pod is of the revision with this hash.
pub(super) fn is_updated(pod: &Pod, hash: &str) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(REVISION_LABEL)).is_some_and(|its| its == hash)
}

/// Those with a node first, then the oldest.
pub(super) fn by_age(pods: &mut [Arc<Pod>]) {
    pods.sort_by_cached_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (!nodes::is_placed(pod), created, pod.metadata.name.clone())
    });
}

/// Every node has what it should, and nothing else. `back_off` says for how long a node's failed pod is
/// still left alone.
pub(super) fn manage(
    places: &Places,
    hash: &str,
    bounds: Bounds,
    now: Timestamp,
    mut back_off: impl FnMut(&str) -> Option<Duration>,
) -> Todo {
    let mut todo = Todo::default();
    for (node, place) in places {
        let Some(verdict) = place.verdict else {
            // What waits for a node that is not there would wait for ever; what is on one is the pod
            // garbage collector's.
            let waiting = place.pods.iter().filter(|pod| !nodes::is_placed(pod));
            todo.delete.extend(waiting.filter(|pod| !pods::is_terminating(pod)).cloned());
            continue;
        };
        if verdict.run && place.pods.is_empty() {
            todo.create.push(node.clone());
        } else if verdict.keep {
            let mut running = Vec::new();
            for pod in place.pods.iter().filter(|pod| !pods::is_terminating(pod)) {
                if !pods::is_terminal(pod) {
                    running.push(pod.clone());
                    continue;
                }
                if pods::phase(pod) == "Failed"
                    && let Some(wait) = back_off(node)
                {
                    todo.again = Some(todo.again.map_or(wait, |again| again.min(wait)));
                    continue;
                }
                todo.over.push((node.clone(), pod.clone()));
                todo.delete.push(pod.clone());
            }
            by_age(&mut running);
            if bounds.surge == 0 {
                todo.delete.extend(running.into_iter().skip(1));
            } else if running.is_empty() {
                if verdict.run {
                    todo.create.push(node.clone());
                }
            } else {
                todo.delete.extend(surplus(running, hash, bounds, now));
            }
        } else {
            let staying = place.pods.iter().filter(|pod| !pods::is_terminating(pod));
            todo.delete.extend(staying.cloned());
        }
    }
    todo
}

/// Beside an old pod a new one may come up; which of them goes, once one must.
fn surplus(running: Vec<Arc<Pod>>, hash: &str, bounds: Bounds, now: Timestamp) -> Vec<Arc<Pod>> {
    let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|pod| is_updated(pod, hash));
    let mut going: Vec<_> = new.iter().skip(1).chain(old.iter().skip(1)).cloned().collect();
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!pods::is_ready(old) || bounds.is_available(new, now))
    {
        going.push(old.clone());
    }
    going
}

/// A new and an old pod.
type Pair<'a> = (Option<&'a Arc<Pod>>, Option<&'a Arc<Pod>>);

/// The new and the old pod of a place that has no more than one of each.
fn pair<'a>(place: &'a Place, hash: &str) -> Option<Pair<'a>> {
    let (mut new, mut old) = (None, None);
    for pod in &place.pods {
        let slot = if is_updated(pod, hash) { &mut new } else { &mut old };
        if slot.replace(pod).is_some() {
            return None;
        }
    }
    Some((new, old))
}

fn staying(pod: Option<&Arc<Pod>>) -> Option<&Arc<Pod>> {
    pod.filter(|pod| !pods::is_terminating(pod))
}

/// One step of a rolling update, where [`manage`] has nothing to do.
pub(super) fn roll(places: &Places, hash: &str, bounds: Bounds, now: Timestamp) -> Todo {
    // Places that neither have a pod nor want one count for nothing.
    let places = places
        .iter()
        .filter(|(_, place)| place.verdict.is_some() && (place.wants() || !place.pods.is_empty()));
    if bounds.surge == 0 {
        replace(places, hash, bounds, now)
    } else {
        surge(places, hash, bounds, now)
    }
}

/// Deletes old pods as far as availability permits; [`manage`] makes the new ones.
fn replace<'a>(
    places: impl Iterator<Item = (&'a String, &'a Place)>,
    hash: &str,
    bounds: Bounds,
    now: Timestamp,
) -> Todo {
    let mut unavailable = 0_usize;
    let mut todo = Todo::default();
    let mut candidates = Vec::new();
    for (_, place) in places {
        match pair(place, hash).map(|(new, old)| (staying(new), staying(old))) {
            Some((Some(new), None)) => {
                unavailable += usize::from(!bounds.is_available(new, now));
            }
            Some((None, Some(old))) => {
                if bounds.is_available(old, now) {
                    candidates.push(old.clone());
                } else {
                    // It serves nobody; replacing it costs nothing.
                    unavailable += 1;
                    todo.delete.push(old.clone());
                }
            }
            // On its way from one to the other.
            _ => unavailable += 1,
        }
    }
    candidates.truncate(bounds.unavailable.saturating_sub(unavailable));
    todo.delete.extend(candidates);
    todo
}

/// Makes new pods beside old ones as far as the surge permits; [`manage`] deletes the old ones.
fn surge<'a>(
    places: impl Iterator<Item = (&'a String, &'a Place)>,
    hash: &str,
    bounds: Bounds,
    now: Timestamp,
) -> Todo {
    let mut surging = 0_usize;
    let mut todo = Todo::default();
    let mut candidates = Vec::new();
    for (node, place) in places {
        let Some((new, old)) = pair(place, hash) else {
            surging += 1;
            continue;
        };
        match (new, staying(old)) {
            (_, None) => {}
            // What may not be here any more gets no successor.
            (None, Some(_)) if !place.wants() => {}
            (None, Some(old)) if bounds.is_available(old, now) => candidates.push(node.clone()),
            (None, Some(_)) => todo.create.push(node.clone()),
            (Some(new), Some(old)) if bounds.is_available(new, now) => {
                todo.delete.push(old.clone());
            }
            (Some(_), Some(_)) => surging += 1,
        }
    }
    candidates.truncate(bounds.surge.saturating_sub(surging));
    todo.create.extend(candidates);
    todo
}
