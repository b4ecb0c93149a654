//! Pods that must, or must not, be near certain others.

use std::collections::{BTreeMap, BTreeSet};

use coracle_api::selector::Selector;
use k8s_openapi::api::core::v1::{PodAffinityTerm, WeightedPodAffinityTerm};

use super::Reason;
use crate::cluster::{Cluster, NodeFacts, Place};
use crate::cycle::Cycle;
use crate::pod::{Pending, PodInfo};

/// A term about other pods, ready to be asked.
pub(crate) struct Term {
    selector: Option<Selector>,
    namespaces: BTreeSet<String>,
    key: String,
}

impl Term {
    /// A term of a pod with `owner`'s namespace and labels.
    fn of(term: &PodAffinityTerm, owner: &PodInfo, cluster: &Cluster) -> Self {
        let mut selector = term.label_selector.clone();
        if let Some(selector) = &mut selector {
            for key in term.match_label_keys.iter().flatten() {
                if let Some(value) = owner.labels.get(key) {
                    selector
                        .match_labels
                        .get_or_insert_default()
                        .insert(key.clone(), value.clone());
                }
            }
        }
        let mut namespaces: BTreeSet<String> = term.namespaces.iter().flatten().cloned().collect();
        match &term.namespace_selector {
            Some(selector) => namespaces.extend(cluster.namespaces(selector)),
            None if namespaces.is_empty() => drop(namespaces.insert(owner.key.namespace.clone())),
            None => {}
        }
        Self {
            selector: selector.and_then(|selector| Selector::try_from(&selector).ok()),
            namespaces,
            key: term.topology_key.clone(),
        }
    }

    fn matches(&self, pod: &PodInfo) -> bool {
        self.namespaces.contains(&pod.key.namespace)
            && self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
    }
}

/// What the pods of the cluster mean for one pod.
#[derive(Default)]
pub(crate) struct Neighbours {
    /// For each required term the domains where such a pod is.
    wanted: Vec<(Term, BTreeSet<String>)>,
    /// Whether the pod itself is what all of its terms ask for, and nobody else is yet.
    is_first: bool,
    /// Domains where pods are that it keeps away from.
    avoided: Vec<(String, BTreeSet<String>)>,
    /// Domains of pods that keep it away: key and value.
    forbidden: BTreeSet<(String, String)>,
    /// For each preference its weight, the label that makes domains, and how many such pods are in
    /// each domain.
    preferred: Vec<(i64, String, BTreeMap<String, i64>)>,
}

impl Neighbours {
    pub(crate) fn has_preferences(&self) -> bool {
        !self.preferred.is_empty()
    }

    /// How much the pod likes a node for who is near it.
    pub(crate) fn liking(&self, node: &NodeFacts) -> i64 {
        let likes = |(weight, key, counts): &(i64, String, BTreeMap<String, i64>)| {
            let count = node.labels.get(key).and_then(|domain| counts.get(domain));
            weight * count.copied().unwrap_or(0)
        };
        self.preferred.iter().map(likes).sum()
    }
}

/// Looks around for `pod`.
pub(crate) fn neighbours(pod: &Pending, cluster: &Cluster) -> Neighbours {
    let affinity = pod.spec().and_then(|spec| spec.affinity.as_ref());
    let near = affinity
        .and_then(|all| all.pod_affinity.as_ref())
        .and_then(|near| near.required_during_scheduling_ignored_during_execution.as_ref());
    let wanted: Vec<_> =
        near.into_iter().flatten().map(|term| Term::of(term, &pod.info, cluster)).collect();
    let avoided: Vec<_> =
        pod.info.keeps_away.iter().map(|term| Term::of(term, &pod.info, cluster)).collect();

    let domains = |term: &Term| -> BTreeSet<String> {
        let with =
            cluster.nodes().filter(|place| place.info.pods.values().any(|one| term.matches(one)));
        with.filter_map(|place| place.facts.labels.get(&term.key).cloned()).collect()
    };
    let mut neighbours = Neighbours {
        avoided: avoided.iter().map(|term| (term.key.clone(), domains(term))).collect(),
        ..Neighbours::default()
    };
    neighbours.wanted = wanted
        .into_iter()
        .map(|term| {
            let domains = domains(&term);
            (term, domains)
        })
        .collect();
    neighbours.is_first = neighbours
        .wanted
        .iter()
        .all(|(term, domains)| domains.is_empty() && term.matches(&pod.info));
    neighbours.preferred = preferred(pod, cluster);
    for place in cluster.nodes().filter(|place| place.info.recluses > 0) {
        for recluse in place.info.pods.values() {
            for term in recluse.keeps_away.iter().map(|term| Term::of(term, recluse, cluster)) {
                if term.matches(&pod.info)
                    && let Some(value) = place.facts.labels.get(&term.key)
                {
                    neighbours.forbidden.insert((term.key, value.clone()));
                }
            }
        }
    }
    neighbours
}

/// What the pod prefers of its neighbourhood, with those who are there.
fn preferred(pod: &Pending, cluster: &Cluster) -> Vec<(i64, String, BTreeMap<String, i64>)> {
    let Some(affinity) = pod.spec().and_then(|spec| spec.affinity.as_ref()) else {
        return Vec::new();
    };
    let near = affinity
        .pod_affinity
        .as_ref()
        .and_then(|near| near.preferred_during_scheduling_ignored_during_execution.as_ref());
    let away = affinity
        .pod_anti_affinity
        .as_ref()
        .and_then(|away| away.preferred_during_scheduling_ignored_during_execution.as_ref());
    let count = |term: &WeightedPodAffinityTerm, sign: i64| {
        let weight = sign * i64::from(term.weight);
        let term = Term::of(&term.pod_affinity_term, &pod.info, cluster);
        let mut counts = BTreeMap::<String, i64>::new();
        for place in cluster.nodes() {
            let Some(domain) = place.facts.labels.get(&term.key) else { continue };
            let here = place.info.pods.values().filter(|one| !one.terminating && term.matches(one));
            let here = i64::try_from(here.count()).unwrap_or(i64::MAX);
            *counts.entry(domain.clone()).or_default() += here;
        }
        (weight, term.key, counts)
    };
    let near = near.into_iter().flatten().map(|term| count(term, 1));
    near.chain(away.into_iter().flatten().map(|term| count(term, -1))).collect()
}

pub(super) fn refuse(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    let labels = &place.facts.labels;
    let Neighbours { wanted, is_first, avoided, forbidden, .. } = &cycle.neighbours;
    let near = wanted.iter().all(|(term, domains)| match labels.get(&term.key) {
        // The first of its kind may begin anywhere in some domain.
        Some(domain) => *is_first || domains.contains(domain),
        None => false,
    });
    if !near {
        return vec!["node(s) didn't match pod affinity rules".into()];
    }
    let avoids = |(key, domains): &(String, BTreeSet<String>)| {
        labels.get(key).is_some_and(|domain| domains.contains(domain))
    };
    if avoided.iter().any(avoids) {
        return vec!["node(s) didn't match pod anti-affinity rules".into()];
    }
    let forbids = |(key, value): &(String, String)| labels.get(key) == Some(value);
    if forbidden.iter().any(forbids) {
        return vec!["node(s) didn't satisfy existing pods anti-affinity rules".into()];
    }
    Vec::new()
}
