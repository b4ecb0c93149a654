//! The node agent: a kubelet to the outside, WebAssembly underneath.
//!
//! An [`Agent`] registers its node and renews its lease, watches the pods that are bound to it,
//! runs each by a worker of its own, and answers the kubelet's API (logs, statistics). The way of a
//! pod: `pods` (watch, admission) to `worker` (desired against actual: network, volumes, images,
//! containers, probes) to the sandbox; `status` says what became of it, `worker::publish` writes it.
//!
//! Owns: one node's share of the host, the pods' directories, logs, volumes.
//! May import: `coracle_api`, `coracle_sandbox`, `coracle_network`, `coracle_images`. Speaks to the
//! cluster through nothing but its `kube::Client`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use coracle_api::quantity::Quantity as Amount;
use coracle_api::version;
use coracle_images::Images;
use coracle_network::{Cidr, Fabric};
use coracle_sandbox::Engine;
use k8s_openapi::api::core::v1::Taint;
use kube::Client;
use tokio::sync::Semaphore;

mod admission;
mod agent;
mod backoff;
mod dial;
mod downward;
mod env;
mod events;
mod images;
mod lease;
mod logs;
mod metrics;
mod pods;
mod probes;
mod register;
mod registry;
mod server;
mod sources;
mod status;
mod unsupported;
mod volumes;
mod worker;

pub use agent::Agent;
pub use logs::LogLimits;

/// The annotation of a pod that says how instances of its HTTP handlers are used: `reuse` (one
/// instance answers many requests, the default) or `fresh` (each request has an instance of its
/// own).
pub const HTTP_INSTANCES: &str = "coracle.dev/http-instances";

/// The resource whose limit is the number of instructions that a container may execute in all.
pub const FUEL: &str = "coracle.dev/fuel";

/// The label of nodes whose pods are WebAssembly, and its value.
pub const RUNTIME_LABEL: (&str, &str) = ("coracle.dev/runtime", "wasmtime");

/// How an [`Agent`] is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub name: String,
    /// The directory of everything that belongs to this node alone.
    pub root: PathBuf,
    /// Labels beside those that every node has.
    pub labels: BTreeMap<String, String>,
    /// Taints that the node registers with.
    pub taints: Vec<Taint>,
    /// The node's share of the host.
    pub capacity: Capacity,
    /// The node's address.
    pub address: IpAddr,
    /// The port on which [`Agent::router`] is served, if it is: the Node object announces it.
    pub kubelet_port: Option<u16>,
    /// The range of the pods' addresses; without one the Node's `spec.podCIDR` is waited for.
    pub pod_cidr: Option<Cidr>,
    /// Images that may be made ready at once.
    pub max_parallel_pulls: usize,
    /// How long pods may take to end when the agent does.
    pub shutdown_grace: Duration,
    /// Rotation of logs.
    pub logs: LogLimits,
}

impl Config {
    /// A node of this name, directory and capacity on the loopback address.
    pub fn new(name: impl Into<String>, root: impl Into<PathBuf>, capacity: Capacity) -> Self {
        Self {
            name: name.into(),
            root: root.into(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            capacity,
            address: IpAddr::from([127, 0, 0, 1]),
            kubelet_port: None,
            pod_cidr: None,
            max_parallel_pulls: 4,
            shutdown_grace: Duration::from_secs(5),
            logs: LogLimits::default(),
        }
    }
}

/// A node's share of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Thousandths of processors.
    pub cpu_millis: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Pods.
    pub pods: u32,
    /// Bytes on disk.
    pub ephemeral_storage: u64,
}

impl Capacity {
    /// The amounts by resource name. Instructions are not scarce: a budget is a bound, not a share.
    fn amounts(&self) -> BTreeMap<String, Amount> {
        let units = |value: u64| Amount::units(i64::try_from(value).unwrap_or(i64::MAX));
        [
            ("cpu", Amount::milli(i64::from(self.cpu_millis))),
            ("memory", units(self.memory)),
            ("pods", units(u64::from(self.pods))),
            ("ephemeral-storage", units(self.ephemeral_storage)),
            (FUEL, Amount::units(i64::MAX)),
        ]
        .map(|(name, amount)| (name.to_owned(), amount))
        .into()
    }
}

/// Why an agent ended, or could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The node's directory cannot be used.
    #[error("cannot use the node's directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The thread that writes logs could not be started.
    #[error("cannot start the thread that writes logs: {0}")]
    Logs(io::Error),
    /// An agent's `run` was called twice.
    #[error("the agent has been run before")]
    RunBefore,
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What all parts of an agent share.
struct Node {
    config: Config,
    client: Client,
    engine: Engine,
    fabric: Fabric,
    images: Images,
    logs: logs::Logs,
    recorder: events::Recorder,
    sources: Arc<sources::Sources>,
    registry: registry::Registry,
    pulls: Semaphore,
    /// The range of the pods' addresses, once it is known.
    cidr: OnceLock<Cidr>,
    allocatable: BTreeMap<String, Amount>,
}

impl Node {
    /// The directory of a pod.
    fn pod_directory(&self, uid: &str) -> PathBuf {
        self.config.root.join("pods").join(uid)
    }

    /// The range of the pods' addresses. No pod is run before it is known.
    fn cidr(&self) -> Cidr {
        self.cidr.get().copied().unwrap_or(Cidr::v4([127, 0, 0, 0], 32))
    }

    /// What a pod of this address can ask of its node.
    fn surroundings(&self, address: Option<IpAddr>) -> downward::Surroundings {
        downward::Surroundings {
            node: self.config.name.clone(),
            host: self.config.address,
            address,
            allocatable: self.allocatable.clone(),
        }
    }

    /// Kubernetes' version without patch and prefix, as user agents carry it.
    fn minor_version(&self) -> String {
        format!("{}.{}", version::MAJOR, version::MINOR)
    }
}

/// Removes a directory that may not be there. Blocking.
fn remove_directory(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
