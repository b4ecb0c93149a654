//! The steps from what a pod is to what it is to be.

use std::sync::Arc;
use std::time::Duration;

use coracle_api::clock;
use coracle_network::{Identity, Interface};
use coracle_sandbox::{Exit, ExitReason};
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::container::{Role, Running, State, Unavailable};
use super::start::{Failure, Order, Started};
use super::{Cause, Change, VOLUMES, Worker, seconds_of};
use crate::logs;
use crate::probes::{self, Kind};
use crate::volumes::{Volumes, termination_message};
use crate::{env, volumes};

/// Wait before the pod is attached to the network again after that failed.
const ATTACH_RETRY: Duration = Duration::from_secs(5);

/// How long the failure of a pull is shown before the wait for the next.
const SETTLE: Duration = Duration::from_secs(2);

/// What of a log stands in for a termination message.
const FALLBACK_LINES: u64 = 80;
const FALLBACK_BYTES: usize = 2048;

impl Worker {
    /// Compares what is wanted with what is, and takes the next steps.
    pub(super) async fn reconcile(&mut self) {
        if self.ending.is_none() {
            self.keep_deadline();
        }
        if self.ending.is_none() && self.refused.is_none() && self.prepare() {
            self.advance();
        }
        self.drive_end().await;
        self.announce();
    }

    /// `spec.activeDeadlineSeconds`.
    fn keep_deadline(&mut self) {
        let Some(seconds) = self.pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds)
        else {
            return;
        };
        let ran = clock::now().duration_since(self.start_time.0);
        let ran = Duration::try_from(ran).unwrap_or_default();
        match seconds_of(seconds).checked_sub(ran).filter(|left| !left.is_zero()) {
            Some(left) => self.wake_at(Instant::now() + left),
            None => {
                let message = "Pod was active on the node longer than the specified deadline";
                self.node.recorder.normal(&self.pod, None, "DeadlineExceeded", message.into());
                self.verdict = Some(("DeadlineExceeded".into(), message.into()));
                self.end(Cause::Over, seconds_of(self.grace_seconds()));
            }
        }
    }

    /// Sees to network and volumes; whether both are there.
    fn prepare(&mut self) -> bool {
        if self.interface.is_none() {
            match self.attach() {
                Ok(interface) => {
                    self.address = Some(interface.ip());
                    self.interface = Some(interface);
                }
                Err(error) => {
                    let message = format!("Failed to create pod sandbox: {error}");
                    self.node.recorder.warn(&self.pod, None, "FailedCreatePodSandBox", message);
                    self.wake_at(Instant::now() + ATTACH_RETRY);
                    return false;
                }
            }
        }
        if self.volumes.is_none() && self.making_volumes.is_none() {
            let listed = self.pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
            if listed.is_none_or(Vec::is_empty) {
                self.volumes = Some(Arc::default());
            } else {
                self.make_volumes();
            }
        }
        self.volumes.is_some()
    }

    /// The pod's place on the network; after a restart of the node its old one if it is free.
    fn attach(&self) -> coracle_network::Result<Interface> {
        let metadata = &self.pod.metadata;
        let identity = || Identity {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: self.uid.clone(),
            labels: metadata.labels.clone().unwrap_or_default(),
            node: self.node.config.name.clone(),
            hostname: env::hostname(&self.pod),
            subdomain: self.pod.spec.as_ref().and_then(|spec| spec.subdomain.clone()),
        };
        let fabric = &self.node.fabric;
        let old = self.pod.status.as_ref().and_then(|status| status.pod_ip.as_ref());
        let old = old.and_then(|ip| ip.parse().ok()).filter(|ip| self.node.cidr().contains(*ip));
        if let Some(interface) = old.and_then(|ip| fabric.attach_at(identity(), ip).ok()) {
            return Ok(interface);
        }
        fabric.attach(identity(), self.node.cidr())
    }

    fn make_volumes(&mut self) {
        let maker: volumes::Maker = self.maker();
        let (node, pod, sender) =
            (self.node.clone(), self.shared_pod.subscribe(), self.sender.clone());
        let around = node.surroundings(self.address);
        let directory = self.directory.join(VOLUMES);
        let making = tokio::spawn(async move {
            let mut pause = Duration::from_millis(500);
            loop {
                match Volumes::make(&maker, pod.clone(), &directory, &around).await {
                    Ok(volumes) => {
                        // The worker may be gone; the volumes are then dropped.
                        let _ = sender.send(Change::Volumes(volumes)).await;
                        return;
                    }
                    Err(error) => {
                        let message = format!("making the volumes: {error}");
                        let pod = pod.borrow().clone();
                        node.recorder.warn(&pod, None, "FailedMount", message);
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(60));
                    }
                }
            }
        });
        self.making_volumes = Some(making.abort_handle());
    }

    /// Drives init containers in order, then everything else.
    fn advance(&mut self) {
        if !self.initialized && !self.initialize() {
            return;
        }
        self.initialized = true;
        let mut over = true;
        for index in 0..self.containers.len() {
            match self.containers[index].role {
                Role::Init => {}
                Role::Sidecar => {
                    self.drive(index);
                }
                Role::Regular => over &= self.drive(index),
            }
        }
        if over {
            self.end(Cause::Over, seconds_of(self.grace_seconds()));
        }
    }

    /// Drives the init containers; whether all are through, or started in the case of sidecars.
    fn initialize(&mut self) -> bool {
        for index in 0..self.containers.len() {
            match self.containers[index].role {
                Role::Init if self.containers[index].succeeded() => {}
                Role::Init => {
                    if self.drive(index) {
                        // It failed for good, and so has the pod.
                        self.end(Cause::Over, seconds_of(self.grace_seconds()));
                    }
                    return false;
                }
                Role::Sidecar => {
                    self.drive(index);
                    if !self.containers[index].started {
                        return false;
                    }
                }
                Role::Regular => {}
            }
        }
        true
    }

    /// Takes the next step for one container; whether it has ended for good.
    fn drive(&mut self, index: usize) -> bool {
        let policy = self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.clone());
        let policy = policy.as_deref().unwrap_or("Always");
        let now = Instant::now();
        let Some(container) = self.containers.get_mut(index) else { return false };
        match &mut container.state {
            State::Starting(_) => {}
            State::Waiting => self.start(index),
            State::Running(running) => {
                if running.image != container.spec.image && running.stopping.is_none() {
                    container.forced = true;
                    let name = &container.spec.name;
                    let why = format!("Container {name} definition changed, will be restarted");
                    self.stop(index, seconds_of(self.grace_seconds()), Some(why));
                }
            }
            State::Unavailable(why) => {
                if why.retry <= now || why.image != container.spec.image {
                    self.start(index);
                    return false;
                }
                let mut wake = why.retry;
                match why.settles {
                    Some(settles) if settles <= now => {
                        why.settles = None;
                        let image = why.image.as_deref().unwrap_or_default();
                        let event = format!("Back-off pulling image {image:?}");
                        why.message = format!("{event}: {}: {}", why.reason, why.message);
                        why.reason = "ImagePullBackOff";
                        let name = container.spec.name.clone();
                        let (pod, recorder) = (&self.pod, &self.node.recorder);
                        recorder.normal(pod, Some(&name), "BackOff", event);
                        let error = "Error: ImagePullBackOff".to_owned();
                        recorder.warn(pod, Some(&name), "Failed", error);
                    }
                    Some(settles) => wake = wake.min(settles),
                    None => {}
                }
                self.wake_at(wake);
            }
            State::Ended { terminated, at } => {
                let (code, at) = (terminated.exit_code, *at);
                if !container.restarts_after(code, policy) {
                    return true;
                }
                match container.backoff.until(at) {
                    Some(until) => {
                        if !container.backoff_reported {
                            container.backoff_reported = true;
                            let name = container.spec.name.clone();
                            let message = format!(
                                "Back-off restarting failed container {name} in pod {}",
                                container.pod
                            );
                            self.node.recorder.warn(&self.pod, Some(&name), "BackOff", message);
                        }
                        self.wake_at(until);
                    }
                    None => {
                        container.backoff.advance(at);
                        self.start(index);
                    }
                }
            }
        }
        false
    }

    /// Begins to start a container.
    fn start(&mut self, index: usize) {
        let (Some(interface), Some(volumes)) = (self.interface.clone(), self.volumes.clone())
        else {
            return;
        };
        let Some(container) = self.containers.get_mut(index) else { return };
        if let State::Ended { terminated, .. } = &container.state {
            container.last = Some(terminated.clone());
        }
        container.attempt += 1;
        container.forced = false;
        container.ready = false;
        let attempt = container.attempt;
        let order = Order {
            node: self.node.clone(),
            pod: self.pod.clone(),
            container: container.spec.clone(),
            number: container.next_number(),
            interface,
            memory: self.memory.clone(),
            volumes,
            directory: self.directory.clone(),
        };
        let sender = self.sender.clone();
        let task = tokio::spawn(async move {
            let outcome = order.carry_out().await;
            // A worker that is gone wants no container; dropping it ends it.
            let _ = sender.send(Change::Started { index, attempt, outcome }).await;
        });
        container.state = State::Starting(task.abort_handle());
    }

    pub(super) fn take_started(
        &mut self,
        index: usize,
        attempt: u64,
        outcome: Result<Started, Failure>,
    ) {
        let now = Instant::now();
        let Some(container) = self.current(index, attempt) else { return };
        match outcome {
            Ok(started) => self.take_running(index, attempt, started),
            Err(Failure::Unavailable { reason, message }) => {
                container.image_backoff.advance(now);
                let retry = container.image_backoff.until(now).unwrap_or(now);
                container.state = State::Unavailable(Unavailable {
                    reason,
                    message,
                    image: container.spec.image.clone(),
                    settles: (reason == "ErrImagePull").then(|| now + SETTLE),
                    retry,
                });
            }
            Err(Failure::Dead(terminated)) => {
                container.count_instance();
                container.container_id = terminated.container_id.clone();
                container.end(terminated);
            }
        }
    }

    fn take_running(&mut self, index: usize, attempt: u64, started: Started) {
        let (node, pod, address) = (self.node.clone(), self.pod.clone(), self.address);
        let (sender, uid) = (self.sender.clone(), self.uid.clone());
        let Some(container) = self.current(index, attempt) else { return };
        let name = container.spec.name.clone();
        let waiter = started.instance.waiter();
        let since = clock::now();
        container.count_instance();
        container.container_id = Some(started.container_id.clone());
        container.image_id = started.image_id;
        container.started = container.spec.startup_probe.is_none();
        container.ready = container.role != Role::Init
            && container.started
            && container.spec.readiness_probe.is_none();
        container.state = State::Running(Running {
            instance: Arc::new(started.instance),
            since,
            image: started.image,
            probes: Vec::new(),
            stopping: None,
        });
        node.recorder.normal(&pod, Some(&name), "Started", format!("Started container {name}"));
        let policy = container.spec.termination_message_policy.clone();
        let container_id = started.container_id;
        tokio::spawn(async move {
            let exit = waiter.wait().await;
            // The log's task only ends early if the node is going down.
            let _ = started.logged.await;
            let fallback = policy.as_deref() == Some("FallbackToLogsOnError") && exit.code != 0;
            let (message, log) = (started.message, started.log);
            let message = tokio::task::spawn_blocking(move || {
                let message = termination_message(&message);
                if !message.is_empty() || !fallback {
                    return message;
                }
                logs::tail(&log, FALLBACK_LINES, FALLBACK_BYTES).unwrap_or_default()
            });
            let message = message.await.unwrap_or_default();
            let terminated = terminated(exit, message, container_id);
            if terminated.reason.as_deref() == Some("OOMKilled") {
                tracing::info!(uid, container = name, "container was killed for its memory use");
            }
            let _ = sender.send(Change::Ended { index, attempt, terminated }).await;
        });
        if let Some(address) = address {
            self.start_probes(index, address);
        }
    }

    /// Starts the probes that are due: the startup probe first, the others when it is through.
    fn start_probes(&mut self, index: usize, address: std::net::IpAddr) {
        let (node, pod, sender) = (self.node.clone(), self.pod.clone(), self.sender.clone());
        let Some(container) = self.containers.get_mut(index) else { return };
        let attempt = container.attempt;
        let due: &[Kind] =
            if container.started { &[Kind::Readiness, Kind::Liveness] } else { &[Kind::Startup] };
        let spec = container.spec.clone();
        let init = container.role == Role::Init;
        let State::Running(running) = &mut container.state else { return };
        for kind in due.iter().copied().filter(|kind| !init && kind.of(&spec).is_some()) {
            let sender = sender.clone();
            let report = move |healthy| {
                let sender = sender.clone();
                async move {
                    // Without a worker there is nobody to tell.
                    let _ = sender.send(Change::Probed { index, attempt, kind, healthy }).await;
                }
            };
            let probing =
                probes::run(node.clone(), pod.clone(), spec.clone(), address, kind, report);
            running.probes.push((kind, tokio::spawn(probing).abort_handle()));
        }
    }

    /// Takes in a probe's verdict.
    pub(super) fn take_verdict(&mut self, index: usize, attempt: u64, kind: Kind, healthy: bool) {
        let policy = self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.clone());
        let grace = self.grace_seconds();
        let address = self.address;
        let ending = self.ending.is_some();
        let Some(container) = self.current(index, attempt) else { return };
        if container.instance().is_none() {
            return;
        }
        match (kind, healthy) {
            (Kind::Readiness, healthy) => container.ready = healthy && container.started,
            (Kind::Startup, true) => {
                container.started = true;
                container.ready = container.spec.readiness_probe.is_none();
                if let (Some(address), false) = (address, ending) {
                    self.start_probes(index, address);
                }
            }
            (Kind::Liveness, true) => {}
            (Kind::Startup | Kind::Liveness, false) => {
                let own = container.spec.restart_policy.as_deref().or(policy.as_deref());
                container.forced = own != Some("Never");
                let name = &container.spec.name;
                let fate = if container.forced { ", will be restarted" } else { "" };
                let title = kind.title().to_lowercase();
                let why = format!("Container {name} failed {title} probe{fate}");
                let probe = kind.of(&container.spec);
                let own = probe.and_then(|probe| probe.termination_grace_period_seconds);
                self.stop(index, seconds_of(own.unwrap_or(grace)), Some(why));
            }
        }
    }
}

/// How an instance ended, as its status says it.
fn terminated(exit: Exit, message: String, container_id: String) -> ContainerStateTerminated {
    let reason = match exit.reason {
        ExitReason::OomKilled => "OOMKilled",
        ExitReason::FuelExhausted => "FuelExhausted",
        _ if exit.code == 0 => "Completed",
        _ => "Error",
    };
    ContainerStateTerminated {
        exit_code: exit.code,
        reason: Some(reason.into()),
        message: Some(message).filter(|message| !message.is_empty()).or(exit.message),
        started_at: Some(Time(exit.started_at)),
        finished_at: Some(Time(exit.finished_at)),
        container_id: Some(container_id),
        signal: None,
    }
}
