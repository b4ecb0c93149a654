//! What a pod prefers of a node, and a node of pods.

use super::{BEST, normalize};
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

/// The more of the pods it likes are near, and the fewer it does not, the better.
pub(super) fn neighbours(cycle: &Cycle<'_>, places: &[Place<'_>]) -> Vec<i64> {
    if !cycle.neighbours.has_preferences() {
        return vec![0; places.len()];
    }
    let likings: Vec<_> = places.iter().map(|place| cycle.neighbours.liking(place.facts)).collect();
    let most = likings.iter().copied().max().unwrap_or(0);
    let least = likings.iter().copied().min().unwrap_or(0);
    let scale =
        |liking: i64| if most == least { 0 } else { BEST * (liking - least) / (most - least) };
    likings.into_iter().map(scale).collect()
}
