//! Slices of Endpoints that somebody else keeps for a Service without selector, so that who reads
//! slices alone sees them too.

use std::net::IpAddr;

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{EndpointAddress, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::plan::{self, Group, Groups, Port, Whole};
use super::{MANAGER_LABEL, SERVICE_LABEL, label, service_of, write};
use crate::backends::Family;
use crate::context::Context;
use crate::error::Result;
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 5;
/// Addresses of a subset that are mirrored.
const CAPACITY: usize = 1000;

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Says that Endpoints are in slices already.
const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Marks Endpoints that are the lock of an election.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// What is about the Endpoints alone.
const NOT_COPIED: [&str; 2] = [
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
];

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("endpoint_slice_mirroring");
    context.informers.endpoints.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(endpoints) = change.latest() {
                queue.add(Key::of(&**endpoints));
            }
        }
    });
    context.informers.services.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(service) = change.latest() {
                queue.add(Key::of(&**service));
            }
        }
    });
    context.informers.endpoint_slices.on_change({
        let queue = queue.clone();
        move |change| {
            for slice in change.both() {
                if label(slice, MANAGER_LABEL) == Some(MANAGER)
                    && let Some(service) = service_of(slice)
                {
                    let namespace = slice.metadata.namespace.clone();
                    queue.add(Key::new(namespace.unwrap_or_default(), service));
                }
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, Mirroring { context: context.clone() });
    Box::pin(async move {
        waiting.informers.endpoints.synced().await;
        waiting.informers.services.synced().await;
        waiting.informers.endpoint_slices.synced().await;
        runner.run().await;
    })
}

struct Mirroring {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Mirroring {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let informers = &self.context.informers;
        // The slices of vanished Endpoints are collected as their dependents.
        let Some(endpoints) = informers.endpoints.get(key) else { return Ok(Next::Wait) };
        if endpoints.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Wait);
        }
        let uid = endpoints.metadata.uid.as_deref().unwrap_or_default();
        let mut existing = informers.endpoint_slices.controlled_by(uid);
        existing.retain(|slice| label(slice, MANAGER_LABEL) == Some(MANAGER));
        let service = informers.services.get(key);
        let (wanted, skipped) = if mirrored(&endpoints, service.as_deref()) {
            groups(&endpoints)
        } else {
            (Groups::new(), 0)
        };
        let plan = plan::plan(&whole(&endpoints), &existing, wanted);
        let changes = !(plan.create.is_empty() && plan.update.is_empty());
        if skipped > 0 && changes {
            let message = format!(
                "A max of {CAPACITY} addresses can be mirrored to EndpointSlices per Endpoints \
                 subset. {skipped} addresses were skipped"
            );
            self.context.events.warning(&*endpoints, "TooManyAddressesToMirror", message);
        }
        write::carry_out(&self.context, &*endpoints, plan).await?;
        Ok(Next::Wait)
    }
}

/// Whether the Endpoints are a person's, for a Service whose endpoints nobody else keeps.
fn mirrored(endpoints: &Endpoints, service: Option<&Service>) -> bool {
    let metadata = &endpoints.metadata;
    let skips = metadata.labels.as_ref().and_then(|labels| labels.get(SKIP_LABEL));
    let elects = metadata.annotations.as_ref().is_some_and(|all| all.contains_key(LEADER));
    let selector = |service: &Service| service.spec.as_ref().and_then(|spec| spec.selector.clone());
    let selects =
        service.is_none_or(|service| selector(service).is_some_and(|all| !all.is_empty()));
    skips.is_none_or(|skips| skips != "true") && !elects && !selects
}

fn whole(endpoints: &Endpoints) -> Whole {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !NOT_COPIED.contains(&name.as_str()));
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_LABEL.to_owned(), name.clone());
    labels.insert(MANAGER_LABEL.to_owned(), MANAGER.to_owned());
    let metadata = ObjectMeta {
        generate_name: Some(format!("{name}-")),
        namespace: endpoints.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    };
    Whole { families: vec![], metadata }
}

/// The endpoints by family and ports, and how many addresses were left out.
fn groups(endpoints: &Endpoints) -> (Groups, usize) {
    let mut groups = Groups::new();
    let mut skipped = 0;
    for subset in endpoints.subsets.iter().flatten() {
        let port = |port: &k8s_openapi::api::core::v1::EndpointPort| Port {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            port: port.port,
            app_protocol: port.app_protocol.clone(),
        };
        let mut ports: Vec<_> = subset.ports.iter().flatten().map(port).collect();
        ports.sort();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (at, (address, ready)) in ready.chain(unready).enumerate() {
            if at >= CAPACITY {
                skipped += 1;
                continue;
            }
            let Ok(ip) = address.ip.parse::<IpAddr>() else { continue };
            let family = if ip.is_ipv6() { Family::V6 } else { Family::V4 };
            let group = Group { family, ports: ports.clone() };
            groups.entry(group).or_default().push(endpoint(address, ip, ready));
        }
    }
    (groups, skipped)
}

fn endpoint(address: &EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..Default::default() }),
        target_ref: address.target_ref.clone(),
        node_name: address.node_name.clone(),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn endpoints(metadata: Value, subsets: Value) -> Endpoints {
        serde_json::from_value(json!({"metadata": metadata, "subsets": subsets})).unwrap()
    }

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "own"}, "spec": spec})).unwrap()
    }

    #[test]
    fn only_what_nobody_else_keeps_is_mirrored() {
        let plain = service(json!({}));
        let kept = service(json!({"selector": {"a": "b"}}));
        for (metadata, service, expected) in [
            (json!({}), Some(&plain), true),
            (json!({}), Some(&kept), false),
            (json!({}), None, false),
            (json!({"labels": {SKIP_LABEL: "true"}}), Some(&plain), false),
            (json!({"labels": {SKIP_LABEL: "false"}}), Some(&plain), true),
            (json!({"annotations": {LEADER: "{}"}}), Some(&plain), false),
        ] {
            let shown = metadata.to_string();
            assert_eq!(mirrored(&endpoints(metadata, json!([])), service), expected, "{shown}");
        }
    }

    #[test]
    fn addresses_are_told_apart_by_family_and_bounded() {
        let subsets = json!([{
            "ports": [{"name": "web", "port": 80}],
            "addresses": [{"ip": "10.0.0.1", "hostname": "a"}, {"ip": "fd00::1"}, {"ip": "no"}],
            "notReadyAddresses": [{"ip": "10.0.0.2"}],
        }]);
        let (found, skipped) = groups(&endpoints(json!({}), subsets));
        let counts: Vec<_> = found
            .iter()
            .map(|(group, all)| (group.family, group.ports[0].port, all.len()))
            .collect();
        assert_eq!((counts, skipped), (vec![(Family::V4, 80, 2), (Family::V6, 80, 1)], 0));
        let many: Vec<_> = (0..CAPACITY + 7)
            .map(|at| json!({"ip": format!("10.1.{}.{}", at / 250, at % 250)}))
            .collect();
        let (_, skipped) = groups(&endpoints(json!({}), json!([{"addresses": many}])));
        assert_eq!(skipped, 7);
    }

    #[test]
    fn a_mirror_carries_what_its_original_does() {
        let annotations = json!({NOT_COPIED[0]: "x", NOT_COPIED[1]: "y", "mine": "z"});
        let original = endpoints(
            json!({"name": "own", "namespace": "default", "labels": {"a": "b"},
                "annotations": annotations}),
            json!([{"addresses": [{"ip": "10.0.0.1"}]}]),
        );
        let plan = plan::plan(&whole(&original), &[], groups(&original).0);
        let metadata = &plan.create[0].metadata;
        assert_eq!(metadata.annotations, Some([("mine".to_owned(), "z".to_owned())].into()));
        let labels = metadata.labels.as_ref().unwrap();
        assert_eq!((&*labels["a"], &*labels[SERVICE_LABEL]), ("b", "own"));
        assert_eq!(labels[MANAGER_LABEL], MANAGER);
    }
}
