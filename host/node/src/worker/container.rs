//! One container of a pod over all its instances. Pure but for what its state holds.

use std::sync::Arc;

use coracle_api::clock;
use coracle_api::pods::is_sidecar;
use coracle_sandbox::Instance;
use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerStateTerminated, ContainerStatus, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::probes::Kind;
use crate::status::{Facts, Shown};

/// When a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Before the regular ones, to its end.
    Init,
    /// From its turn among the init containers on.
    Sidecar,
    /// After all init containers.
    Regular,
}

/// What the container is doing.
pub(super) enum State {
    /// Waiting for its turn.
    Waiting,
    /// Being started.
    Starting(AbortHandle),
    /// Running.
    Running(Running),
    /// It could not be started, and will be tried again.
    Unavailable(Unavailable),
    /// Ended; restarted if the policy says so.
    Ended { terminated: ContainerStateTerminated, at: Instant },
}

/// Why there is no instance yet.
pub(super) struct Unavailable {
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The image that could not be had.
    pub(super) image: Option<String>,
    /// When the reason becomes that of waiting for the next try.
    pub(super) settles: Option<Instant>,
    pub(super) retry: Instant,
}

/// A running instance.
pub(super) struct Running {
    pub(super) instance: Arc<Instance>,
    pub(super) since: Timestamp,
    /// The image that it was started from.
    pub(super) image: Option<String>,
    pub(super) probes: Vec<(Kind, AbortHandle)>,
    /// The task that stops it, once it is to stop.
    pub(super) stopping: Option<AbortHandle>,
}

impl Running {
    /// Ends the probes of this kind.
    pub(super) fn end_probes(&mut self, which: impl Fn(Kind) -> bool) {
        self.probes.retain(|(kind, task)| {
            let ends = which(*kind);
            if ends {
                task.abort();
            }
            !ends
        });
    }
}

/// One container.
pub(super) struct Container {
    pub(super) spec: Spec,
    /// The pod as messages name it.
    pub(super) pod: String,
    pub(super) role: Role,
    pub(super) state: State,
    /// Counts attempts to start it: what reports of an earlier one is out of date.
    pub(super) attempt: u64,
    pub(super) restarts: i32,
    /// Whether there ever was an instance.
    pub(super) had_instance: bool,
    pub(super) last: Option<ContainerStateTerminated>,
    pub(super) ready: bool,
    pub(super) started: bool,
    pub(super) container_id: Option<String>,
    pub(super) image_id: String,
    pub(super) backoff: Backoff,
    pub(super) image_backoff: Backoff,
    /// Whether it is restarted whatever its exit code: a probe or a new image ended it.
    pub(super) forced: bool,
    /// Whether the back-off it waits in has been reported.
    pub(super) backoff_reported: bool,
}

impl Container {
    /// The containers of a pod, init containers first. If the pod ran here `earlier`, they go on
    /// from its status: what ran then has been lost with the process.
    pub(super) fn of(pod: &Pod, earlier: bool) -> Vec<Self> {
        let spec = pod.spec.clone().unwrap_or_default();
        let name = display(pod);
        let status = pod.status.clone().filter(|_| earlier).unwrap_or_default();
        let init = spec.init_containers.into_iter().flatten().map(|container| {
            let role = if is_sidecar(&container) { Role::Sidecar } else { Role::Init };
            (container, role, &status.init_container_statuses)
        });
        let regular = spec
            .containers
            .into_iter()
            .map(|container| (container, Role::Regular, &status.container_statuses));
        let resume = |(spec, role, statuses): (Spec, Role, &Option<Vec<ContainerStatus>>)| {
            let old = statuses.iter().flatten().find(|old| old.name == spec.name);
            Self::resumed(spec, &name, role, old)
        };
        init.chain(regular).map(resume).collect()
    }

    fn resumed(spec: Spec, pod: &str, role: Role, old: Option<&ContainerStatus>) -> Self {
        let mut container = Self {
            spec,
            pod: pod.to_owned(),
            role,
            state: State::Waiting,
            attempt: 0,
            restarts: old.map_or(0, |old| old.restart_count),
            had_instance: false,
            last: None,
            ready: false,
            started: false,
            container_id: old.and_then(|old| old.container_id.clone()),
            image_id: old.map(|old| old.image_id.clone()).unwrap_or_default(),
            backoff: Backoff::default(),
            image_backoff: Backoff::default(),
            forced: false,
            backoff_reported: false,
        };
        let Some(old) = old else { return container };
        let state = old.state.clone().unwrap_or_default();
        container.last = old.last_state.clone().and_then(|last| last.terminated);
        let ended = state.terminated.clone().or_else(|| {
            let running = state.running?;
            Some(ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".into()),
                message: Some(
                    "The container could not be located after the node was restarted.  \
                     The container used to be Running"
                        .into(),
                ),
                started_at: running.started_at,
                finished_at: Some(Time(clock::now())),
                container_id: old.container_id.clone(),
                ..Default::default()
            })
        });
        container.had_instance = ended.is_some() || container.last.is_some();
        // What initialised the pod is done again, for its network and volumes are new ones.
        let over = ended.filter(|ended| role == Role::Regular || ended.exit_code != 0);
        if let Some(terminated) = over {
            container.state = State::Ended { terminated, at: Instant::now() };
        } else if let Some(terminated) = state.terminated {
            container.last = Some(terminated);
        }
        container
    }

    /// The number of the next instance: how many were before it.
    pub(super) fn next_number(&self) -> i32 {
        self.restarts + i32::from(self.had_instance)
    }

    /// Takes in that the next instance has been made.
    pub(super) fn count_instance(&mut self) {
        self.restarts = self.next_number();
        self.had_instance = true;
    }

    /// The instance that runs.
    pub(super) fn instance(&self) -> Option<&Arc<Instance>> {
        match &self.state {
            State::Running(running) => Some(&running.instance),
            _ => None,
        }
    }

    /// Whether nothing of it runs or is being started.
    pub(super) fn is_quiet(&self) -> bool {
        !matches!(self.state, State::Starting(_) | State::Running(_))
    }

    /// Whether it ended with success.
    pub(super) fn succeeded(&self) -> bool {
        matches!(&self.state, State::Ended { terminated, .. } if terminated.exit_code == 0)
    }

    /// Whether an instance that ended with `exit_code` is followed by another.
    pub(super) fn restarts_after(&self, exit_code: i32, pod_policy: &str) -> bool {
        if self.forced {
            return true;
        }
        let rules = self.spec.restart_policy_rules.iter().flatten();
        let rule =
            rules.filter_map(|rule| Some((rule, rule.exit_codes.as_ref()?))).find(|(_, codes)| {
                let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
                listed == (codes.operator == "In")
            });
        if let Some((rule, _)) = rule {
            return rule.action.starts_with("Restart");
        }
        let own = self.spec.restart_policy.as_deref();
        match (self.role, own.unwrap_or(pod_policy)) {
            (_, "Never") => false,
            (Role::Init, _) | (_, "OnFailure") => exit_code != 0,
            _ => true,
        }
    }

    /// Takes in that the instance ended.
    pub(super) fn end(&mut self, terminated: ContainerStateTerminated) {
        if let State::Running(running) = &mut self.state {
            running.end_probes(|_| true);
            if let Some(stopping) = running.stopping.take() {
                stopping.abort();
            }
        }
        self.ready = self.role == Role::Init && terminated.exit_code == 0;
        self.started = false;
        self.backoff_reported = false;
        self.state = State::Ended { terminated, at: Instant::now() };
    }

    /// Gives up an attempt to start it.
    pub(super) fn abandon(&mut self) {
        if let State::Starting(task) = &self.state {
            task.abort();
            self.attempt += 1;
            self.state = State::Waiting;
        }
    }

    /// What its status shows. `pending` is the reason of one that waits for its turn; `policy`
    /// the pod's restart policy; `over` says that nothing is started any more.
    pub(super) fn facts(&self, pending: &str, policy: &str, over: bool) -> Facts {
        let waiting = |reason: &str, message| Shown::Waiting { reason: reason.into(), message };
        let mut last = self.last.clone();
        let shown = match &self.state {
            // One that ran before shows how it ended until it runs again.
            State::Waiting | State::Starting(_) => match last.clone() {
                Some(terminated) if over => {
                    last = None;
                    Shown::Terminated(terminated)
                }
                _ => waiting(pending, None),
            },
            State::Running(running) => Shown::Running { since: Time(running.since) },
            State::Unavailable(why) => waiting(why.reason, Some(why.message.clone())),
            State::Ended { terminated, at } => {
                let restarts = !over && self.restarts_after(terminated.exit_code, policy);
                if restarts && self.backoff.until(*at).is_some() {
                    last = Some(terminated.clone());
                    let delay = crate::backoff::seconds(self.backoff.delay());
                    let message = format!(
                        "back-off {delay} restarting failed container={} pod={}",
                        self.spec.name, self.pod
                    );
                    waiting("CrashLoopBackOff", Some(message))
                } else {
                    Shown::Terminated(terminated.clone())
                }
            }
        };
        Facts {
            shown,
            last,
            ready: self.ready,
            started: self.started,
            restarts: self.restarts,
            container_id: self.container_id.clone(),
            image_id: self.image_id.clone(),
        }
    }
}

/// A pod as the kubelet's messages name it.
fn display(pod: &Pod) -> String {
    let metadata = &pod.metadata;
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}_{}({})", part(&metadata.name), part(&metadata.namespace), part(&metadata.uid))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn containers(status: Value) -> Vec<Container> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {
                "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
                "containers": [{"name": "c"}],
            },
            "status": status,
        }))
        .unwrap();
        Container::of(&pod, true)
    }

    #[tokio::test]
    async fn a_restarted_node_goes_on_from_the_status() {
        let made = containers(json!({
            "initContainerStatuses": [{
                "name": "i", "image": "", "imageID": "", "ready": true, "restartCount": 1,
                "state": {"terminated": {"exitCode": 0}},
            }],
            "containerStatuses": [{
                "name": "c", "image": "", "imageID": "x", "ready": true, "restartCount": 4,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                "lastState": {"terminated": {"exitCode": 1}},
            }],
        }));
        let [init, sidecar, regular] = &made[..] else { panic!("{}", made.len()) };
        assert!(matches!(init.state, State::Waiting) && init.had_instance && init.restarts == 1);
        assert!(matches!(sidecar.state, State::Waiting) && !sidecar.had_instance);
        let State::Ended { terminated, .. } = &regular.state else { panic!("not ended") };
        assert_eq!(terminated.exit_code, 137);
        assert_eq!((regular.restarts, regular.had_instance), (4, true));
    }

    #[tokio::test]
    async fn policies_decide_on_restarts() {
        let mut made = containers(json!({}));
        for (index, own, pod, code, expected) in [
            (0, None, "Always", 0, false),
            (0, None, "Always", 1, true),
            (0, None, "OnFailure", 1, true),
            (0, None, "Never", 1, false),
            (1, Some("Always"), "Never", 0, true),
            (2, None, "Always", 0, true),
            (2, None, "OnFailure", 0, false),
            (2, None, "OnFailure", 1, true),
            (2, None, "Never", 1, false),
            (2, Some("Never"), "Always", 1, false),
            (2, Some("OnFailure"), "Never", 1, true),
        ] {
            made[index].spec.restart_policy = own.map(str::to_owned);
            let restarts = made[index].restarts_after(code, pod);
            assert_eq!(restarts, expected, "{index} {own:?} {pod} {code}");
        }
        let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
        made[2].spec.restart_policy = Some("Never".into());
        made[2].spec.restart_policy_rules = serde_json::from_value(rules).unwrap();
        assert!(made[2].restarts_after(42, "Never") && !made[2].restarts_after(1, "Never"));
    }

    #[tokio::test]
    async fn back_off_is_shown_as_a_crash_loop() {
        let mut made = containers(json!({}));
        let container = &mut made[2];
        container.end(ContainerStateTerminated { exit_code: 3, ..Default::default() });
        let shown = container.facts("ContainerCreating", "Always", false).shown;
        assert!(matches!(shown, Shown::Terminated(ended) if ended.exit_code == 3));
        container.backoff.advance(Instant::now());
        let facts = container.facts("ContainerCreating", "Always", false);
        let Shown::Waiting { reason, message } = facts.shown else { panic!("not waiting") };
        assert_eq!(reason, "CrashLoopBackOff");
        assert_eq!(message.unwrap(), "back-off 10s restarting failed container=c pod=p_ns(u)");
        assert_eq!(facts.last.unwrap().exit_code, 3);
        let shown = container.facts("ContainerCreating", "Never", false).shown;
        assert!(matches!(shown, Shown::Terminated(_)));
    }
}
