//! What pods of this node read from the API besides themselves: ConfigMaps and Secrets (watched
//! as long as a volume shows them, one watch an object however many pods share it) and Services.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::env::{self, Fetched};

/// Objects that pods refer to.
pub(crate) struct Sources {
    client: Client,
    config_maps: Shared<ConfigMap>,
    secrets: Shared<Secret>,
    services: reflector::Store<Service>,
}

type Shared<K> = Mutex<HashMap<(String, String), Weak<Watched<K>>>>;

/// An object that is being watched until the last holder drops this.
#[derive(Debug)]
pub(crate) struct Watched<K> {
    state: watch::Receiver<State<K>>,
    task: AbortHandle,
}

/// Before the first answer, and then what the object is now.
#[derive(Clone, Debug)]
enum State<K> {
    Unknown,
    Known(Option<Arc<K>>),
}

impl<K> Drop for Watched<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K: Clone> Watched<K> {
    /// The object; waits for the first answer of the API. `None` if it does not exist.
    pub(crate) async fn get(&self) -> Option<Arc<K>> {
        let mut state = self.state.clone();
        match state.wait_for(|state| matches!(state, State::Known(_))).await.as_deref() {
            Ok(State::Known(object)) => object.clone(),
            _ => None,
        }
    }

    /// Returns when the object is no longer what it was when `seen` was taken.
    pub(crate) async fn changed(&self, seen: &Option<Arc<K>>) {
        let mut state = self.state.clone();
        let differs = |state: &State<K>| match (state, seen) {
            (State::Known(Some(now)), Some(seen)) => !Arc::ptr_eq(now, seen),
            (State::Known(None), None) | (State::Unknown, _) => false,
            (State::Known(_), _) => true,
        };
        if state.wait_for(differs).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Sources {
    /// The sources, and the task that keeps the services known.
    pub(crate) fn new(client: Client) -> (Self, impl Future<Output = ()>) {
        let (services, writer) = reflector::store();
        let all = Api::<Service>::all(client.clone());
        let stream = watcher(all, watcher::Config::default())
            .modify(|service| service.metadata.managed_fields = None)
            .default_backoff()
            .reflect(writer);
        let task = stream.for_each(|event| async {
            if let Err(error) = event {
                tracing::warn!(%error, "watching services");
            }
        });
        let sources =
            Self { client, config_maps: Mutex::default(), secrets: Mutex::default(), services };
        (sources, task)
    }

    /// A ConfigMap, watched.
    pub(crate) fn config_map(&self, namespace: &str, name: &str) -> Arc<Watched<ConfigMap>> {
        self.watched(&self.config_maps, namespace, name)
    }

    /// A Secret, watched.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Arc<Watched<Secret>> {
        self.watched(&self.secrets, namespace, name)
    }

    fn watched<K>(&self, shared: &Shared<K>, namespace: &str, name: &str) -> Arc<Watched<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(watched) = shared.get(&key).and_then(Weak::upgrade) {
            return watched;
        }
        shared.retain(|_, watched| watched.strong_count() > 0);
        let (sender, state) = watch::channel(State::Unknown);
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let stream = watcher::watch_object(api, name).default_backoff();
        let (namespace, name) = key.clone();
        let task = tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(found) = stream.next().await {
                match found {
                    Ok(object) => {
                        sender.send_replace(State::Known(object.map(Arc::new)));
                    }
                    Err(error) => {
                        tracing::warn!(namespace, name, %error, "watching an object of a volume");
                    }
                }
            }
        });
        let watched = Arc::new(Watched { state, task: task.abort_handle() });
        shared.insert(key, Arc::downgrade(&watched));
        watched
    }

    /// The ConfigMaps and Secrets that a container's environment refers to, as they are now.
    pub(crate) async fn fetch(
        &self,
        namespace: &str,
        container: &k8s_openapi::api::core::v1::Container,
    ) -> Result<Fetched, kube::Error> {
        let (config_maps, secrets) = env::references(container);
        let mut fetched = Fetched::default();
        for name in config_maps {
            if let Entry::Vacant(entry) = fetched.config_maps.entry(name) {
                let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
                let found = api.get_opt(entry.key()).await?.map(Arc::new);
                entry.insert(found);
            }
        }
        for name in secrets {
            if let Entry::Vacant(entry) = fetched.secrets.entry(name) {
                let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
                let found = api.get_opt(entry.key()).await?.map(Arc::new);
                entry.insert(found);
            }
        }
        Ok(fetched)
    }

    /// The variables that announce services to a pod of `namespace`.
    pub(crate) async fn service_variables(
        &self,
        namespace: &str,
        links: bool,
    ) -> std::collections::BTreeMap<String, String> {
        // Fails only when the node is going down.
        if self.services.wait_until_ready().await.is_err() {
            return Default::default();
        }
        let services = self.services.state();
        env::service_variables(services.iter().map(Arc::as_ref), namespace, links)
    }
}
