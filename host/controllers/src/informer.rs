//! An informer: one kind of object held in memory, kept up to date by one watch for all
//! controllers, without `managedFields`.
//!
//! A controller that writes shows the answer to the informer ([`Informer::observe`],
//! [`Informer::forget`]), so that the next reconcile sees this controller's own writes even if the
//! watch lags: that is what keeps anything from being created or deleted twice, and no expectations
//! need to be counted. It works because resource versions are ordered: the watch has reported
//! everything up to `seen`, what is observed above that is newer than what it has reported, and what
//! the watch reports later of an older version is ignored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use coracle_api::owner;
use kube::Resource;
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::error::{Result, While};
use crate::list_watch::{self, Sink};
use crate::runner::Key;

/// What can be held by an informer.
pub(crate) trait Kind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}
impl<K> Kind for K where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

/// One object's change: without `old` it is new, without `new` it is gone.
pub(crate) struct Change<K> {
    pub(crate) old: Option<Arc<K>>,
    pub(crate) new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The states before and after, as far as there are such.
    pub(crate) fn both(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(&self.new)
    }

    /// The present state, or the last one.
    pub(crate) fn latest(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }
}

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

pub(crate) struct Informer<K> {
    objects: RwLock<Objects<K>>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

struct Objects<K> {
    by_key: BTreeMap<Key, Arc<K>>,
    by_owner: HashMap<Owner, BTreeSet<Key>>,
    /// The watch has reported everything up to this version.
    seen: u64,
    /// Objects whose deletion was acknowledged to a controller but not yet reported.
    gone: HashSet<String>,
}

/// Who controls an object: the controller's uid, or nobody in a namespace.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Owner {
    Controller(String),
    Nobody(String),
}

fn owner_of(object: &impl Resource) -> Owner {
    match owner::controller_of(object.meta()) {
        Some(owner) => Owner::Controller(owner.uid.clone()),
        None => Owner::Nobody(object.meta().namespace.clone().unwrap_or_default()),
    }
}

fn version_of(object: &impl Resource) -> u64 {
    number(object.meta().resource_version.as_deref().unwrap_or_default())
}

fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

impl<K: Kind> Default for Informer<K> {
    fn default() -> Self {
        let objects = Objects {
            by_key: BTreeMap::new(),
            by_owner: HashMap::new(),
            seen: 0,
            gone: HashSet::new(),
        };
        Self {
            objects: RwLock::new(objects),
            handlers: RwLock::default(),
            synced: watch::Sender::new(false),
        }
    }
}

impl<K: Kind> Informer<K> {
    fn read(&self) -> RwLockReadGuard<'_, Objects<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects<K>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `handler` for each change from now on. Handlers must be quick: they run in the watch.
    pub(crate) fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.handlers.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(handler));
    }

    fn tell(&self, changes: impl IntoIterator<Item = Change<K>>) {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            for handler in handlers.iter() {
                handler(&change);
            }
        }
    }

    /// Waits until the collection has been listed once.
    pub(crate) async fn synced(&self) {
        // The sender lives as long as the informer.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read().by_key.get(key).cloned()
    }

    /// Everything, in the order of namespaces and names.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read().by_key.values().cloned().collect()
    }

    /// Everything in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.read();
        let first = Key::new(namespace, "");
        let inside =
            objects.by_key.range(first..).take_while(|(key, _)| key.namespace == namespace);
        inside.map(|(_, object)| object.clone()).collect()
    }

    /// What the object with `uid` controls.
    pub(crate) fn controlled_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.read().of(&Owner::Controller(uid.to_owned()))
    }

    /// What nobody controls in a namespace.
    pub(crate) fn uncontrolled(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read().of(&Owner::Nobody(namespace.to_owned()))
    }

    /// Takes over the answer to a write. Answers what is now known of the object.
    pub(crate) fn observe(&self, mut object: K) -> Arc<K> {
        object.meta_mut().managed_fields = None;
        let object = Arc::new(object);
        let change = {
            let mut objects = self.write();
            if version_of(&*object) <= objects.seen { None } else { objects.put(object.clone()) }
        };
        self.tell(change);
        object
    }

    /// Takes over that the server deleted `object`.
    pub(crate) fn forget(&self, object: &K) {
        let Some(uid) = object.meta().uid.clone() else { return };
        let change = {
            let mut objects = self.write();
            let key = Key::of(object);
            match objects.by_key.get(&key) {
                Some(held) if held.meta().uid.as_ref() == Some(&uid) => {
                    objects.gone.insert(uid);
                    objects.take(&key)
                }
                _ => None,
            }
        };
        self.tell(change.map(|old| Change { old: Some(old), new: None }));
    }

    /// Keeps the collection up to date for ever.
    pub(crate) async fn run(&self, client: kube::Client, fields: Option<&str>) {
        let what = K::plural(&());
        let api = kube::Api::<K>::all(client);
        list_watch::follow(&what, &api, fields, self).await;
    }
}

impl<K: Kind> Objects<K> {
    fn of(&self, owner: &Owner) -> Vec<Arc<K>> {
        let keys = self.by_owner.get(owner).into_iter().flatten();
        keys.filter_map(|key| self.by_key.get(key).cloned()).collect()
    }

    /// Puts in what is newer than what is there.
    fn put(&mut self, object: Arc<K>) -> Option<Change<K>> {
        let key = Key::of(&*object);
        let newer_held = |held: &Arc<K>| version_of(&**held) >= version_of(&*object);
        if self.by_key.get(&key).is_some_and(newer_held)
            || object.meta().uid.as_ref().is_some_and(|uid| self.gone.contains(uid))
        {
            return None;
        }
        let old = self.take(&key);
        self.by_owner.entry(owner_of(&*object)).or_default().insert(key.clone());
        self.by_key.insert(key, object.clone());
        Some(Change { old, new: Some(object) })
    }

    fn take(&mut self, key: &Key) -> Option<Arc<K>> {
        let old = self.by_key.remove(key)?;
        let owner = owner_of(&*old);
        if let Some(keys) = self.by_owner.get_mut(&owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
        Some(old)
    }
}

impl<K: Kind> Sink<K> for Informer<K> {
    fn begin(&self) {
        // A list taken from now on no longer contains what is already gone.
        self.write().gone.clear();
    }

    fn replace(&self, items: Vec<K>, version: &str) {
        let mut changes = Vec::new();
        {
            let mut objects = self.write();
            let listed: BTreeSet<Key> = items.iter().map(Key::of).collect();
            let version = number(version);
            // What was observed after the list was taken stays.
            let vanished: Vec<Key> = objects
                .by_key
                .iter()
                .filter(|(key, object)| !listed.contains(key) && version_of(&***object) <= version)
                .map(|(key, _)| key.clone())
                .collect();
            for key in vanished {
                changes.extend(objects.take(&key).map(|old| Change { old: Some(old), new: None }));
            }
            for mut item in items {
                item.meta_mut().managed_fields = None;
                changes.extend(objects.put(Arc::new(item)));
            }
            objects.seen = objects.seen.max(version);
        }
        self.tell(changes);
        self.synced.send_replace(true);
    }

    fn put(&self, mut item: K) {
        item.meta_mut().managed_fields = None;
        let change = {
            let mut objects = self.write();
            objects.seen = objects.seen.max(version_of(&item));
            objects.put(Arc::new(item))
        };
        self.tell(change);
    }

    fn delete(&self, item: K) {
        let change = {
            let mut objects = self.write();
            objects.seen = objects.seen.max(version_of(&item));
            if let Some(uid) = &item.meta().uid {
                objects.gone.remove(uid);
            }
            let key = Key::of(&item);
            let same =
                objects.by_key.get(&key).is_some_and(|held| held.meta().uid == item.meta().uid);
            if same { objects.take(&key) } else { None }
        };
        self.tell(change.map(|old| Change { old: Some(old), new: None }));
    }

    fn progress(&self, version: &str) {
        let mut objects = self.write();
        objects.seen = objects.seen.max(number(version));
    }
}

/// Writes the status of `object` and shows the answer to its informer; that it is gone is no error.
pub(crate) async fn write_status<K>(
    client: &kube::Client,
    informer: &Informer<K>,
    object: &K,
    doing: &'static str,
) -> Result<()>
where
    K: Kind + Serialize + Resource<Scope = NamespaceResourceScope>,
{
    let Key { namespace, name } = Key::of(object);
    let api = kube::Api::<K>::namespaced(client.clone(), &namespace);
    match api.replace_status(&name, &PostParams::default(), object).await.doing(doing) {
        Ok(written) => {
            informer.observe(written);
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, uid: &str, version: u64, owner: Option<&str>) -> Pod {
        let owners: Vec<_> = owner
            .iter()
            .map(|uid| {
                json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": uid,
                       "controller": true})
            })
            .collect();
        serde_json::from_value(json!({"metadata": {"namespace": "default", "name": name,
            "uid": uid, "resourceVersion": version.to_string(), "ownerReferences": owners}}))
        .unwrap()
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect()
    }

    #[test]
    fn own_writes_are_seen_before_the_watch_reports_them() {
        let informer = Informer::<Pod>::default();
        informer.replace(vec![], "10");
        informer.observe(pod("a", "1", 11, Some("rs")));
        assert_eq!(names(&informer.controlled_by("rs")), ["a"]);
        informer.forget(&pod("a", "1", 11, None));
        assert!(informer.controlled_by("rs").is_empty());
        // The watch catches up.
        informer.put(pod("a", "1", 11, Some("rs")));
        assert!(informer.all().is_empty(), "the late report of a deleted object is ignored");
        informer.delete(pod("a", "1", 12, None));
        assert!(informer.read().gone.is_empty());
    }

    #[test]
    fn late_answers_to_writes_do_not_bring_back_the_dead() {
        let informer = Informer::<Pod>::default();
        informer.replace(vec![], "10");
        informer.put(pod("a", "1", 11, None));
        informer.delete(pod("a", "1", 13, None));
        informer.observe(pod("a", "1", 12, None));
        assert!(informer.all().is_empty());
    }

    #[test]
    fn older_reports_do_not_undo_newer_observations() {
        let informer = Informer::<Pod>::default();
        informer.replace(vec![], "10");
        informer.observe(pod("a", "1", 20, Some("new")));
        informer.put(pod("a", "1", 15, Some("old")));
        assert_eq!(names(&informer.controlled_by("new")), ["a"]);
        assert!(informer.controlled_by("old").is_empty());
        // A list that was taken before the observation does not remove it either.
        informer.replace(vec![], "16");
        assert_eq!(informer.all().len(), 1);
        informer.replace(vec![], "21");
        assert!(informer.all().is_empty());
    }

    #[test]
    fn a_name_taken_again_survives_the_report_of_its_predecessor() {
        let informer = Informer::<Pod>::default();
        informer.replace(vec![pod("a", "1", 5, None)], "10");
        informer.observe(pod("a", "2", 12, None));
        informer.delete(pod("a", "1", 11, None));
        assert_eq!(informer.all()[0].metadata.uid.as_deref(), Some("2"));
    }

    #[test]
    fn owners_and_namespaces_are_indexed() {
        let informer = Informer::<Pod>::default();
        informer.replace(
            vec![pod("a", "1", 1, Some("x")), pod("b", "2", 2, None), pod("c", "3", 3, Some("x"))],
            "3",
        );
        assert_eq!(names(&informer.controlled_by("x")), ["a", "c"]);
        assert_eq!(names(&informer.uncontrolled("default")), ["b"]);
        informer.put(pod("b", "2", 4, Some("x")));
        assert_eq!(names(&informer.controlled_by("x")), ["a", "b", "c"]);
        assert!(informer.uncontrolled("default").is_empty());
        assert_eq!(informer.in_namespace("default").len(), 3);
        assert!(informer.in_namespace("defaul").is_empty());
        assert!(informer.in_namespace("default2").is_empty());
    }

    #[test]
    fn handlers_hear_of_each_change_once() {
        let informer = Informer::<Pod>::default();
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        informer.on_change({
            let heard = heard.clone();
            move |change| {
                heard.lock().unwrap().push((change.old.is_some(), change.new.is_some()));
            }
        });
        informer.replace(vec![], "1");
        informer.observe(pod("a", "1", 2, None));
        informer.put(pod("a", "1", 2, None));
        informer.put(pod("a", "1", 3, None));
        informer.delete(pod("a", "1", 4, None));
        assert_eq!(*heard.lock().unwrap(), [(false, true), (true, true), (true, false)]);
    }
}
