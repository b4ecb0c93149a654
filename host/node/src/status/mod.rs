//! `PodStatus` from what is known of a pod's containers, as the kubelet derives it. Pure.

use std::net::IpAddr;

use coracle_api::pods::{self, is_sidecar};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus,
    VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(crate) const READY: &str = "Ready";
pub(crate) const CONTAINERS_READY: &str = "ContainersReady";
pub(crate) const INITIALIZED: &str = "Initialized";
pub(crate) const SCHEDULED: &str = "PodScheduled";
pub(crate) const READY_TO_START: &str = "PodReadyToStartContainers";

/// The state of one container as its status shows it.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    Waiting { reason: String, message: Option<String> },
    Running { since: Time },
    Terminated(ContainerStateTerminated),
}

/// What is known of one container.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) shown: Shown,
    /// How the container's previous instance ended.
    pub(crate) last: Option<ContainerStateTerminated>,
    pub(crate) ready: bool,
    pub(crate) started: bool,
    pub(crate) restarts: i32,
    pub(crate) container_id: Option<String>,
    pub(crate) image_id: String,
}

/// The status of one container.
pub(crate) fn container(spec: &Container, facts: Facts) -> ContainerStatus {
    let running = matches!(facts.shown, Shown::Running { .. });
    let resources = spec.resources.clone().filter(|_| running);
    let mounts = spec.volume_mounts.iter().flatten().map(|mount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only.filter(|read_only| *read_only),
        recursive_read_only: mount
            .read_only
            .filter(|read_only| *read_only)
            .map(|_| mount.recursive_read_only.clone().unwrap_or_else(|| "Disabled".into())),
        volume_status: None,
    });
    let mounts: Vec<_> = mounts.collect();
    ContainerStatus {
        name: spec.name.clone(),
        image: spec.image.clone().unwrap_or_default(),
        image_id: facts.image_id,
        container_id: facts.container_id,
        ready: facts.ready,
        started: Some(facts.started),
        restart_count: facts.restarts,
        state: Some(match facts.shown {
            Shown::Waiting { reason, message } => ContainerState {
                waiting: Some(ContainerStateWaiting { reason: Some(reason), message }),
                ..Default::default()
            },
            Shown::Running { since } => ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(since) }),
                ..Default::default()
            },
            Shown::Terminated(terminated) => {
                ContainerState { terminated: Some(terminated), ..Default::default() }
            }
        }),
        last_state: Some(ContainerState { terminated: facts.last, ..Default::default() }),
        allocated_resources: resources.as_ref().and_then(|all| all.requests.clone()),
        resources,
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        ..Default::default()
    }
}

/// Everything that a pod's status follows from.
pub(crate) struct View<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) init: Vec<ContainerStatus>,
    pub(crate) regular: Vec<ContainerStatus>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) host: IpAddr,
    /// Whether the pod is attached to the network.
    pub(crate) attached: bool,
    /// Whether nothing of the pod will be started again, whatever its restart policy.
    pub(crate) over: bool,
    /// Why the node failed the pod: reason and message.
    pub(crate) verdict: Option<(&'a str, &'a str)>,
    pub(crate) start_time: Time,
    /// The status written last.
    pub(crate) previous: Option<&'a PodStatus>,
    pub(crate) now: Time,
}

/// The pod's status.
pub(crate) fn pod(view: View<'_>) -> PodStatus {
    let spec = view.pod.spec.clone().unwrap_or_default();
    let initialized_before = any_regular_started(&view.regular);
    let mut phase =
        phase(&spec, &view.init, &view.regular, view.over, initialized_before).to_owned();
    let mut verdict = view.verdict;
    if verdict.is_some() || (view.over && !terminal(&phase)) {
        phase = "Failed".into();
    }
    let old_phase = view.previous.and_then(|old| old.phase.clone());
    if let Some(old) = old_phase.as_deref().filter(|old| terminal(old)) {
        phase = old.to_owned();
    } else if terminal(&phase) && view.init.iter().chain(&view.regular).any(is_running) {
        // Nobody may take a pod for over while something of it still runs.
        phase = old_phase.unwrap_or_else(|| "Running".into());
        verdict = None;
    }
    let mut status = PodStatus {
        phase: Some(phase.clone()),
        observed_generation: view.pod.metadata.generation,
        host_ip: Some(view.host.to_string()),
        host_ips: Some(vec![HostIP { ip: view.host.to_string() }]),
        pod_ip: view.address.map(|address| address.to_string()),
        pod_ips: view.address.map(|address| vec![PodIP { ip: address.to_string() }]),
        qos_class: Some(
            view.previous
                .and_then(|old| old.qos_class.clone())
                .unwrap_or_else(|| pods::qos_class(&spec).as_str().to_owned()),
        ),
        reason: verdict.map(|(reason, _)| reason.to_owned()),
        message: verdict.map(|(_, message)| message.to_owned()),
        start_time: Some(view.start_time),
        ..Default::default()
    };
    let gates = view.pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let containers_ready = containers_ready(&spec, &view.init, &view.regular, &phase);
    let ready = ready(&spec, gates.unwrap_or_default(), &containers_ready);
    let yes_no = |yes: bool| if yes { "True" } else { "False" };
    let conditions = [
        Judgement::bare(READY_TO_START, yes_no(view.attached)),
        initialized(&spec, &view.init, &phase, initialized_before),
        ready,
        containers_ready,
        Judgement::bare(SCHEDULED, "True"),
    ];
    let old_conditions = view.previous.and_then(|old| old.conditions.as_deref());
    status.conditions = Some(
        conditions
            .into_iter()
            .map(|judgement| {
                let old = [old_conditions, gates]
                    .into_iter()
                    .flatten()
                    .flatten()
                    .find(|old| old.type_ == judgement.type_ && old.status == judgement.status);
                PodCondition {
                    type_: judgement.type_.into(),
                    status: judgement.status.into(),
                    reason: judgement.reason.map(Into::into),
                    message: judgement.message,
                    observed_generation: view.pod.metadata.generation,
                    last_transition_time: Some(
                        old.and_then(|old| old.last_transition_time.clone())
                            .unwrap_or_else(|| view.now.clone()),
                    ),
                    last_probe_time: None,
                }
            })
            .collect(),
    );
    status.init_container_statuses = (!view.init.is_empty()).then_some(view.init);
    status.container_statuses = Some(view.regular);
    status
}

/// The status of a pod that this node refuses to run.
pub(crate) fn rejected(pod: &Pod, reason: &str, message: &str, now: Time) -> PodStatus {
    PodStatus {
        phase: Some("Failed".into()),
        reason: Some(reason.to_owned()),
        message: Some(format!("Pod was rejected: {message}")),
        start_time: Some(now),
        observed_generation: pod.metadata.generation,
        qos_class: pod.spec.as_ref().map(|spec| pods::qos_class(spec).as_str().to_owned()),
        ..Default::default()
    }
}

/// Whether a phase is one that never changes again.
pub(crate) fn terminal(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn state(status: &ContainerStatus) -> ContainerState {
    status.state.clone().unwrap_or_default()
}

fn last_exit(status: &ContainerStatus) -> Option<i32> {
    Some(status.last_state.as_ref()?.terminated.as_ref()?.exit_code)
}

fn find<'a>(statuses: &'a [ContainerStatus], container: &Container) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == container.name)
}

fn any_regular_started(regular: &[ContainerStatus]) -> bool {
    regular.iter().any(|status| {
        let state = state(status);
        state.running.is_some() || state.terminated.is_some() || last_exit(status).is_some()
    })
}

fn phase(
    spec: &PodSpec,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
    over: bool,
    initialized: bool,
) -> &'static str {
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let (mut pending_init, mut pending_sidecars, mut failed_init) = (0, 0, 0);
    let (mut unknown, mut running, mut waiting, mut stopped, mut succeeded) = (0, 0, 0, 0, 0);
    for container in spec.init_containers.iter().flatten() {
        let sidecar = is_sidecar(container);
        let Some(status) = find(init, container) else {
            if sidecar {
                unknown += 1
            } else {
                pending_init += 1
            }
            continue;
        };
        let state = state(status);
        if sidecar {
            if state.running.is_some() {
                running += 1;
                pending_sidecars += i32::from(status.started != Some(true));
            } else if state.terminated.is_none() && last_exit(status).is_none() {
                pending_sidecars += 1;
                waiting += 1;
            }
        } else if let Some(terminated) = state.terminated {
            failed_init += i32::from(terminated.exit_code != 0);
        } else if let (Some(_), Some(exit)) = (&state.waiting, last_exit(status)) {
            failed_init += i32::from(exit != 0);
        } else {
            pending_init += 1;
        }
    }
    for container in &spec.containers {
        let Some(status) = find(regular, container) else {
            unknown += 1;
            continue;
        };
        let state = state(status);
        if state.running.is_some() {
            running += 1;
        } else if let Some(terminated) = state.terminated {
            stopped += 1;
            succeeded += i32::from(terminated.exit_code == 0);
        } else if last_exit(status).is_some() {
            stopped += 1;
        } else {
            waiting += 1;
        }
    }
    if failed_init > 0 && policy == "Never" {
        return "Failed";
    }
    if pending_init > 0 || (!initialized && pending_sidecars > 0) || waiting > 0 {
        return "Pending";
    }
    if unknown > 0 {
        return "Pending";
    }
    if running > 0 {
        return "Running";
    }
    if stopped == 0 {
        return "Pending";
    }
    match policy {
        "Always" if !over => "Running",
        _ if stopped == succeeded => "Succeeded",
        "OnFailure" if !over => "Running",
        _ => "Failed",
    }
}

/// A condition before it has a time.
struct Judgement {
    type_: &'static str,
    status: &'static str,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Judgement {
    fn bare(type_: &'static str, status: &'static str) -> Self {
        Self { type_, status, reason: None, message: None }
    }

    fn no(type_: &'static str, reason: &'static str, message: Option<String>) -> Self {
        Self { type_, status: "False", reason: Some(reason), message }
    }
}

/// The two lists of names as the kubelet words them; `None` if both are empty.
fn complaint(unknown: &[&str], other: &[&str], word: &str) -> Option<String> {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: [{}]", unknown.join(" ")));
    }
    if !other.is_empty() {
        parts.push(format!("containers with {word} status: [{}]", other.join(" ")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn containers_ready(
    spec: &PodSpec,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
    phase: &str,
) -> Judgement {
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let sidecars = sidecars.map(|container| (container, find(init, container)));
    let regular = spec.containers.iter().map(|container| (container, find(regular, container)));
    for (container, status) in sidecars.chain(regular) {
        match status {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return Judgement::no(CONTAINERS_READY, "PodCompleted", None);
    }
    if phase == "Failed" {
        return Judgement::no(CONTAINERS_READY, "PodFailed", None);
    }
    match complaint(&unknown, &unready, "unready") {
        None => Judgement::bare(CONTAINERS_READY, "True"),
        message => Judgement::no(CONTAINERS_READY, "ContainersNotReady", message),
    }
}

fn ready(spec: &PodSpec, conditions: &[PodCondition], containers: &Judgement) -> Judgement {
    if containers.status != "True" {
        let Judgement { status, reason, ref message, .. } = *containers;
        return Judgement { type_: READY, status, reason, message: message.clone() };
    }
    let complaints = spec.readiness_gates.iter().flatten().filter_map(|gate| {
        let name = &gate.condition_type;
        match conditions.iter().find(|condition| condition.type_ == *name) {
            None => Some(format!(
                "corresponding condition of pod readiness gate \"{name}\" does not exist."
            )),
            Some(condition) if condition.status != "True" => Some(format!(
                "the status of pod readiness gate \"{name}\" is not \"True\", but {}",
                condition.status
            )),
            Some(_) => None,
        }
    });
    let complaints: Vec<_> = complaints.collect();
    if complaints.is_empty() {
        Judgement::bare(READY, "True")
    } else {
        Judgement::no(READY, "ReadinessGatesNotReady", Some(complaints.join(", ")))
    }
}

fn initialized(
    spec: &PodSpec,
    init: &[ContainerStatus],
    phase: &str,
    regular_started: bool,
) -> Judgement {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in spec.init_containers.iter().flatten() {
        match find(init, container) {
            None => unknown.push(container.name.as_str()),
            Some(status) => {
                let done =
                    if is_sidecar(container) { status.started == Some(true) } else { status.ready };
                if !done {
                    incomplete.push(container.name.as_str());
                }
            }
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return Judgement { reason: Some("PodCompleted"), ..Judgement::bare(INITIALIZED, "True") };
    }
    if regular_started {
        return Judgement::bare(INITIALIZED, "True");
    }
    match complaint(&unknown, &incomplete, "incomplete") {
        None => Judgement::bare(INITIALIZED, "True"),
        message => Judgement::no(INITIALIZED, "ContainersNotInitialized", message),
    }
}

#[cfg(test)]
mod tests;
