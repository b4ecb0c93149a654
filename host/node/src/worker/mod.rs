//! One pod: what the API wants of it against what runs here. A worker is a task of its own that
//! is woken by a newer pod, by something that happened to a container, or by a timer; each time it
//! compares everything anew and takes the next steps (`reconcile`), then writes the status if it is
//! another one (`publish`). Slow things (pulling, starting, stopping, probing) are tasks that report
//! back. Speaks to the API only through the node's client.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::clock;
use coracle_network::Interface;
use coracle_sandbox::MemoryAccount;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::Node;
use crate::probes;
use crate::volumes::{Maker, Volumes};

mod container;
mod hooks;
mod publish;
mod reconcile;
mod start;
mod stop;

use container::Container;

/// What is wanted of a worker.
#[derive(Clone, Debug)]
pub(crate) enum Desired {
    /// The pod, as the API has it now.
    Pod(Arc<Pod>),
    /// Nothing: the API has no such pod any more.
    Gone,
    /// To stop what runs and leave everything as it is: the node is going down.
    Shutdown,
}

/// Something that happened outside the worker.
enum Change {
    /// The volumes are there.
    Volumes(Volumes),
    /// An attempt to start a container is over.
    Started { index: usize, attempt: u64, outcome: Result<start::Started, start::Failure> },
    /// A container instance ended.
    Ended { index: usize, attempt: u64, terminated: ContainerStateTerminated },
    /// A probe has a new verdict.
    Probed { index: usize, attempt: u64, kind: probes::Kind, healthy: bool },
}

/// Where in a pod's directory its volumes are; no container's name begins like that.
const VOLUMES: &str = ".volumes";

/// Changes that may wait for the worker; those who report more wait themselves.
const WAITING_CHANGES: usize = 64;

/// Why a pod's containers are being stopped for good.
struct Ending {
    cause: Cause,
    /// When the last container is killed.
    deadline: Instant,
}

/// What ends a pod, the weaker causes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// Its containers are through, or the node failed it; it stays as a record.
    Over,
    /// The API marked the pod for deletion.
    Deleted,
    /// The node is going down.
    Shutdown,
    /// The API has no such pod.
    Gone,
}

/// One pod's worker.
pub(crate) struct Worker {
    node: Arc<Node>,
    /// The newest pod seen.
    pod: Arc<Pod>,
    uid: String,
    /// The newest pod for those who watch it: volumes that show its labels.
    shared_pod: watch::Sender<Arc<Pod>>,
    directory: PathBuf,
    sender: mpsc::Sender<Change>,
    /// Where the worker says, once, that it has nothing left to do.
    resting: Option<mpsc::Sender<String>>,
    containers: Vec<Container>,
    interface: Option<Interface>,
    /// The pod's address, kept when the interface is gone.
    address: Option<IpAddr>,
    memory: Arc<MemoryAccount>,
    volumes: Option<Arc<Volumes>>,
    making_volumes: Option<AbortHandle>,
    /// Whether the init containers are done, for good.
    initialized: bool,
    /// Why the pod can never run here.
    refused: Option<String>,
    ending: Option<Ending>,
    /// Reason and message with which the node failed the pod.
    verdict: Option<(String, String)>,
    /// Whether everything has been stopped and given back.
    released: bool,
    start_time: Time,
    written: Option<PodStatus>,
    /// Since when a status that will soon be another one is held back.
    held_since: Option<Instant>,
    /// How often writing the status failed in a row.
    write_failures: u32,
    /// Whether the pod was deleted in the API by this worker.
    deleted: bool,
    wake: Option<Instant>,
}

/// Starts the worker of a pod that was admitted.
pub(crate) fn spawn(
    node: Arc<Node>,
    pod: Arc<Pod>,
    desired: watch::Receiver<Desired>,
    resting: mpsc::Sender<String>,
) -> tokio::task::JoinHandle<()> {
    let (sender, changes) = mpsc::channel(WAITING_CHANGES);
    let worker = Worker::new(node, pod, sender, resting);
    tokio::spawn(worker.run(desired, changes))
}

impl Worker {
    fn new(
        node: Arc<Node>,
        pod: Arc<Pod>,
        sender: mpsc::Sender<Change>,
        resting: mpsc::Sender<String>,
    ) -> Self {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        let refused = crate::unsupported::refused(&pod);
        let refused = (!refused.is_empty()).then(|| refused.join("; "));
        let spec = pod.spec.clone().unwrap_or_default();
        let limit = spec.resources.as_ref().and_then(|all| all.limits.as_ref());
        let limit = limit.and_then(|limits| start::bytes(limits.get("memory")?));
        let earlier = status.start_time.is_some();
        Self {
            directory: node.pod_directory(&uid),
            containers: Container::of(&pod, earlier),
            start_time: status.start_time.clone().unwrap_or_else(|| Time(clock::now())),
            written: earlier.then_some(status),
            shared_pod: watch::Sender::new(pod.clone()),
            memory: MemoryAccount::new(limit),
            node,
            pod,
            uid,
            sender,
            resting: Some(resting),
            interface: None,
            address: None,
            volumes: None,
            making_volumes: None,
            initialized: false,
            refused,
            ending: None,
            verdict: None,
            released: false,
            held_since: None,
            write_failures: 0,
            deleted: false,
            wake: None,
        }
    }

    #[tracing::instrument(name = "pod", skip_all, fields(
        namespace = self.pod.metadata.namespace, name = self.pod.metadata.name, uid = self.uid,
    ))]
    async fn run(
        mut self,
        mut desired: watch::Receiver<Desired>,
        mut changes: mpsc::Receiver<Change>,
    ) {
        self.report_refusals();
        loop {
            let wanted = desired.borrow_and_update().clone();
            self.want(wanted);
            self.wake = None;
            self.reconcile().await;
            let shutdown = self.cause() == Some(Cause::Shutdown);
            let gone = self.cause() == Some(Cause::Gone);
            if self.quiet() && shutdown {
                if let Some(interface) = self.interface.take() {
                    interface.detach();
                }
                return;
            }
            if self.quiet() && gone {
                self.clean_up().await;
                return;
            }
            if !shutdown && !gone {
                let written = self.publish().await;
                if written && self.released {
                    self.settle().await;
                }
            }
            let timer = self.wake;
            let timed = async {
                match timer {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = desired.changed() => if changed.is_err() { return },
                Some(change) = changes.recv() => {
                    self.take(change);
                    // What came at the same time is judged, and written, together.
                    while let Ok(change) = changes.try_recv() {
                        self.take(change);
                    }
                }
                () = timed => {}
            }
        }
    }

    /// What is left to do when everything has been stopped and said.
    async fn settle(&mut self) {
        match self.cause() {
            Some(Cause::Deleted) => self.delete().await,
            Some(Cause::Over) => {
                if let Some(resting) = self.resting.take() {
                    // The node may be going down.
                    let _ = resting.send(self.uid.clone()).await;
                }
            }
            _ => {}
        }
    }

    fn report_refusals(&self) {
        if let Some(refused) = &self.refused {
            let message = format!("Error: {}: {refused}", crate::unsupported::REASON);
            self.node.recorder.warn(&self.pod, None, "Failed", message);
        }
        for idle in crate::unsupported::without_effect(&self.pod) {
            let message = format!("{idle} has no effect on this node");
            self.node.recorder.warn(&self.pod, None, "WithoutEffect", message);
        }
    }

    fn cause(&self) -> Option<Cause> {
        self.ending.as_ref().map(|ending| ending.cause)
    }

    /// Wakes the worker at `at` at the latest.
    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Takes in what is wanted now.
    fn want(&mut self, desired: Desired) {
        match desired {
            Desired::Pod(pod) => {
                if !Arc::ptr_eq(&pod, &self.pod) {
                    self.adopt(pod);
                }
                if self.pod.metadata.deletion_timestamp.is_some() {
                    let seconds = self
                        .pod
                        .metadata
                        .deletion_grace_period_seconds
                        .unwrap_or_else(|| self.grace_seconds());
                    self.end(Cause::Deleted, seconds_of(seconds));
                }
            }
            // As short as the kubelet makes it for a pod that was deleted by force.
            Desired::Gone => self.end(Cause::Gone, Duration::from_secs(1)),
            Desired::Shutdown => self.end(Cause::Shutdown, self.node.config.shutdown_grace),
        }
    }

    /// Takes in a newer form of the pod.
    fn adopt(&mut self, pod: Arc<Pod>) {
        let specs = pod
            .spec
            .iter()
            .flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        for spec in specs {
            let known = self.containers.iter_mut().find(|known| known.spec.name == spec.name);
            if let Some(known) = known {
                known.spec = spec.clone();
            }
        }
        let debugged = |pod: &Pod| {
            let list = pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_ref());
            list.map_or(0, Vec::len)
        };
        if debugged(&pod) > debugged(&self.pod) {
            let message = "ephemeral containers are not supported by this node".to_owned();
            self.node.recorder.warn(&pod, None, crate::unsupported::REASON, message);
        }
        self.pod = pod.clone();
        self.shared_pod.send_replace(pod);
    }

    /// `spec.terminationGracePeriodSeconds`.
    fn grace_seconds(&self) -> i64 {
        let given = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        given.unwrap_or(30)
    }

    /// Whether nothing of the pod runs or is being started.
    fn quiet(&self) -> bool {
        self.containers.iter().all(Container::is_quiet)
    }

    /// Takes in something that happened.
    fn take(&mut self, change: Change) {
        match change {
            Change::Volumes(volumes) => {
                self.making_volumes = None;
                self.volumes = Some(Arc::new(volumes));
            }
            Change::Started { index, attempt, outcome } => {
                self.take_started(index, attempt, outcome);
            }
            Change::Ended { index, attempt, terminated } => {
                if let Some(container) = self.current(index, attempt) {
                    container.end(terminated);
                }
            }
            Change::Probed { index, attempt, kind, healthy } => {
                self.take_verdict(index, attempt, kind, healthy);
            }
        }
    }

    /// The container, if `attempt` is still its present one.
    fn current(&mut self, index: usize, attempt: u64) -> Option<&mut Container> {
        self.containers.get_mut(index).filter(|container| container.attempt == attempt)
    }

    /// What runs, by container: for usage and logs.
    fn announce(&self) {
        let running = self.containers.iter().filter_map(|container| {
            Some((container.spec.name.clone(), Arc::downgrade(container.instance()?)))
        });
        self.node.registry.running(&self.uid, running);
    }

    /// Removes everything that the pod left on this node.
    async fn clean_up(&mut self) {
        self.release().await;
        let directory = self.directory.clone();
        let removed =
            tokio::task::spawn_blocking(move || crate::remove_directory(&directory)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "removing the pod's directory");
        }
    }

    /// Gives back what a pod needs only while it runs: address, volumes, its share of the node.
    async fn release(&mut self) {
        if self.released {
            return;
        }
        self.released = true;
        if let Some(making) = self.making_volumes.take() {
            making.abort();
        }
        self.volumes = None;
        if let Some(interface) = self.interface.take() {
            interface.detach();
        }
        self.node.registry.release(&self.uid);
        let directory = self.directory.join(VOLUMES);
        let removed =
            tokio::task::spawn_blocking(move || crate::remove_directory(&directory)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "removing the pod's volumes");
        }
    }

    fn maker(&self) -> Maker {
        Maker {
            client: self.node.client.clone(),
            sources: self.node.sources.clone(),
            recorder: self.node.recorder.clone(),
        }
    }
}

/// A number of seconds from the API as a duration.
fn seconds_of(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
