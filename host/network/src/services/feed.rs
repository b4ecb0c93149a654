//! Keeps the table like the API server's Services and EndpointSlices.

use std::collections::HashSet;
use std::fmt::Debug;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::table::{Key, Services, key};
use crate::Fabric;

/// Watches Services and EndpointSlices and keeps the network's table, until it is dropped. When
/// the API server does not answer, the table stays as it was last known.
pub async fn run(client: Client, fabric: Fabric) {
    tokio::join!(
        follow::<Service>(client.clone(), fabric.services()),
        follow::<EndpointSlice>(client, fabric.services()),
    );
}

/// A kind that the table takes.
trait Entrant: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static {
    fn apply(&self, services: &Services);
    fn remove(services: &Services, namespace: &str, name: &str);
    fn retain(services: &Services, known: &HashSet<Key>);
}

impl Entrant for Service {
    fn apply(&self, services: &Services) {
        services.apply_service(self);
    }

    fn remove(services: &Services, namespace: &str, name: &str) {
        services.remove_service(namespace, name);
    }

    fn retain(services: &Services, known: &HashSet<Key>) {
        services.retain_services(known);
    }
}

impl Entrant for EndpointSlice {
    fn apply(&self, services: &Services) {
        services.apply_slice(self);
    }

    fn remove(services: &Services, namespace: &str, name: &str) {
        services.remove_slice(namespace, name);
    }

    fn retain(services: &Services, known: &HashSet<Key>) {
        services.retain_slices(known);
    }
}

async fn follow<K: Entrant>(client: Client, services: &Services) {
    let events = watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => absorb(event, services, &mut listed),
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "watch interrupted, will be resumed");
            }
        }
    }
}

/// Takes one event over. `listed` collects the keys of a list in progress: what was known before
/// and is not among them has gone while nobody watched.
fn absorb<K: Entrant>(event: Event<K>, services: &Services, listed: &mut HashSet<Key>) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            listed.insert(key(object.meta()));
            object.apply(services);
        }
        Event::InitDone => K::retain(services, &std::mem::take(listed)),
        Event::Apply(object) => object.apply(services),
        Event::Delete(object) => {
            let namespace = object.namespace().unwrap_or_default();
            K::remove(services, &namespace, &object.name_any());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use serde_json::json;

    use super::*;

    fn service(name: &str, ip: &str) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"clusterIP": ip, "ports": [{"port": 80, "nodePort": 30080}]},
        }))
        .unwrap()
    }

    fn names(services: &Services) -> Vec<String> {
        let mut names: Vec<_> =
            services.node_ports().into_iter().map(|port| port.service).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_missing_in_a_new_list_has_gone() {
        let services = Services::default();
        let mut listed = HashSet::new();
        let mut absorb = |event| absorb(event, &services, &mut listed);
        absorb(Event::Init);
        absorb(Event::InitApply(service("a", "10.96.0.1")));
        absorb(Event::InitApply(service("b", "10.96.0.2")));
        absorb(Event::InitDone);
        absorb(Event::Apply(service("c", "10.96.0.3")));
        absorb(Event::Delete(service("a", "10.96.0.1")));
        assert_eq!(names(&services), ["b", "c"]);
        absorb(Event::Init);
        absorb(Event::InitApply(service("c", "10.96.0.3")));
        // Nothing is forgotten before the list is complete.
        assert_eq!(names(&services), ["b", "c"]);
        absorb(Event::InitDone);
        assert_eq!(names(&services), ["c"]);
        assert_eq!(services.node_ports()[0].target, SocketAddr::from(([10, 96, 0, 3], 80)));
    }
}
