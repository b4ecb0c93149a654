//! The graph of owners and dependents: pure. A node is an object, known by a watch or only by a
//! reference to it (*virtual*). Each change says what it makes worth a look.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::Work;
use crate::dynamic::{Kind, Slim};

pub(super) const ORPHAN: &str = "orphan";
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Owners remembered as absent.
const ABSENT: usize = 500;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) identity: Identity,
    /// None while it is known by reference only.
    pub(super) observed: Option<Arc<Kind>>,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) dependents: HashSet<String>,
    pub(super) is_being_deleted: bool,
    /// Whether it goes only after its dependents.
    pub(super) waits_for_dependents: bool,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<String, Node>,
    absent: Absent,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The dependents of the object with `uid`.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Node> {
        let uids = self.nodes.get(uid).into_iter().flat_map(|node| &node.dependents);
        uids.filter_map(|uid| self.nodes.get(uid)).cloned().collect()
    }

    /// The dependents that hold back the end of the object with `uid`.
    pub(super) fn blocking_dependents(&self, uid: &str) -> Vec<Node> {
        let blocks =
            |owner: &OwnerReference| owner.uid == uid && owner.block_owner_deletion == Some(true);
        let mut dependents = self.dependents(uid);
        dependents.retain(|node| node.owners.iter().any(blocks));
        dependents
    }

    /// Takes the present state of an object.
    pub(super) fn put(&mut self, kind: &Arc<Kind>, object: Slim, work: &mut Vec<Work>) {
        let metadata = object.metadata;
        let uid = metadata.uid.clone();
        if uid.is_empty() {
            return;
        }
        let has = |finalizer: &str| metadata.finalizers.iter().any(|one| one == finalizer);
        let deleted = metadata.deletion_timestamp.is_some();
        let (orphaning, waiting) = (deleted && has(ORPHAN), deleted && has(FOREGROUND));
        let identity = Identity {
            api_version: kind.resource.api_version.clone(),
            kind: kind.resource.kind.clone(),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: uid.clone(),
        };
        let old = self.nodes.remove(&uid);
        let dependents = old.as_ref().map(|old| old.dependents.clone()).unwrap_or_default();
        let node = Node {
            identity,
            observed: Some(kind.clone()),
            owners: metadata.owner_references,
            dependents,
            is_being_deleted: deleted,
            waits_for_dependents: waiting,
        };
        let before = old.as_ref().map(|old| old.owners.clone()).unwrap_or_default();
        let first_sight = old.as_ref().is_none_or(|old| old.observed.is_none());
        let after = node.owners.clone();
        let moved = old.is_some_and(|old| old.observed.is_none() && old.identity != node.identity);
        if moved {
            // Whoever referred to it by another place did not mean it.
            work.extend(node.dependents.iter().cloned().map(Work::Delete));
        }
        self.nodes.insert(uid.clone(), node);
        self.relink(&uid, &before, &after, work);

        if !first_sight && before != after {
            work.push(Work::Delete(uid.clone()));
        }
        // The orphan finalizer is honoured each time it is seen: the look is idempotent.
        if orphaning {
            work.push(Work::Orphan(uid));
        } else if waiting {
            let dependents = self.nodes.get(&uid).into_iter().flat_map(|node| &node.dependents);
            work.extend(dependents.cloned().map(Work::Delete));
            work.push(Work::Delete(uid));
        }
    }

    /// Brings the owners' dependents up to date.
    fn relink(
        &mut self,
        uid: &str,
        before: &[OwnerReference],
        after: &[OwnerReference],
        work: &mut Vec<Work>,
    ) {
        let kept: HashSet<&str> = after.iter().map(|owner| owner.uid.as_str()).collect();
        for owner in before.iter().filter(|owner| !kept.contains(owner.uid.as_str())) {
            self.unlink(&owner.uid, uid);
            self.tell_waiting(&owner.uid, work);
        }
        let namespace = self.nodes.get(uid).map(|node| node.identity.namespace.clone());
        let namespace = namespace.unwrap_or_default();
        for owner in after {
            // One that blocks no longer may let its owner go.
            let unblocked = before.iter().any(|old| {
                old.uid == owner.uid
                    && old.block_owner_deletion == Some(true)
                    && owner.block_owner_deletion != Some(true)
            });
            if unblocked {
                self.tell_waiting(&owner.uid, work);
            }
            match self.nodes.get_mut(&owner.uid) {
                Some(node) => {
                    node.dependents.insert(uid.to_owned());
                    // A reference into another namespace or to another object is no ownership.
                    if !node.is_solid_for(owner, &namespace) {
                        work.push(Work::Delete(uid.to_owned()));
                    }
                }
                None => {
                    let identity = Identity {
                        api_version: owner.api_version.clone(),
                        kind: owner.kind.clone(),
                        namespace: namespace.clone(),
                        name: owner.name.clone(),
                        uid: owner.uid.clone(),
                    };
                    let node = Node {
                        identity,
                        observed: None,
                        owners: Vec::new(),
                        dependents: HashSet::from([uid.to_owned()]),
                        is_being_deleted: false,
                        waits_for_dependents: false,
                    };
                    self.nodes.insert(owner.uid.clone(), node);
                    // Whether there is such an object must be seen.
                    work.push(Work::Delete(owner.uid.clone()));
                }
            }
        }
    }

    fn tell_waiting(&self, owner: &str, work: &mut Vec<Work>) {
        if self.nodes.get(owner).is_some_and(|node| node.waits_for_dependents) {
            work.push(Work::Delete(owner.to_owned()));
        }
    }

    /// Takes away an object that is gone.
    pub(super) fn remove(&mut self, uid: &str, work: &mut Vec<Work>) {
        let Some(node) = self.nodes.remove(uid) else { return };
        for owner in &node.owners {
            self.unlink(&owner.uid, uid);
            self.tell_waiting(&owner.uid, work);
        }
        if !node.dependents.is_empty() {
            self.absent.insert(&node.identity);
            work.extend(node.dependents.into_iter().map(Work::Delete));
        }
    }

    /// An object known by reference only is not where its first dependent said. It stays virtual:
    /// others may mean the same uid elsewhere, so each dependent is judged by its own reference.
    pub(super) fn not_found(&mut self, uid: &str, work: &mut Vec<Work>) {
        let Some(node) = self.nodes.get(uid).filter(|node| node.observed.is_none()) else { return };
        self.absent.insert(&node.identity);
        work.extend(node.dependents.iter().cloned().map(Work::Delete));
        if node.dependents.is_empty() {
            self.nodes.remove(uid);
        }
    }

    /// Forgets that `dependent` has this owner.
    fn unlink(&mut self, owner: &str, dependent: &str) {
        let Some(node) = self.nodes.get_mut(owner) else { return };
        node.dependents.remove(dependent);
        if node.dependents.is_empty() && node.observed.is_none() {
            self.nodes.remove(owner);
        }
    }

    /// Whether the object is known to have owners, all of which are there and stay. What is known may
    /// be late; then the end of an owner is still to be reported, and makes it worth another look.
    pub(super) fn is_held(&self, uid: &str) -> bool {
        let Some(node) = self.nodes.get(uid) else { return false };
        !node.owners.is_empty()
            && node.owners.iter().all(|owner| {
                let held = self.nodes.get(&owner.uid);
                held.is_some_and(|held| held.is_solid_for(owner, &node.identity.namespace))
            })
    }

    /// Takes away the objects of a kind that are not among `items`.
    pub(super) fn retain(&mut self, kind: &Arc<Kind>, items: &[Slim], work: &mut Vec<Work>) {
        let kept: HashSet<&str> = items.iter().map(|item| item.metadata.uid.as_str()).collect();
        for uid in self.of_kind(kind) {
            if !kept.contains(uid.as_str()) {
                self.remove(&uid, work);
            }
        }
    }

    /// Takes away all objects of a kind that is no more.
    pub(super) fn remove_kind(&mut self, kind: &Arc<Kind>, work: &mut Vec<Work>) {
        for uid in self.of_kind(kind) {
            self.remove(&uid, work);
        }
    }

    fn of_kind(&self, kind: &Arc<Kind>) -> Vec<String> {
        let of_kind = |node: &&Node| node.observed.as_ref() == Some(kind);
        self.nodes.values().filter(of_kind).map(|node| node.identity.uid.clone()).collect()
    }

    /// Whether the owner that a dependent in `namespace` refers to is known to be no more.
    pub(super) fn is_absent(&self, owner: &OwnerReference, namespace: &str) -> bool {
        let at = |namespace: &str| Identity {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            namespace: namespace.to_owned(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        };
        self.absent.set.contains(&at("")) || self.absent.set.contains(&at(namespace))
    }
}

impl Node {
    /// Whether this is the owner that a dependent in `namespace` refers to, and stays.
    fn is_solid_for(&self, owner: &OwnerReference, namespace: &str) -> bool {
        let Identity { kind, name, namespace: its, .. } = &self.identity;
        self.observed.is_some()
            && !self.waits_for_dependents
            && *kind == owner.kind
            && *name == owner.name
            && (its.is_empty() || its == namespace)
    }
}

/// Objects that are no more, as far back as there is room.
#[derive(Debug, Default)]
struct Absent {
    set: HashSet<Identity>,
    order: VecDeque<Identity>,
}

impl Absent {
    fn insert(&mut self, identity: &Identity) {
        if !self.set.insert(identity.clone()) {
            return;
        }
        self.order.push_back(identity.clone());
        if self.order.len() > ABSENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ApiResource, GroupVersionKind};
    use serde_json::{Value, json};

    use super::*;

    fn kind(name: &str, namespaced: bool) -> Arc<Kind> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", name));
        Arc::new(Kind { resource, namespaced, verbs: Vec::new(), scalable: false })
    }

    fn object(uid: &str, owners: &[&str], changes: Value) -> Slim {
        let owners: Vec<_> = owners
            .iter()
            .map(|uid| {
                json!({"apiVersion": "v1", "kind": "Pod", "name": uid, "uid": uid,
                    "blockOwnerDeletion": true})
            })
            .collect();
        let mut metadata = json!({"name": uid, "uid": uid, "namespace": "d",
            "ownerReferences": owners});
        json_patch::merge(&mut metadata, &changes);
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    /// What a change makes worth a look.
    fn work(graph: &mut Graph, change: impl FnOnce(&mut Graph, &mut Vec<Work>)) -> Vec<Work> {
        let mut work = Vec::new();
        change(graph, &mut work);
        work
    }

    fn put(graph: &mut Graph, uid: &str, owners: &[&str], changes: Value) -> Vec<Work> {
        let object = object(uid, owners, changes);
        work(graph, |graph, work| graph.put(&kind("Pod", true), object, work))
    }

    fn delete(uid: &str) -> Work {
        Work::Delete(uid.to_owned())
    }

    #[test]
    fn the_end_of_an_owner_makes_its_dependents_worth_a_look() {
        let mut graph = Graph::default();
        assert_eq!(put(&mut graph, "owner", &[], json!({})), []);
        assert_eq!(put(&mut graph, "child", &["owner"], json!({})), []);
        assert!(graph.is_held("child"));
        let ended = work(&mut graph, |graph, work| graph.remove("owner", work));
        assert_eq!(ended, [delete("child")]);
        assert!(!graph.is_held("child"));
    }

    #[test]
    fn an_owner_known_by_reference_only_is_looked_for() {
        let mut graph = Graph::default();
        assert_eq!(put(&mut graph, "child", &["owner"], json!({})), [delete("owner")]);
        assert_eq!(put(&mut graph, "other", &["owner"], json!({})), [delete("other")]);
        let missing = work(&mut graph, |graph, work| graph.not_found("owner", work));
        assert_eq!(missing.len(), 2, "each is judged by its own reference");
        // It turns up after all.
        put(&mut graph, "owner", &[], json!({}));
        assert_eq!(graph.dependents("owner").len(), 2);
        assert!(graph.is_held("child"));
    }

    #[test]
    fn owners_elsewhere_are_no_owners() {
        let mut graph = Graph::default();
        put(&mut graph, "owner", &[], json!({"namespace": "elsewhere"}));
        assert_eq!(put(&mut graph, "child", &["owner"], json!({})), [delete("child")]);
        assert!(!graph.is_held("child"));
        // An owner in no namespace can own everywhere.
        put(&mut graph, "node", &[], json!({"namespace": ""}));
        assert_eq!(put(&mut graph, "leaf", &["node"], json!({})), []);
    }

    #[test]
    fn absence_is_remembered_by_place() {
        let mut graph = Graph::default();
        put(&mut graph, "child", &["owner"], json!({}));
        work(&mut graph, |graph, work| graph.not_found("owner", work));
        let reference = graph.get("child").unwrap().owners[0].clone();
        assert!(graph.is_absent(&reference, "d"));
        assert!(!graph.is_absent(&reference, "elsewhere"));
    }

    #[test]
    fn orphaning_and_waiting_begin_with_the_finalizer() {
        let mut graph = Graph::default();
        put(&mut graph, "child", &["owner"], json!({}));
        let deleted = |finalizer: &str| json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [finalizer]});
        assert_eq!(put(&mut graph, "owner", &[], deleted(ORPHAN)), [Work::Orphan("owner".into())]);
        let begun = put(&mut graph, "owner", &[], deleted(FOREGROUND));
        assert_eq!(begun, [delete("child"), delete("owner")]);
        assert_eq!(graph.blocking_dependents("owner").len(), 1);
        let ended = work(&mut graph, |graph, work| graph.remove("child", work));
        assert_eq!(ended, [delete("owner")], "the last dependent lets it go");
    }

    #[test]
    fn forgotten_owners_leave_no_trace() {
        let mut graph = Graph::default();
        put(&mut graph, "child", &["owner"], json!({}));
        let changed = put(&mut graph, "child", &[], json!({}));
        assert_eq!(changed, [delete("child")]);
        assert!(graph.get("owner").is_none());
        let listed = [object("new", &[], json!({}))];
        work(&mut graph, |graph, work| graph.retain(&kind("Pod", true), &listed, work));
        assert!(graph.nodes.is_empty());
    }
}
