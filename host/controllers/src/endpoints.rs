//! Endpoints, the older form of EndpointSlices: one object a Service, of the Service's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use coracle_api::pods;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, PostParams};

use crate::backends;
use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 5;
/// Addresses in one object; what is beyond is only in the slices.
const CAPACITY: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGER_LABEL: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("endpoint");
    backends::watch(&context, &queue);
    context.informers.endpoints.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(endpoints) = change.latest().filter(|endpoints| is_ours(endpoints)) {
                queue.add(Key::of(&**endpoints));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, Controller { context: context.clone() });
    Box::pin(async move {
        waiting.informers.services.synced().await;
        waiting.informers.pods.synced().await;
        waiting.informers.endpoints.synced().await;
        runner.run().await;
    })
}

fn is_ours(endpoints: &Endpoints) -> bool {
    let manager = endpoints.metadata.labels.as_ref().and_then(|all| all.get(MANAGER_LABEL));
    manager.is_some_and(|manager| manager == MANAGER)
}

struct Controller {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Controller {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, events, .. } = &self.context;
        let api = Api::<Endpoints>::namespaced(client.clone(), &key.namespace);
        let existing = informers.endpoints.get(key);
        let Some(service) = informers.services.get(key) else {
            if let Some(existing) = existing.filter(|existing| is_ours(existing)) {
                match api.delete(&key.name, &DeleteParams::default()).await.doing("deleting") {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => informers.endpoints.forget(&existing),
                }
            }
            return Ok(Next::Wait);
        };
        let Some(selector) = backends::selector_of(&service) else { return Ok(Next::Wait) };
        let pods = backends::pods(informers, &service, &selector);
        let (subsets, truncated) = subsets(&service, &pods);
        let wanted = object(&service, existing.as_deref(), subsets, truncated);
        let written = match existing {
            Some(existing) if *existing == wanted => return Ok(Next::Wait),
            Some(_) => api.replace(&key.name, &PostParams::default(), &wanted).await,
            None => api.create(&PostParams::default(), &wanted).await,
        };
        match written.doing("writing Endpoints") {
            Ok(written) => {
                informers.endpoints.observe(written);
                Ok(Next::Wait)
            }
            Err(error) if error.is_namespace_terminating() => Ok(Next::Wait),
            Err(error) => {
                if !error.is_conflict() {
                    let message = format!(
                        "Failed to update endpoint {}/{}: {}",
                        key.namespace,
                        key.name,
                        error.for_people()
                    );
                    events.warning(&*service, "FailedToUpdateEndpoint", message);
                }
                Err(error)
            }
        }
    }
}

type Ports = Vec<(String, String, i32, Option<String>)>;

/// The addresses behind a Service, grouped by the ports they serve, and whether some were left out.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<EndpointSubset>, bool) {
    let tolerant = backends::publishes_not_ready(service);
    let family = backends::families(service).first().copied().unwrap_or(backends::Family::V4);
    let declared = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
    let mut groups: BTreeMap<Ports, (Vec<EndpointAddress>, Vec<EndpointAddress>)> = BTreeMap::new();
    let mut room = CAPACITY;
    let mut truncated = false;
    // Ready pods come first, so that a full object leaves out those that are not.
    let (ready, unready): (Vec<_>, Vec<_>) = pods
        .iter()
        .filter(|pod| tolerant || !pods::is_terminating(pod))
        .partition(|pod| tolerant || pods::is_ready(pod));
    let ready = ready.into_iter().map(|pod| (pod, true));
    for (pod, ready) in ready.chain(unready.into_iter().map(|pod| (pod, false))) {
        let Some(address) = backends::addresses(pod, family).into_iter().next() else { continue };
        let mut ports: Ports = declared
            .iter()
            .filter_map(|port| {
                let number = backends::target_port(pod, port)?;
                let protocol = backends::protocol_of(port).to_owned();
                Some((
                    port.name.clone().unwrap_or_default(),
                    protocol,
                    number,
                    port.app_protocol.clone(),
                ))
            })
            .collect();
        if ports.is_empty() && !declared.is_empty() {
            continue;
        }
        if room == 0 {
            truncated = true;
            break;
        }
        room -= 1;
        ports.sort();
        let group = groups.entry(ports).or_default();
        let list = if ready { &mut group.0 } else { &mut group.1 };
        list.push(EndpointAddress {
            ip: address,
            hostname: backends::hostname(pod, service),
            node_name: backends::node_name(pod),
            target_ref: Some(backends::reference(pod)),
        });
    }
    let subsets = groups.into_iter().map(|(ports, (mut ready, mut unready))| {
        ready.sort_by(|a, b| a.ip.cmp(&b.ip));
        unready.sort_by(|a, b| a.ip.cmp(&b.ip));
        let ports = ports.into_iter().map(|(name, protocol, port, app_protocol)| EndpointPort {
            name: (!name.is_empty()).then_some(name),
            protocol: Some(protocol),
            port,
            app_protocol,
        });
        EndpointSubset {
            addresses: some(ready),
            not_ready_addresses: some(unready),
            ports: some(ports.collect()),
        }
    });
    (subsets.collect(), truncated)
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn object(
    service: &Service,
    existing: Option<&Endpoints>,
    subsets: Vec<EndpointSubset>,
    truncated: bool,
) -> Endpoints {
    let mut metadata = existing.map_or_else(
        || ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        |existing| existing.metadata.clone(),
    );
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    if backends::is_headless(service) {
        labels.insert(backends::HEADLESS_LABEL.to_owned(), String::new());
    } else {
        labels.remove(backends::HEADLESS_LABEL);
    }
    labels.insert(MANAGER_LABEL.to_owned(), MANAGER.to_owned());
    metadata.labels = Some(labels);
    if truncated {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(OVER_CAPACITY);
        if annotations.is_empty() {
            metadata.annotations = None;
        }
    }
    Endpoints { metadata, subsets: some(subsets) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        let metadata = json!({"name": "web", "namespace": "default", "labels": {"a": "b"}});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn pod(number: usize, ready: bool, port: i32) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        let pod = json!({
            "metadata": {"name": format!("p{number}"), "namespace": "default"},
            "spec": {"nodeName": "n", "containers": [{"name": "c",
                "ports": [{"name": "http", "containerPort": port}]}]},
            "status": {"podIP": format!("10.0.{}.{}", number / 250, number % 250),
                "conditions": [{"type": "Ready", "status": status}]},
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn named() -> Service {
        service(json!({"clusterIP": "10.9.0.1", "ports": [{"port": 80, "targetPort": "http"}]}))
    }

    #[test]
    fn addresses_are_grouped_by_ports_and_readiness() {
        let pods = [pod(1, true, 80), pod(2, false, 80), pod(3, true, 81)];
        let (subsets, truncated) = subsets(&named(), &pods);
        assert!(!truncated);
        let summary: Vec<_> = subsets
            .iter()
            .map(|subset| {
                let count = |list: &Option<Vec<EndpointAddress>>| list.iter().flatten().count();
                let port = subset.ports.as_ref().unwrap()[0].port;
                (port, count(&subset.addresses), count(&subset.not_ready_addresses))
            })
            .collect();
        assert_eq!(summary, [(80, 1, 1), (81, 1, 0)]);
    }

    #[test]
    fn tolerant_services_take_all_for_ready() {
        let tolerant = service(json!({"clusterIP": "None", "publishNotReadyAddresses": true}));
        let (subsets, _) = subsets(&tolerant, &[pod(1, false, 80)]);
        assert!(subsets[0].addresses.is_some() && subsets[0].not_ready_addresses.is_none());
        let object = object(&tolerant, None, subsets, false);
        assert!(object.metadata.labels.unwrap().contains_key(backends::HEADLESS_LABEL));
    }

    #[test]
    fn a_full_object_says_so_and_leaves_out_the_unready() {
        let mut pods: Vec<_> = (0..CAPACITY).map(|number| pod(number, true, 80)).collect();
        pods.insert(0, pod(CAPACITY, false, 80));
        let (subsets, truncated) = subsets(&named(), &pods);
        assert!(truncated);
        assert_eq!(subsets[0].addresses.as_ref().unwrap().len(), CAPACITY);
        assert_eq!(subsets[0].not_ready_addresses, None);
        let full = object(&named(), None, subsets.clone(), true);
        assert_eq!(full.metadata.annotations.as_ref().unwrap()[OVER_CAPACITY], "truncated");
        assert_eq!(object(&named(), Some(&full), subsets, false).metadata.annotations, None);
    }
}
