//! The cluster as scheduling sees it: nodes, with what the pods on them take. A pod counts as on its
//! node from the moment it is decided, before anything is written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use coracle_api::selector::Selector;
use k8s_openapi::api::core::v1::{Namespace, Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::pod::{HostPort, Key, PodInfo};
use crate::queue::Wake;
use crate::resources::Resources;

const ZONE: &str = "topology.kubernetes.io/zone";

/// What of a node matters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeFacts {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) unschedulable: bool,
    pub(crate) allocatable: Resources,
    pub(crate) pods: i64,
}

impl NodeFacts {
    pub(crate) fn of(node: &Node) -> Self {
        let spec = node.spec.clone().unwrap_or_default();
        let status = node.status.clone().unwrap_or_default();
        let allocatable = status.allocatable.or(status.capacity).unwrap_or_default();
        let pods = allocatable.get("pods").and_then(|text| text.try_into().ok());
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
            unschedulable: spec.unschedulable == Some(true),
            allocatable: Resources::of_texts(&allocatable),
            pods: pods.map_or(0, coracle_api::quantity::Quantity::value),
        }
    }

    pub(crate) fn zone(&self) -> Option<&String> {
        self.labels.get(ZONE)
    }
}

/// A node with its pods.
#[derive(Debug, Default)]
pub(crate) struct NodeInfo {
    /// None while pods are known to be on a node that is not known itself.
    facts: Option<Arc<NodeFacts>>,
    pub(crate) pods: HashMap<Key, Arc<PodInfo>>,
    pub(crate) requested: Resources,
    /// CPU and memory with the silent counted.
    pub(crate) scored: (i64, i64),
    pub(crate) ports: Vec<HostPort>,
    /// How many pods of each controller are here and stay.
    owners: HashMap<String, i64>,
    /// How many pods here keep others away.
    pub(crate) recluses: usize,
}

impl NodeInfo {
    /// How many pods of the controller with `uid` are here and stay.
    pub(crate) fn owned_by(&self, uid: &str) -> i64 {
        self.owners.get(uid).copied().unwrap_or(0)
    }

    fn add(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        let (cpu, memory) = pod.requests.scored();
        self.scored = (self.scored.0 + cpu, self.scored.1 + memory);
        self.ports.extend(pod.ports.iter().cloned());
        if let (Some(owner), false) = (&pod.owner, pod.terminating) {
            *self.owners.entry(owner.clone()).or_default() += 1;
        }
        self.recluses += usize::from(!pod.keeps_away.is_empty());
        self.pods.insert(pod.key.clone(), pod);
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(key)?;
        self.requested.subtract(&pod.requests);
        let (cpu, memory) = pod.requests.scored();
        self.scored = (self.scored.0 - cpu, self.scored.1 - memory);
        for port in &pod.ports {
            if let Some(index) = self.ports.iter().position(|taken| taken == port) {
                self.ports.swap_remove(index);
            }
        }
        if let (Some(owner), false) = (&pod.owner, pod.terminating)
            && let Some(count) = self.owners.get_mut(owner)
        {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
        self.recluses -= usize::from(!pod.keeps_away.is_empty());
        Some(pod)
    }
}

/// A node that is known.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) facts: &'a NodeFacts,
    pub(crate) info: &'a NodeInfo,
}

/// All nodes and the pods on them.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    nodes: BTreeMap<String, NodeInfo>,
    /// Where each pod is, and whether that is only decided and not yet reported.
    placed: HashMap<Key, Placed>,
    /// The labels of each namespace.
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug)]
struct Placed {
    node: String,
    assumed: bool,
}

impl Cluster {
    /// All known nodes, ordered by name.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Place<'_>> {
        self.nodes.values().filter_map(|info| Some(Place { facts: info.facts.as_deref()?, info }))
    }

    /// Takes a node's present state; answers what about it may let waiting pods in.
    pub(crate) fn set_node(&mut self, facts: NodeFacts) -> Wake {
        let info = self.nodes.entry(facts.name.clone()).or_default();
        let wake = match &info.facts {
            None => Wake::NODE_ADDED,
            Some(old) => {
                let mut wake = Wake::NONE;
                if old.allocatable != facts.allocatable || old.pods != facts.pods {
                    wake = wake | Wake::NODE_ALLOCATABLE;
                }
                if old.labels != facts.labels {
                    wake = wake | Wake::NODE_LABELS;
                }
                if old.taints != facts.taints || old.unschedulable != facts.unschedulable {
                    wake = wake | Wake::NODE_TAINTS;
                }
                wake
            }
        };
        info.facts = Some(Arc::new(facts));
        wake
    }

    /// Takes away a node; its pods are kept in mind until they are reported gone.
    pub(crate) fn remove_node(&mut self, name: &str) -> Wake {
        let Some(info) = self.nodes.get_mut(name) else { return Wake::NONE };
        info.facts = None;
        if info.pods.is_empty() {
            self.nodes.remove(name);
        }
        Wake::NODE_REMOVED
    }

    /// The names of all known nodes.
    pub(crate) fn node_names(&self) -> Vec<String> {
        self.nodes().map(|place| place.facts.name.clone()).collect()
    }

    /// Counts a pod as on a node before that is written.
    pub(crate) fn assume(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.put(pod, node, true);
    }

    /// Counts a pod as on the node that it is reported on.
    pub(crate) fn place(&mut self, pod: Arc<PodInfo>, node: &str) -> Wake {
        if self.put(pod, node, false) { Wake::POD_ADDED } else { Wake::NONE }
    }

    /// Answers whether the pod is new.
    fn put(&mut self, pod: Arc<PodInfo>, node: &str, assumed: bool) -> bool {
        let key = pod.key.clone();
        let known = self.take(&key).is_some();
        self.nodes.entry(node.to_owned()).or_default().add(pod);
        self.placed.insert(key, Placed { node: node.to_owned(), assumed });
        !known
    }

    fn take(&mut self, key: &Key) -> Option<Arc<PodInfo>> {
        let placed = self.placed.remove(key)?;
        let info = self.nodes.get_mut(&placed.node)?;
        let pod = info.remove(key);
        if info.facts.is_none() && info.pods.is_empty() {
            self.nodes.remove(&placed.node);
        }
        pod
    }

    /// Takes away a pod that is gone or over.
    pub(crate) fn remove(&mut self, key: &Key) -> Wake {
        if self.take(key).is_some() { Wake::POD_REMOVED } else { Wake::NONE }
    }

    /// Takes back a decision that could not be carried out, unless it is reported by now.
    pub(crate) fn forget(&mut self, key: &Key) -> Wake {
        if self.is_assumed(key) { self.remove(key) } else { Wake::NONE }
    }

    /// Whether it is decided but not yet reported where the pod goes.
    pub(crate) fn is_assumed(&self, key: &Key) -> bool {
        self.placed.get(key).is_some_and(|placed| placed.assumed)
    }

    /// The uid of the pod that is counted under `key`.
    pub(crate) fn uid_of(&self, key: &Key) -> Option<&str> {
        let placed = self.placed.get(key)?;
        self.nodes.get(&placed.node)?.pods.get(key).map(|pod| pod.uid.as_str())
    }

    /// Takes a namespace's present state.
    pub(crate) fn set_namespace(&mut self, namespace: Namespace) -> Wake {
        let name = namespace.metadata.name.unwrap_or_default();
        let labels = namespace.metadata.labels.unwrap_or_default();
        let old = self.namespaces.insert(name, labels.clone());
        if old == Some(labels) { Wake::NONE } else { Wake::NAMESPACE_LABELS }
    }

    pub(crate) fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// The names of the namespaces that `selector` selects; none if it cannot be understood.
    pub(crate) fn namespaces(&self, selector: &LabelSelector) -> Vec<String> {
        let Ok(selector) = Selector::try_from(selector) else { return Vec::new() };
        let selected = self.namespaces.iter().filter(|(_, labels)| selector.matches(labels));
        selected.map(|(name, _)| name.clone()).collect()
    }

    /// The names of all namespaces.
    pub(crate) fn namespace_names(&self) -> Vec<String> {
        self.namespaces.keys().cloned().collect()
    }

    /// All pods that are reported to be on a node.
    pub(crate) fn reported(&self) -> Vec<Key> {
        let reported = self.placed.iter().filter(|(_, placed)| !placed.assumed);
        reported.map(|(key, _)| key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(name: &str, cpu: &str) -> NodeFacts {
        let node = json!({"metadata": {"name": name},
            "status": {"allocatable": {"cpu": cpu, "pods": "10"}}});
        NodeFacts::of(&serde_json::from_value(node).unwrap())
    }

    fn pod(name: &str) -> Arc<PodInfo> {
        let pod = json!({"metadata": {"name": name, "namespace": "d", "uid": name,
            "ownerReferences": [{"apiVersion": "v1", "kind": "R", "name": "r", "uid": "r",
                "controller": true}]},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "250m"}},
                "ports": [{"containerPort": 80, "hostPort": 80}]}]}});
        Arc::new(PodInfo::of(&serde_json::from_value(pod).unwrap()))
    }

    #[test]
    fn sums_follow_pods_in_and_out() {
        let mut cluster = Cluster::default();
        assert_eq!(cluster.set_node(facts("a", "1")), Wake::NODE_ADDED);
        cluster.assume(pod("p"), "a");
        assert!(cluster.is_assumed(&pod("p").key));
        assert_eq!(cluster.place(pod("p"), "a"), Wake::NONE, "the report of what was decided");
        assert!(!cluster.is_assumed(&pod("p").key));
        cluster.place(pod("q"), "a");
        {
            let place = cluster.nodes().next().unwrap();
            assert_eq!((place.info.requested.cpu, place.info.owned_by("r")), (500, 2));
        }
        assert_eq!(cluster.forget(&pod("p").key), Wake::NONE, "it is on its node by now");
        assert_eq!(cluster.remove(&pod("p").key), Wake::POD_REMOVED);
        cluster.remove(&pod("q").key);
        let place = cluster.nodes().next().unwrap();
        assert_eq!(place.info.requested, Resources::default());
        assert_eq!((place.info.scored, place.info.owned_by("r")), ((0, 0), 0));
        assert!(place.info.ports.is_empty());
    }

    #[test]
    fn pods_of_unknown_nodes_are_remembered() {
        let mut cluster = Cluster::default();
        cluster.place(pod("p"), "late");
        assert_eq!(cluster.nodes().count(), 0);
        cluster.set_node(facts("late", "1"));
        assert_eq!(cluster.nodes().next().unwrap().info.requested.cpu, 250);
        cluster.remove_node("late");
        assert_eq!(cluster.nodes().count(), 0);
        cluster.remove(&pod("p").key);
        assert!(cluster.nodes.is_empty());
    }

    #[test]
    fn changes_of_a_node_are_told_apart() {
        let mut cluster = Cluster::default();
        cluster.set_node(facts("a", "1"));
        assert_eq!(cluster.set_node(facts("a", "1")), Wake::NONE, "a heartbeat");
        assert_eq!(cluster.set_node(facts("a", "2")), Wake::NODE_ALLOCATABLE);
        let cordoned = NodeFacts { unschedulable: true, ..facts("a", "2") };
        assert_eq!(cluster.set_node(cordoned), Wake::NODE_TAINTS);
        assert_eq!(cluster.remove_node("a"), Wake::NODE_REMOVED);
    }
}
