//! What of a pod matters to scheduling.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::{owner, pods};
use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, PodSpec};

use crate::resources::Resources;

/// Where a pod is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A port of the node's own address that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostPort {
    pub(crate) address: String,
    pub(crate) protocol: String,
    pub(crate) port: i32,
}

const EVERY_ADDRESS: &str = "0.0.0.0";

impl HostPort {
    /// Whether both cannot be had.
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address
                || self.address == EVERY_ADDRESS
                || other.address == EVERY_ADDRESS)
    }
}

/// A pod as its node counts it.
#[derive(Debug)]
pub(crate) struct PodInfo {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) requests: Resources,
    pub(crate) ports: Vec<HostPort>,
    pub(crate) labels: BTreeMap<String, String>,
    /// The uid of its controller.
    pub(crate) owner: Option<String>,
    pub(crate) terminating: bool,
    /// Pods that must not come near it.
    pub(crate) keeps_away: Vec<PodAffinityTerm>,
}

impl PodInfo {
    pub(crate) fn of(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let none = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&none);
        let affinity = spec.affinity.as_ref().and_then(|all| all.pod_anti_affinity.as_ref());
        let keeps_away = affinity
            .and_then(|anti| anti.required_during_scheduling_ignored_during_execution.clone());
        Self {
            key: key(pod),
            uid: metadata.uid.clone().unwrap_or_default(),
            requests: Resources::of(pods::requests(spec)),
            ports: host_ports(spec),
            labels: metadata.labels.clone().unwrap_or_default(),
            owner: owner::controller_of(metadata).map(|owner| owner.uid.clone()),
            terminating: pods::is_terminating(pod),
            keeps_away: keeps_away.unwrap_or_default(),
        }
    }
}

/// Where `pod` is.
pub(crate) fn key(pod: &Pod) -> Key {
    Key {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|one| pods::is_sidecar(one));
    let declared =
        spec.containers.iter().chain(sidecars).flat_map(|one| one.ports.iter().flatten());
    let taken = declared.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let address = port.host_ip.clone().filter(|address| !address.is_empty());
        Some(HostPort {
            address: address.unwrap_or_else(|| EVERY_ADDRESS.to_owned()),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            port: number,
        })
    });
    taken.collect()
}

/// A pod that needs a node.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) info: Arc<PodInfo>,
    pub(crate) pod: Arc<Pod>,
}

impl Pending {
    pub(crate) fn of(mut pod: Pod) -> Self {
        pod.metadata.managed_fields = None;
        Self { info: Arc::new(PodInfo::of(&pod)), pod: Arc::new(pod) }
    }

    pub(crate) fn priority(&self) -> i32 {
        self.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0)
    }

    pub(crate) fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }
}

/// Whether `pod` waits for the scheduler `name` to place it.
pub(crate) fn is_waiting(pod: &Pod, name: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    let scheduler = spec.scheduler_name.as_deref().filter(|name| !name.is_empty());
    !gated
        && scheduler.unwrap_or("default-scheduler") == name
        && node_of(pod).is_none()
        && pods::is_active(pod)
}

/// The node that a pod was given.
pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "d"}, "spec": spec}))
            .unwrap()
    }

    #[test]
    fn ports_conflict_by_number_protocol_and_address() {
        let port = |address: &str, protocol: &str, port: i32| HostPort {
            address: address.to_owned(),
            protocol: protocol.to_owned(),
            port,
        };
        let all = port("0.0.0.0", "TCP", 80);
        for (other, conflict) in [
            (port("0.0.0.0", "TCP", 80), true),
            (port("127.0.0.1", "TCP", 80), true),
            (port("127.0.0.1", "UDP", 80), false),
            (port("127.0.0.1", "TCP", 81), false),
        ] {
            assert_eq!(all.conflicts(&other), conflict, "{other:?}");
        }
        assert!(!port("10.0.0.1", "TCP", 80).conflicts(&port("10.0.0.2", "TCP", 80)));
    }

    #[test]
    fn a_waiting_pod_is_ours_free_and_open() {
        let name = "default-scheduler";
        assert!(is_waiting(&pod(json!({"containers": []})), name));
        for other in [
            json!({"containers": [], "nodeName": "n"}),
            json!({"containers": [], "schedulerName": "mine"}),
            json!({"containers": [], "schedulingGates": [{"name": "later"}]}),
        ] {
            assert!(!is_waiting(&pod(other.clone()), name), "{other}");
        }
        assert!(is_waiting(&pod(json!({"containers": [], "schedulerName": "mine"})), "mine"));
    }

    #[test]
    fn sidecars_take_ports_too() {
        let spec = json!({
            "containers": [{"name": "c", "ports": [{"containerPort": 1}]}],
            "initContainers": [
                {"name": "s", "restartPolicy": "Always",
                    "ports": [{"containerPort": 2, "hostPort": 2}]},
                {"name": "i", "ports": [{"containerPort": 3, "hostPort": 3}]}]});
        let ports = PodInfo::of(&pod(spec)).ports;
        assert_eq!(ports.iter().map(|port| port.port).collect::<Vec<_>>(), [2]);
    }
}
