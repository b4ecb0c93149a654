//! What to run, and within which bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_network::Interface;

use crate::{MemoryAccount, Module, Output};

/// One guest to be started.
pub struct Spec {
    /// The code.
    pub module: Arc<Module>,
    /// How logs and spans name the guest.
    pub name: String,
    /// The arguments, the program's name first.
    pub args: Vec<String>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Directories of the host that the guest sees.
    pub mounts: Vec<Mount>,
    /// Where standard output and standard error go, in the order in which they are written. A
    /// full channel makes the guest wait; a closed one fails its writes.
    pub output: Output,
    /// The guest's end of the pod network.
    pub interface: Interface,
    /// How an HTTP handler is served; commands have no use for it.
    pub http: HttpSpec,
    /// What the guest may use.
    pub limits: Limits,
}

/// A directory of the host under a path of the guest.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The path that the guest sees.
    pub guest: String,
    /// The directory behind it.
    pub host: PathBuf,
    /// Whether the guest is kept from changing anything in it.
    pub read_only: bool,
}

/// How the host serves HTTP with instances of a handler.
#[derive(Clone, Debug)]
pub struct HttpSpec {
    /// The port of the interface on which requests are accepted.
    pub port: u16,
    /// How long an instance lives.
    pub reuse: Reuse,
    /// Requests in progress at once, each in an instance of its own.
    pub max_instances: u32,
    /// Requests that may wait for an instance; more are answered with 503.
    pub max_waiting: u32,
    /// Open connections; more wait to be accepted.
    pub max_connections: u32,
    /// How long a request may wait and the handler may take until its response begins.
    pub request_timeout: Duration,
}

impl Default for HttpSpec {
    fn default() -> Self {
        Self {
            port: 80,
            reuse: Reuse::Requests(10_000),
            max_instances: 64,
            max_waiting: 1024,
            max_connections: 1024,
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// How many requests one instance of an HTTP handler answers, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// One: nothing that a request leaves behind is seen by the next.
    Fresh,
    /// At most this many.
    Requests(u32),
}

/// What a guest may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of linear memory; beyond it the guest is killed.
    pub memory: Option<u64>,
    /// The account of the guest's group, which bounds all its members together.
    pub pod_memory: Arc<MemoryAccount>,
    /// Processor time per time.
    pub cpu: Option<CpuShare>,
    /// The guest's weight among guests that contend for processors, in thousandths of a
    /// processor; 0 takes what the others leave.
    pub cpu_weight: u32,
    /// Instructions that the guest may execute in all; with none left it is ended. Counted
    /// exactly and checked at every call and every turn of a loop, so that the same guest on the
    /// same input ends at the same place everywhere. An HTTP handler with a budget serves one
    /// request at a time.
    pub fuel: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: None,
            pod_memory: MemoryAccount::new(None),
            cpu: None,
            cpu_weight: 0,
            fuel: None,
        }
    }
}

/// A share of processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuShare {
    /// Thousandths of one processor; at least 1.
    pub millis: u32,
}
