//! A pod as `kubectl get pods` shows it (`k8s.io/kubernetes/pkg/printers/internalversion`).

use coracle_api::{conditions, pods};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::super::table::{age, name, or_none, since};

/// The reason that the node lifecycle controller gives pods of nodes that are gone.
const NODE_LOST: &str = "NodeLost";

/// What the statuses of some containers add up to.
#[derive(Default)]
struct Sum {
    reason: String,
    ready: usize,
    restarts: i32,
    last_restart: Option<Time>,
}

impl Sum {
    fn count_restarts(&mut self, container: &ContainerStatus) {
        self.restarts += container.restart_count;
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        if let Some(finished) = last.and_then(|terminated| terminated.finished_at.clone()) {
            self.last_restart = self.last_restart.take().max(Some(finished));
        }
    }
}

pub(super) fn cells(pod: &Pod) -> Vec<Value> {
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let spec = pod.spec.as_ref();
    let containers = spec.map_or(0, |spec| spec.containers.len())
        + spec
            .and_then(|spec| spec.init_containers.as_ref())
            .map_or(0, |all| all.iter().filter(|container| pods::is_sidecar(container)).count());
    let Sum { reason, ready, restarts, last_restart } = sum(pod, status);
    let restarts = match &last_restart {
        Some(_) if restarts != 0 => format!("{restarts} ({} ago)", since(last_restart.as_ref())),
        _ => restarts.to_string(),
    };
    let ip = status.pod_ips.iter().flatten().next().map(|ip| ip.ip.as_str());
    vec![
        name(pod),
        json!(format!("{ready}/{containers}")),
        json!(reason),
        json!(restarts),
        age(pod),
        json!(or_none(ip)),
        json!(or_none(spec.and_then(|spec| spec.node_name.as_deref()))),
        json!(or_none(status.nominated_node_name.as_deref())),
        json!(readiness_gates(pod, status)),
    ]
}

fn readiness_gates(pod: &Pod, status: &PodStatus) -> String {
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref());
    let gates = gates.unwrap_or_default();
    if gates.is_empty() {
        return "<none>".into();
    }
    let holds = |kind: &str| conditions::is_true(status.conditions.as_ref(), kind);
    let met = gates.iter().filter(|gate| holds(&gate.condition_type)).count();
    format!("{met}/{}", gates.len())
}

fn sum(pod: &Pod, status: &PodStatus) -> Sum {
    let mut reason = pods::phase(pod).to_owned();
    if let Some(given) = status.reason.as_deref().filter(|reason| !reason.is_empty()) {
        given.clone_into(&mut reason);
    }
    let gated = |reason: Option<&str>| reason == Some("SchedulingGated");
    let mut all = status.conditions.iter().flatten();
    if all.any(|each| each.type_ == "PodScheduled" && gated(each.reason.as_deref())) {
        reason = "SchedulingGated".into();
    }
    let mut sum = Sum { reason, ..Sum::default() };
    let sidecars = initialising(pod, status, &mut sum);
    if let Some(sidecars) = sidecars {
        // The steps of the initialisation are over; sidecars still count.
        sum = Sum { reason: sum.reason, ready: sum.ready, ..sidecars };
        regular(status, &mut sum);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        if status.reason.as_deref() == Some(NODE_LOST) {
            sum.reason = "Unknown".into();
        } else if !pods::is_terminal(pod) {
            sum.reason = "Terminating".into();
        }
    }
    sum
}

/// Adds up the init containers. Their sidecars' restarts if the regular containers' turn has come.
fn initialising(pod: &Pod, status: &PodStatus, sum: &mut Sum) -> Option<Sum> {
    let steps = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref());
    let steps = steps.unwrap_or_default();
    let is_sidecar = |name: &str| {
        steps.iter().any(|container| container.name == name && pods::is_sidecar(container))
    };
    let mut sidecars = Sum::default();
    let mut initialising = false;
    for (at, container) in status.init_container_statuses.iter().flatten().enumerate() {
        sum.count_restarts(container);
        let sidecar = is_sidecar(&container.name);
        if sidecar {
            sidecars.count_restarts(container);
        }
        let state = container.state.as_ref();
        let terminated = state.and_then(|state| state.terminated.as_ref());
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let waiting = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
        match terminated {
            Some(terminated) if terminated.exit_code == 0 => continue,
            _ if sidecar && container.started == Some(true) => {
                sum.ready += usize::from(container.ready);
                continue;
            }
            Some(terminated) => sum.reason = format!("Init:{}", end(terminated)),
            None if !matches!(waiting, "" | "PodInitializing") => {
                sum.reason = format!("Init:{waiting}");
            }
            None => sum.reason = format!("Init:{at}/{}", steps.len()),
        }
        initialising = true;
        break;
    }
    let over = conditions::is_true(status.conditions.as_ref(), "Initialized");
    (!initialising || over).then_some(sidecars)
}

fn regular(status: &PodStatus, sum: &mut Sum) {
    let mut running = false;
    for container in status.container_statuses.iter().flatten().rev() {
        sum.count_restarts(container);
        let Some(state) = &container.state else { continue };
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
        match (waiting.filter(|reason| !reason.is_empty()), &state.terminated) {
            (Some(waiting), _) => waiting.clone_into(&mut sum.reason),
            (None, Some(terminated)) => sum.reason = end(terminated),
            (None, None) if container.ready && state.running.is_some() => {
                running = true;
                sum.ready += 1;
            }
            _ => {}
        }
    }
    if sum.reason == "Completed" && running {
        let ready = conditions::is_true(status.conditions.as_ref(), "Ready");
        sum.reason = if ready { "Running" } else { "NotReady" }.into();
    }
}

/// Why a container ended, in one word.
fn end(terminated: &ContainerStateTerminated) -> String {
    match (terminated.reason.as_deref(), terminated.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.into(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", terminated.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mut pod: Value) -> (String, String, String) {
        pod["metadata"]["name"] = json!("p");
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let cells = cells(&pod);
        let text = |at: usize| cells[at].as_str().unwrap().to_owned();
        (text(1), text(2), text(3))
    }

    fn expect(pod: Value, ready: &str, status: &str, restarts: &str) {
        let shown = row(pod.clone());
        assert_eq!(shown, (ready.into(), status.into(), restarts.into()), "{pod}");
    }

    #[test]
    fn regular_containers() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let running = json!({"name": "a", "ready": true, "restartCount": 1,
            "state": {"running": {}}, "image": "", "imageID": ""});
        let of = |state: Value| {
            json!({"name": "b", "ready": false, "restartCount": 2,
                "state": state, "image": "", "imageID": ""})
        };
        let pod = |second: Value, conditions: Value| {
            json!({"spec": spec, "status": {"phase": "Running", "conditions": conditions,
                "containerStatuses": [running, of(second)]}})
        };
        let crashing = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        expect(pod(crashing, json!([])), "1/2", "CrashLoopBackOff", "3");
        let completed = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        expect(pod(completed.clone(), json!([])), "1/2", "NotReady", "3");
        let ready = json!([{"type": "Ready", "status": "True"}]);
        expect(pod(completed, ready), "1/2", "Running", "3");
        let killed = json!({"terminated": {"exitCode": 137, "signal": 9}});
        expect(pod(killed, json!([])), "1/2", "Signal:9", "3");
        let pending = json!({"spec": spec, "status": {"phase": "Pending"}});
        expect(pending, "0/2", "Pending", "0");
    }

    #[test]
    fn initialisation() {
        let spec = json!({
            "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
            "containers": [{"name": "a"}],
        });
        let of = |name: &str, state: Value, more: Value| {
            let mut status = json!({"name": name, "ready": false, "restartCount": 1,
                "state": state, "image": "", "imageID": ""});
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            status
        };
        let pod = |statuses: Value| {
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": statuses,
                "containerStatuses": [of("a", json!({"waiting": {"reason": "PodInitializing"}}), json!({"restartCount": 0}))]}})
        };
        let waiting = json!({"waiting": {"reason": "PodInitializing"}});
        expect(pod(json!([of("i", waiting, json!({}))])), "0/2", "Init:0/2", "1");
        let failed = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        expect(pod(json!([of("i", failed, json!({}))])), "0/2", "Init:Error", "1");
        let done = of("i", json!({"terminated": {"exitCode": 0}}), json!({}));
        let started = of("s", json!({"running": {}}), json!({"started": true, "ready": true}));
        expect(pod(json!([done, started])), "1/2", "PodInitializing", "1");
    }

    #[test]
    fn going() {
        let pod = json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "a"}]}, "status": {"phase": "Running"}});
        expect(pod.clone(), "0/1", "Terminating", "0");
        let mut lost = pod.clone();
        lost["status"]["reason"] = json!("NodeLost");
        expect(lost, "0/1", "Unknown", "0");
        let mut over = pod;
        over["status"]["phase"] = json!("Succeeded");
        expect(over, "0/1", "Succeeded", "0");
    }
}
