//! What a pod prefers of a node, and a node of pods.

use super::normalize;
use crate::cluster::Place;
use crate::cycle::Cycle;
use crate::filters::taints;

/// The fewer taints ask the pod to stay away, the better.
pub(super) fn taints(cycle: &Cycle<'_>, places: &[Place<'_>]) -> Vec<i64> {
    let mut scores: Vec<_> = places.iter().map(|place| taints::unwelcome(cycle, place)).collect();
    normalize(&mut scores, true);
    scores
}

/// The more of the pod's preferences hold, the better.
pub(super) fn affinity(cycle: &Cycle<'_>, places: &[Place<'_>]) -> Vec<i64> {
    if !cycle.wishes.has_preferences() {
        return vec![0; places.len()];
    }
    let mut scores: Vec<_> = places.iter().map(|place| cycle.wishes.liking(place.facts)).collect();
    normalize(&mut scores, false);
    scores
}
