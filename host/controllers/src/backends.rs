//! What stands behind a Service: which pods, at which addresses, on which ports. Shared by
//! `endpointslice` and `endpoints`.

use std::sync::Arc;

use coracle_api::pods;
use coracle_api::selector::Selector;
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::context::{Context, Informers};
use crate::informer::Change;
use crate::queue::Queue;
use crate::runner::Key;

/// Marks what belongs to a Service without a cluster address.
pub(crate) const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// The families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// As EndpointSlices spell it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    fn of(address: &str) -> Self {
        if address.contains(':') { Self::V6 } else { Self::V4 }
    }
}

/// Wakes the Services whose backends may have changed, through `queue`.
pub(crate) fn watch(context: &Context, queue: &Arc<Queue<Key>>) {
    context.informers.services.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(service) = change.latest() {
                queue.add(Key::of(&**service));
            }
        }
    });
    context.informers.pods.on_change({
        let queue = queue.clone();
        let informers = Arc::downgrade(&context.informers);
        move |change| {
            if let Some(informers) = informers.upgrade() {
                pod_changed(&informers, &queue, change);
            }
        }
    });
}

fn pod_changed(informers: &Informers, queue: &Queue<Key>, change: &Change<Pod>) {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && facts(old) == facts(new)
        && old.metadata.labels == new.metadata.labels
    {
        return;
    }
    let Some(pod) = change.latest() else { return };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for service in informers.services.in_namespace(namespace) {
        let Some(selector) = selector_of(&service) else { continue };
        if change.both().any(|pod| selector.matches_some(pod.metadata.labels.as_ref())) {
            queue.add(Key::of(&*service));
        }
    }
}

/// What of a pod shows in a Service's endpoints, its labels aside.
fn facts(pod: &Pod) -> impl PartialEq + '_ {
    let spec = pod.spec.as_ref();
    (
        pods::is_ready(pod),
        pods::is_terminal(pod),
        pods::is_terminating(pod),
        pod.status.as_ref().and_then(|status| status.pod_ips.as_ref()),
        pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()),
        spec.and_then(|spec| spec.node_name.as_ref()),
        spec.and_then(|spec| spec.hostname.as_ref()),
    )
}

/// The selector of a Service whose endpoints are kept for it.
pub(crate) fn selector_of(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let labels = spec.selector.as_ref().filter(|labels| !labels.is_empty())?;
    Some(Selector::from(labels))
}

/// Whether a Service has no cluster address.
pub(crate) fn is_headless(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    matches!(address, None | Some("" | "None"))
}

/// The families of addresses that a Service has.
pub(crate) fn families(service: &Service) -> Vec<Family> {
    let spec = service.spec.as_ref();
    let named = spec.and_then(|spec| spec.ip_families.as_ref()).into_iter().flatten();
    let mut families: Vec<_> =
        named.map(|name| if name == "IPv6" { Family::V6 } else { Family::V4 }).collect();
    if families.is_empty() {
        let address = spec.and_then(|spec| spec.cluster_ip.as_deref()).unwrap_or_default();
        families.push(Family::of(address));
    }
    families.sort();
    families.dedup();
    families
}

/// Whether not-ready pods count as ready.
pub(crate) fn publishes_not_ready(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

/// The pods behind a Service that have an address and are not over, in the order of their names.
pub(crate) fn pods(informers: &Informers, service: &Service, selector: &Selector) -> Vec<Arc<Pod>> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let mut pods = informers.pods.in_namespace(namespace);
    pods.retain(|pod| {
        selector.matches_some(pod.metadata.labels.as_ref())
            && !pods::is_terminal(pod)
            && pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some())
    });
    pods
}

/// The addresses of a pod in a family.
pub(crate) fn addresses(pod: &Pod, family: Family) -> Vec<String> {
    let Some(status) = &pod.status else { return Vec::new() };
    let mut all: Vec<String> =
        status.pod_ips.iter().flatten().map(|address| address.ip.clone()).collect();
    if all.is_empty() {
        all.extend(status.pod_ip.clone());
    }
    all.retain(|address| !address.is_empty() && Family::of(address) == family);
    all
}

/// The number on which `pod` serves a Service's port; none if it has no port of that name.
pub(crate) fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|one| pods::is_sidecar(one));
    let protocol = protocol_of(port);
    let named = |container: &Container| {
        container.ports.iter().flatten().find_map(|candidate| {
            let its = candidate.protocol.as_deref().unwrap_or("TCP");
            (candidate.name.as_ref() == Some(name) && its == protocol)
                .then_some(candidate.container_port)
        })
    };
    spec.containers.iter().find_map(named).or_else(|| {
        let mut sidecars = sidecars;
        sidecars.find_map(named)
    })
}

/// The protocol of a Service's port.
pub(crate) fn protocol_of(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

/// The name by which DNS knows a pod beneath a Service, if it chose to have one there.
pub(crate) fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.as_ref().filter(|hostname| !hostname.is_empty())?;
    let beneath = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    (beneath && pod.metadata.namespace == service.metadata.namespace).then(|| hostname.clone())
}

/// How an endpoint refers to its pod.
pub(crate) fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The node that a pod is on.
pub(crate) fn node_name(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        let metadata = json!({"name": "web", "namespace": "default"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    #[test]
    fn target_ports_are_found_by_number_and_name() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": {
            "containers": [{"name": "a", "ports": [{"name": "http", "containerPort": 8080},
                {"name": "dns", "containerPort": 53, "protocol": "UDP"}]}],
            "initContainers": [
                {"name": "s", "restartPolicy": "Always",
                    "ports": [{"name": "proxy", "containerPort": 9090}]},
                {"name": "i", "ports": [{"name": "init", "containerPort": 1}]}],
        }}))
        .unwrap();
        for (port, expected) in [
            (json!({"port": 80}), Some(80)),
            (json!({"port": 80, "targetPort": 0}), Some(80)),
            (json!({"port": 80, "targetPort": 8000}), Some(8000)),
            (json!({"port": 80, "targetPort": "http"}), Some(8080)),
            (json!({"port": 80, "targetPort": "dns"}), None),
            (json!({"port": 53, "targetPort": "dns", "protocol": "UDP"}), Some(53)),
            (json!({"port": 80, "targetPort": "proxy"}), Some(9090)),
            (json!({"port": 80, "targetPort": "init"}), None),
            (json!({"port": 80, "targetPort": "other"}), None),
        ] {
            let text = port.to_string();
            let port = serde_json::from_value(port).unwrap();
            assert_eq!(target_port(&pod, &port), expected, "{text}");
        }
    }

    #[test]
    fn only_services_with_a_selector_are_kept() {
        assert!(selector_of(&service(json!({"selector": {"a": "b"}}))).is_some());
        assert!(selector_of(&service(json!({"selector": {}}))).is_none());
        assert!(selector_of(&service(json!({}))).is_none());
        let external = json!({"selector": {"a": "b"}, "type": "ExternalName"});
        assert!(selector_of(&service(external)).is_none());
    }

    #[test]
    fn families_follow_the_service() {
        let both = json!({"ipFamilies": ["IPv6", "IPv4"], "clusterIP": "10.0.0.1"});
        assert_eq!(families(&service(both)), [Family::V4, Family::V6]);
        assert_eq!(families(&service(json!({"clusterIP": "fd00::1"}))), [Family::V6]);
        assert_eq!(families(&service(json!({"clusterIP": "None"}))), [Family::V4]);
        assert!(is_headless(&service(json!({"clusterIP": "None"}))));
    }

    #[test]
    fn a_hostname_counts_beneath_its_own_service_only() {
        let pod = |subdomain: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"namespace": "default"},
                "spec": {"containers": [], "hostname": "web-0", "subdomain": subdomain}}))
            .unwrap()
        };
        let service = service(json!({}));
        assert_eq!(hostname(&pod("web"), &service).as_deref(), Some("web-0"));
        assert_eq!(hostname(&pod("other"), &service), None);
    }
}
