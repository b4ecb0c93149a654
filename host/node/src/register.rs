//! The Node object: made or taken over at the start, its status renewed every five minutes or when
//! something about it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_api::conditions::{self, Condition};
use coracle_api::{clock, version};
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, Node as Object, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec,
    NodeStatus, NodeSystemInfo, Pod,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::{FUEL, Node, RUNTIME_LABEL, admission};

/// How often an unchanged status is written again.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(300);

/// The version of the runtime, as `containerRuntimeVersion` and container ids name it.
const RUNTIME: &str = "wasmtime://48.0.8";

const HOSTNAME: &str = "kubernetes.io/hostname";

impl Node {
    /// Makes the Node object, or takes over the one that is there; its labels are brought up to
    /// date, everything else in it is somebody's decision and stays.
    pub(crate) async fn register(&self) -> kube::Result<Object> {
        let api: Api<Object> = Api::all(self.client.clone());
        let object = self.object();
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(answer)) if answer.reason == "AlreadyExists" => {}
            made => return made,
        }
        let patch = json!({"metadata": {"labels": object.metadata.labels}});
        api.patch(&self.config.name, &PatchParams::default(), &Patch::Strategic(patch)).await
    }

    /// The labels that the node registers with.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let (runtime, wasmtime) = RUNTIME_LABEL;
        let mut labels: BTreeMap<String, String> = [
            (HOSTNAME, self.config.name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", architecture()),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", architecture()),
            (runtime, wasmtime),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        labels.extend(self.config.labels.clone());
        labels
    }

    /// The labels that `pod` is judged by: those the node registered with, or, if these are not
    /// enough, the present ones, for people label nodes too.
    pub(crate) async fn labels_for(&self, pod: &Pod) -> BTreeMap<String, String> {
        let own = self.labels();
        if pod.spec.as_ref().is_none_or(|spec| admission::selected(spec, &own)) {
            return own;
        }
        let api: Api<Object> = Api::all(self.client.clone());
        match api.get(&self.config.name).await {
            Ok(node) => node.metadata.labels.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "reading the node's labels");
                own
            }
        }
    }

    fn object(&self) -> Object {
        let taints = self.config.taints.clone();
        Object {
            metadata: ObjectMeta {
                name: Some(self.config.name.clone()),
                labels: Some(self.labels()),
                ..Default::default()
            },
            spec: Some(NodeSpec {
                taints: (!taints.is_empty()).then_some(taints),
                ..Default::default()
            }),
            status: None,
        }
    }

    /// Writes the node's status: capacity, addresses, what runs here, and whether it is ready.
    pub(crate) async fn write_status(&self, before: &Object, ready: bool) -> kube::Result<Object> {
        let api: Api<Object> = Api::all(self.client.clone());
        let old = before.status.clone().unwrap_or_default();
        let status = self.status(&old, ready);
        let patch: Value = json!({"status": status});
        api.patch_status(&self.config.name, &PatchParams::default(), &Patch::Strategic(patch)).await
    }

    fn status(&self, old: &NodeStatus, ready: bool) -> NodeStatus {
        let capacity = &self.config.capacity;
        let quantities: BTreeMap<String, Quantity> = [
            ("cpu", format_cpu(capacity.cpu_millis)),
            ("memory", format!("{}Ki", capacity.memory / 1024)),
            ("pods", capacity.pods.to_string()),
            ("ephemeral-storage", format!("{}Ki", capacity.ephemeral_storage / 1024)),
            (FUEL, i64::MAX.to_string()),
        ]
        .map(|(name, text)| (name.to_owned(), Quantity(text)))
        .into();
        let mut all = old.conditions.clone();
        for condition in judgements(ready) {
            conditions::set(&mut all, condition);
        }
        for condition in all.iter_mut().flatten() {
            condition.last_heartbeat_time = Some(Time(clock::now()));
        }
        let address = |type_: &str, address: String| NodeAddress { type_: type_.into(), address };
        NodeStatus {
            capacity: Some(quantities.clone()),
            allocatable: Some(quantities),
            conditions: all,
            addresses: Some(vec![
                address("InternalIP", self.config.address.to_string()),
                address("Hostname", self.config.name.clone()),
            ]),
            daemon_endpoints: self.config.kubelet_port.map(|port| NodeDaemonEndpoints {
                kubelet_endpoint: Some(DaemonEndpoint { port: port.into() }),
            }),
            node_info: Some(system_info()),
            ..Default::default()
        }
    }
}

fn judgements(ready: bool) -> [NodeCondition; 4] {
    [
        NodeCondition::new(
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        NodeCondition::new(
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure",
        ),
        NodeCondition::new(
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        if ready {
            NodeCondition::new("Ready", "True", "KubeletReady", "kubelet is posting ready status")
        } else {
            NodeCondition::new(
                "Ready",
                "False",
                "KubeletNotReady",
                "container runtime network not ready: the node has no range of pod addresses",
            )
        },
    ]
}

fn format_cpu(millis: u32) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// The processor's name as Go and OCI spell it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn system_info() -> NodeSystemInfo {
    let read = |path: &str| {
        std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let machine = read("/etc/machine-id");
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    NodeSystemInfo {
        architecture: architecture().into(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: RUNTIME.into(),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        kube_proxy_version: String::new(),
        kubelet_version: version::KUBERNETES.into(),
        system_uuid: machine.clone(),
        machine_id: machine,
        operating_system: "linux".into(),
        os_image: name
            .map_or_else(|| std::env::consts::OS.into(), |name| name.trim_matches('"').into()),
        swap: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_whole_where_they_can_be() {
        assert_eq!(format_cpu(2000), "2");
        assert_eq!(format_cpu(666), "666m");
    }

    #[test]
    fn a_node_says_whether_it_is_ready() {
        for (ready, status, reason) in
            [(true, "True", "KubeletReady"), (false, "False", "KubeletNotReady")]
        {
            let all = judgements(ready);
            let found = all.iter().find(|condition| condition.type_ == "Ready").unwrap();
            assert_eq!((found.status.as_str(), found.reason.as_deref()), (status, Some(reason)));
        }
    }
}
