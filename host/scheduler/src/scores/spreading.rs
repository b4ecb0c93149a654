//! Spreading over nodes and zones: by the pod's own soft constraints, or, if it has none, among the
//! pods of the same controller.

use std::collections::HashMap;

use super::BEST;
use crate::cluster::Place;
use crate::cycle::Cycle;

/// The skew that siblings may have between nodes, and between zones.
const NODE_SKEW: i64 = 3;
const ZONE_SKEW: i64 = 5;

/// By the pod's own soft constraints.
pub(super) fn constraints(cycle: &Cycle<'_>, places: &[Place<'_>]) -> Vec<i64> {
    let soft: Vec<_> = cycle.spread.iter().filter(|constraint| !constraint.hard).collect();
    if soft.is_empty() {
        return vec![0; places.len()];
    }
    let crowd = |place: &Place<'_>| -> Option<f64> {
        soft.iter()
            .map(|constraint| {
                let here = constraint.at(place.facts)?;
                Some(weigh(here, constraint.counts.len(), constraint.max_skew))
            })
            .sum()
    };
    rank(&places.iter().map(crowd).collect::<Vec<_>>())
}

/// Among pods of the same controller.
pub(super) fn siblings(cycle: &Cycle<'_>, places: &[Place<'_>]) -> Vec<i64> {
    let Some(owner) = cycle.pod.info.owner.as_deref().filter(|_| cycle.spread.is_empty()) else {
        return vec![0; places.len()];
    };
    let mut zones: HashMap<&String, i64> = HashMap::new();
    for place in places {
        if let Some(zone) = place.facts.zone() {
            *zones.entry(zone).or_default() += place.info.owned_by(owner);
        }
    }
    let crowd = |place: &Place<'_>| {
        let mut crowd = weigh(place.info.owned_by(owner), places.len(), NODE_SKEW);
        if let Some(zone) = place.facts.zone() {
            crowd += weigh(zones.get(zone).copied().unwrap_or(0), zones.len(), ZONE_SKEW);
        }
        Some(crowd)
    };
    rank(&places.iter().map(crowd).collect::<Vec<_>>())
}

/// Pods in a domain, weighing more the more domains there are.
fn weigh(count: i64, domains: usize, max_skew: i64) -> f64 {
    // Counts of pods and domains are far below what a float holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let weighed = count as f64 * (domains as f64 + 2.0).ln() + (max_skew - 1) as f64;
    weighed
}

/// The least crowded gets the most; a node in no domain nothing.
fn rank(crowds: &[Option<f64>]) -> Vec<i64> {
    let known = || crowds.iter().flatten().copied();
    let most = known().fold(f64::NEG_INFINITY, f64::max);
    let least = known().fold(f64::INFINITY, f64::min);
    let score = |crowd: &Option<f64>| match crowd {
        None => 0,
        Some(_) if most <= 0.0 => BEST,
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 100")]
        #[expect(clippy::cast_precision_loss, reason = "100")]
        Some(crowd) => (BEST as f64 * (most + least - crowd) / most) as i64,
    };
    crowds.iter().map(score).collect()
}
