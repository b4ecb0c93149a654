//! One decision: which node a pod goes to, or why to none. Pure, over the cluster as it is known.

use std::collections::BTreeMap;

use coracle_api::dice;
use k8s_openapi::api::core::v1::Toleration;

use crate::cluster::{Cluster, Place};
use crate::filters::affinity::Wishes;
use crate::filters::interpod::{self, Neighbours};
use crate::filters::spread::{self, Constraint};
use crate::filters::{FILTERS, Reason};
use crate::pod::Pending;
use crate::queue::Wake;
use crate::scores::SCORES;

/// What is computed once for a pod and asked of every node.
pub(crate) struct Cycle<'a> {
    pub(crate) pod: &'a Pending,
    pub(crate) wishes: Wishes,
    pub(crate) spread: Vec<Constraint>,
    pub(crate) neighbours: Neighbours,
}

impl<'a> Cycle<'a> {
    pub(crate) fn new(pod: &'a Pending, cluster: &Cluster) -> Self {
        let wishes = pod.spec().map(Wishes::of).unwrap_or_default();
        let mut cycle = Self { pod, wishes, spread: Vec::new(), neighbours: Neighbours::default() };
        cycle.spread = spread::constraints(&cycle, cluster);
        cycle.neighbours = interpod::neighbours(pod, cluster);
        cycle
    }

    pub(crate) fn tolerations(&self) -> &[Toleration] {
        let tolerations = self.pod.spec().and_then(|spec| spec.tolerations.as_deref());
        tolerations.unwrap_or_default()
    }
}

/// Why no node takes a pod.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unschedulable {
    /// In Kubernetes' words.
    pub(crate) message: String,
    /// What may change it.
    pub(crate) wakes: Wake,
}

/// The node for `pod`.
pub(crate) fn decide(pod: &Pending, cluster: &Cluster) -> Result<String, Unschedulable> {
    let cycle = Cycle::new(pod, cluster);
    let mut feasible: Vec<Place<'_>> = Vec::new();
    let mut against: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut wakes = Wake::NODE_ADDED;
    let mut nodes = 0;
    'nodes: for place in cluster.nodes() {
        nodes += 1;
        for filter in FILTERS {
            let reasons = (filter.refuse)(&cycle, &place);
            if !reasons.is_empty() {
                wakes = wakes | filter.wakes;
                for reason in reasons {
                    *against.entry(reason).or_default() += 1;
                }
                continue 'nodes;
            }
        }
        feasible.push(place);
    }
    if feasible.is_empty() {
        return Err(Unschedulable { message: message(nodes, &against), wakes });
    }
    Ok(best(&cycle, &feasible))
}

fn message(nodes: usize, against: &BTreeMap<Reason, usize>) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let mut reasons: Vec<_> =
        against.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    format!("0/{nodes} nodes are available: {}.", reasons.join(", "))
}

fn best(cycle: &Cycle<'_>, feasible: &[Place<'_>]) -> String {
    let name = |place: &Place<'_>| place.facts.name.clone();
    if let [only] = feasible {
        return name(only);
    }
    let mut totals = vec![0_i64; feasible.len()];
    for score in SCORES {
        for (total, score_here) in totals.iter_mut().zip((score.of)(cycle, feasible)) {
            *total += score.weight * score_here;
        }
    }
    let highest = totals.iter().copied().max().unwrap_or(0);
    let winners: Vec<_> =
        feasible.iter().zip(&totals).filter(|(_, total)| **total == highest).collect();
    winners.get(dice::below(winners.len())).map(|(place, _)| name(place)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
