//! What happens in the cluster, told to the queue and to what is known: pods, nodes, namespaces.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::{dice, pods};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

use crate::cluster::NodeFacts;
use crate::pod::{self, Key, Pending, PodInfo};
use crate::queue::Wake;
use crate::{Scheduler, State};

/// How many collections are watched.
pub(crate) const COLLECTIONS: usize = 3;
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Starts all watches.
pub(crate) fn start(scheduler: &Arc<Scheduler>, tasks: &mut JoinSet<()>) {
    tasks.spawn(follow::<Pods>(scheduler.clone()));
    tasks.spawn(follow::<Nodes>(scheduler.clone()));
    tasks.spawn(follow::<Namespaces>(scheduler.clone()));
}

/// What the objects of one collection mean.
trait Collection: Send + 'static {
    type Object: Resource<DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static;
    type Key: Eq + Hash + Send + Sync;
    fn key(object: &Self::Object) -> Self::Key;
    fn put(state: &mut State, options: &crate::Options, object: Self::Object) -> Wake;
    fn remove(state: &mut State, key: &Self::Key) -> Wake;
    /// Everything that is held by now.
    fn held(state: &State) -> Vec<Self::Key>;
}

async fn follow<C: Collection>(scheduler: Arc<Scheduler>) {
    let api = Api::<C::Object>::all(scheduler.client.clone());
    let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
    let mut listed = HashSet::new();
    let mut synced = false;
    let mut delay = FIRST_DELAY;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                warn!(what = %C::Object::plural(&()), %error, "cannot watch");
                tokio::time::sleep(dice::jitter(delay, 0.5)).await;
                delay = (delay * 2).min(LONGEST_DELAY);
                continue;
            }
        };
        delay = FIRST_DELAY;
        let changed = {
            let mut state = scheduler.state();
            let options = &scheduler.options;
            let wake = match event {
                Event::Init => {
                    listed.clear();
                    Wake::NONE
                }
                Event::InitApply(object) => {
                    listed.insert(C::key(&object));
                    C::put(&mut state, options, object)
                }
                Event::InitDone => {
                    let vanished = C::held(&state).into_iter().filter(|key| !listed.contains(key));
                    let vanished: Vec<_> = vanished.collect();
                    let removed = vanished.iter().map(|key| C::remove(&mut state, key));
                    let wake = removed.fold(Wake::NONE, Wake::or);
                    listed.clear();
                    if !synced {
                        synced = true;
                        state.listed += 1;
                    }
                    wake
                }
                Event::Apply(object) => C::put(&mut state, options, object),
                Event::Delete(object) => C::remove(&mut state, &C::key(&object)),
            };
            let woken = state.queue.wake(wake, Instant::now());
            woken || !state.queue.is_idle()
        };
        if changed {
            scheduler.changed.notify_one();
        }
    }
}

struct Pods;

impl Collection for Pods {
    type Object = Pod;
    type Key = Key;

    fn key(object: &Pod) -> Key {
        pod::key(object)
    }

    fn put(state: &mut State, options: &crate::Options, object: Pod) -> Wake {
        let key = pod::key(&object);
        if pods::is_terminal(&object) {
            return Self::remove(state, &key);
        }
        if let Some(node) = pod::node_of(&object) {
            state.queue.remove(&key);
            let node = node.to_owned();
            return state.cluster.place(Arc::new(PodInfo::of(&object)), &node);
        }
        let mut wake = Wake::NONE;
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        if state.cluster.uid_of(&key).is_some_and(|held| held != uid) {
            // Another pod of the same name has taken its place.
            wake = state.cluster.remove(&key);
        }
        if !pod::is_waiting(&object, &options.name) {
            state.queue.remove(&key);
        } else if !state.cluster.is_assumed(&key) {
            state.queue.put(Pending::of(object));
        }
        wake
    }

    fn remove(state: &mut State, key: &Key) -> Wake {
        state.queue.remove(key);
        state.cluster.remove(key)
    }

    fn held(state: &State) -> Vec<Key> {
        let mut keys = state.cluster.reported();
        keys.extend(state.queue.keys());
        keys
    }
}

struct Nodes;

impl Collection for Nodes {
    type Object = Node;
    type Key = String;

    fn key(object: &Node) -> String {
        object.metadata.name.clone().unwrap_or_default()
    }

    fn put(state: &mut State, _: &crate::Options, object: Node) -> Wake {
        state.cluster.set_node(NodeFacts::of(&object))
    }

    fn remove(state: &mut State, key: &String) -> Wake {
        state.cluster.remove_node(key)
    }

    fn held(state: &State) -> Vec<String> {
        state.cluster.node_names()
    }
}

struct Namespaces;

impl Collection for Namespaces {
    type Object = Namespace;
    type Key = String;

    fn key(object: &Namespace) -> String {
        object.metadata.name.clone().unwrap_or_default()
    }

    fn put(state: &mut State, _: &crate::Options, object: Namespace) -> Wake {
        state.cluster.set_namespace(object)
    }

    fn remove(state: &mut State, key: &String) -> Wake {
        state.cluster.remove_namespace(key);
        Wake::NONE
    }

    fn held(state: &State) -> Vec<String> {
        state.cluster.namespace_names()
    }
}
