//! EndpointSlices: the addresses behind each Service that has a selector, at most a hundred a slice.
//! Which slices there must be is computed in `plan`, purely; `write` carries it out. `mirroring`
//! makes slices of the Endpoints of Services that have none.

pub(crate) mod mirroring;
mod plan;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use coracle_api::pods;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::backends;
use crate::context::{Context, Informers};
use crate::error::Result;
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 5;

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("endpoint_slice");
    backends::watch(&context, &queue);
    context.informers.endpoint_slices.on_change({
        let queue = queue.clone();
        move |change| {
            for slice in change.both().filter(|slice| is_ours(slice)) {
                if let Some(service) = service_of(slice) {
                    queue.add(Key::new(
                        slice.metadata.namespace.clone().unwrap_or_default(),
                        service,
                    ));
                }
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, EndpointSlices { context: context.clone() });
    Box::pin(async move {
        waiting.informers.services.synced().await;
        waiting.informers.pods.synced().await;
        waiting.informers.nodes.synced().await;
        waiting.informers.endpoint_slices.synced().await;
        runner.run().await;
    })
}

fn label<'a>(slice: &'a EndpointSlice, name: &str) -> Option<&'a str> {
    slice.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn is_ours(slice: &EndpointSlice) -> bool {
    label(slice, MANAGER_LABEL) == Some(MANAGER)
}

fn service_of(slice: &EndpointSlice) -> Option<&str> {
    label(slice, SERVICE_LABEL)
}

struct EndpointSlices {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for EndpointSlices {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let informers = &self.context.informers;
        // The slices of a vanished Service are collected as its dependents.
        let Some(service) = informers.services.get(key) else { return Ok(Next::Wait) };
        let Some(selector) = backends::selector_of(&service) else { return Ok(Next::Wait) };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Wait);
        }
        let uid = service.metadata.uid.as_deref().unwrap_or_default();
        let mut existing = informers.endpoint_slices.controlled_by(uid);
        existing.retain(|slice| is_ours(slice) && service_of(slice) == Some(&key.name));

        let pods = backends::pods(informers, &service, &selector);
        let wanted = groups(informers, &service, &pods);
        let plan = plan::plan(&whole(&service), &existing, wanted);
        write::carry_out(&self.context, &*service, plan).await?;
        Ok(Next::Wait)
    }
}

/// Slices carry the Service's labels and ours.
fn whole(service: &Service) -> plan::Whole {
    let name = service.metadata.name.clone().unwrap_or_default();
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.retain(|label, _| label != backends::HEADLESS_LABEL);
    if backends::is_headless(service) {
        labels.insert(backends::HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(SERVICE_LABEL.to_owned(), name.clone());
    labels.insert(MANAGER_LABEL.to_owned(), MANAGER.to_owned());
    let metadata = ObjectMeta {
        generate_name: Some(format!("{name}-")),
        namespace: service.metadata.namespace.clone(),
        labels: Some(labels),
        ..ObjectMeta::default()
    };
    // Each family is told of at least once, even if nothing is behind the Service.
    plan::Whole { families: backends::families(service), metadata }
}

/// The endpoints that there must be, by family and ports: pods may serve a named port on different
/// numbers.
fn groups(informers: &Informers, service: &Service, pods: &[Arc<Pod>]) -> plan::Groups {
    let mut groups = plan::Groups::new();
    for family in backends::families(service) {
        for pod in pods {
            let addresses = backends::addresses(pod, family);
            if addresses.is_empty() {
                continue;
            }
            let group = plan::Group { family, ports: ports(service, pod) };
            groups.entry(group).or_default().push(endpoint(informers, service, pod, addresses));
        }
    }
    groups
}

fn ports(service: &Service, pod: &Pod) -> Vec<plan::Port> {
    let declared = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let mut ports: Vec<_> = declared
        .into_iter()
        .flatten()
        .filter_map(|port| {
            Some(plan::Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: backends::protocol_of(port).to_owned(),
                port: backends::target_port(pod, port)?,
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort();
    ports
}

impl From<plan::Port> for EndpointPort {
    fn from(port: plan::Port) -> Self {
        Self {
            name: Some(port.name),
            protocol: Some(port.protocol),
            port: Some(port.port),
            app_protocol: port.app_protocol,
        }
    }
}

fn endpoint(
    informers: &Informers,
    service: &Service,
    pod: &Pod,
    addresses: Vec<String>,
) -> Endpoint {
    let serving = pods::is_ready(pod);
    let terminating = pods::is_terminating(pod);
    let node_name = backends::node_name(pod);
    let node = node_name.as_ref().and_then(|name| informers.nodes.get(&Key::new("", name)));
    let zone = node.and_then(|node| node.metadata.labels.as_ref()?.get(ZONE_LABEL).cloned());
    Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(backends::publishes_not_ready(service) || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: backends::hostname(pod, service),
        node_name,
        target_ref: Some(backends::reference(pod)),
        zone,
        ..Endpoint::default()
    }
}
