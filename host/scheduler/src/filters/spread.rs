//! Topology spread constraints: how evenly pods of a kind are to be spread over zones, nodes, ...

use std::collections::{BTreeMap, BTreeSet};

use coracle_api::selector::Selector;
use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use super::{Reason, taints};
use crate::cluster::{Cluster, NodeFacts, Place};
use crate::cycle::Cycle;
use crate::pod::Pending;

/// A constraint with the pods it counts.
pub(crate) struct Constraint {
    pub(crate) key: String,
    pub(crate) max_skew: i64,
    pub(crate) hard: bool,
    /// Whether the pod itself is one of those counted.
    counts_self: bool,
    min_domains: usize,
    pub(crate) counts: BTreeMap<String, i64>,
    keys: BTreeSet<String>,
}

/// The constraints of the pod of `cycle`, with present counts.
pub(crate) fn constraints(cycle: &Cycle<'_>, cluster: &Cluster) -> Vec<Constraint> {
    let declared = cycle.pod.spec().and_then(|spec| spec.topology_spread_constraints.as_ref());
    let Some(declared) = declared else { return Vec::new() };
    let hard = |one: &TopologySpreadConstraint| one.when_unsatisfiable != "ScheduleAnyway";
    let keys_of = |of_hard: bool| {
        let same = declared.iter().filter(|one| hard(one) == of_hard);
        same.map(|one| one.topology_key.clone()).collect::<BTreeSet<_>>()
    };
    declared.iter().map(|one| count(cycle, cluster, one, hard(one), keys_of(hard(one)))).collect()
}

fn count(
    cycle: &Cycle<'_>,
    cluster: &Cluster,
    declared: &TopologySpreadConstraint,
    hard: bool,
    keys: BTreeSet<String>,
) -> Constraint {
    let selector = selector_of(cycle.pod, declared);
    let matches = |labels: &BTreeMap<String, String>| {
        selector.as_ref().is_some_and(|selector| selector.matches(labels))
    };
    let honours = |policy: &Option<String>, default: bool| {
        policy.as_deref().map_or(default, |policy| policy == "Honor")
    };
    let mut counts = BTreeMap::new();
    for place in cluster.nodes() {
        let complete = keys.iter().all(|key| place.facts.labels.contains_key(key));
        let Some(domain) = place.facts.labels.get(&declared.topology_key) else { continue };
        if !complete
            || (honours(&declared.node_affinity_policy, true) && !cycle.wishes.admit(place.facts))
            || (honours(&declared.node_taints_policy, false)
                && !taints::bears(cycle, &place.facts.taints))
        {
            continue;
        }
        let here = place.info.pods.values().filter(|pod| {
            !pod.terminating
                && pod.key.namespace == cycle.pod.info.key.namespace
                && matches(&pod.labels)
        });
        let here = i64::try_from(here.count()).unwrap_or(i64::MAX);
        *counts.entry(domain.clone()).or_default() += here;
    }
    Constraint {
        key: declared.topology_key.clone(),
        max_skew: i64::from(declared.max_skew),
        hard,
        counts_self: matches(&cycle.pod.info.labels),
        min_domains: declared.min_domains.and_then(|one| usize::try_from(one).ok()).unwrap_or(1),
        counts,
        keys,
    }
}

/// The selector of a constraint with `matchLabelKeys` taken from the pod; none selects nothing.
fn selector_of(pod: &Pending, declared: &TopologySpreadConstraint) -> Option<Selector> {
    let mut selector = declared.label_selector.clone()?;
    for key in declared.match_label_keys.iter().flatten() {
        if let Some(value) = pod.info.labels.get(key) {
            selector.match_labels.get_or_insert_default().insert(key.clone(), value.clone());
        }
    }
    Selector::try_from(&selector).ok()
}

impl Constraint {
    /// How many of the counted pods are in the domain of `node`; none if it is in no domain.
    pub(crate) fn at(&self, node: &NodeFacts) -> Option<i64> {
        if !self.keys.iter().all(|key| node.labels.contains_key(key)) {
            return None;
        }
        let domain = node.labels.get(&self.key)?;
        Some(self.counts.get(domain).copied().unwrap_or(0))
    }

    fn least(&self) -> i64 {
        if self.counts.len() < self.min_domains {
            return 0;
        }
        self.counts.values().copied().min().unwrap_or(0)
    }
}

pub(super) fn refuse(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    const SKEWED: &str = "node(s) didn't match pod topology spread constraints";
    for constraint in cycle.spread.iter().filter(|constraint| constraint.hard) {
        let Some(here) = constraint.at(place.facts) else {
            return vec![format!("{SKEWED} (missing required label)").into()];
        };
        let skew = here + i64::from(constraint.counts_self) - constraint.least();
        if skew > constraint.max_skew {
            return vec![SKEWED.into()];
        }
    }
    Vec::new()
}
