//! Stopping: one container, and the whole pod in order: what is regular first, then sidecars from
//! the last to the first.

use std::time::Duration;

use tokio::time::Instant;

use super::container::{Role, State};
use super::{Cause, Ending, Worker, hooks};
use crate::probes::Kind;

/// A container has at least this time after its hook.
const LEAST_GRACE: Duration = Duration::from_secs(2);

impl Worker {
    /// Stops the pod's containers for good. A later call can shorten the time that is left and
    /// strengthen the cause.
    pub(super) fn end(&mut self, cause: Cause, grace: Duration) {
        let deadline = Instant::now() + grace;
        match &mut self.ending {
            None => {
                self.ending = Some(Ending { cause, deadline });
                for container in &mut self.containers {
                    container.abandon();
                    if let State::Running(running) = &mut container.state {
                        running.end_probes(|kind| kind != Kind::Readiness);
                    }
                }
            }
            Some(ending) => {
                ending.cause = ending.cause.max(cause);
                if deadline < ending.deadline {
                    ending.deadline = deadline;
                    for container in &self.containers {
                        if let State::Running(running) = &container.state
                            && running.stopping.is_some()
                        {
                            running.instance.stop(grace);
                        }
                    }
                }
            }
        }
    }

    /// Takes the next steps of the pod's end.
    pub(super) async fn drive_end(&mut self) {
        let Some(ending) = &self.ending else { return };
        let (cause, deadline) = (ending.cause, ending.deadline);
        let grace = deadline.saturating_duration_since(Instant::now());
        let mut others = false;
        for index in 0..self.containers.len() {
            if self.containers[index].role != Role::Sidecar {
                others |= !self.containers[index].is_quiet();
                self.stop(index, grace, None);
            }
        }
        if !others || cause == Cause::Shutdown {
            let sidecars: Vec<usize> = (0..self.containers.len())
                .rev()
                .filter(|index| self.containers[*index].role == Role::Sidecar)
                .collect();
            for index in sidecars {
                self.stop(index, grace, None);
                if !self.containers[index].is_quiet() && cause != Cause::Shutdown {
                    break;
                }
            }
        }
        if self.quiet() && cause != Cause::Shutdown {
            self.release().await;
        }
    }

    /// Stops a container that runs, and is not being stopped already, within `grace`, its hook
    /// included. `why` goes into the event.
    pub(super) fn stop(&mut self, index: usize, grace: Duration, why: Option<String>) {
        let node = self.node.clone();
        let pod = self.pod.clone();
        let address = self.address;
        let Some(container) = self.containers.get_mut(index) else { return };
        let spec = container.spec.clone();
        let State::Running(running) = &mut container.state else { return };
        if running.stopping.is_some() {
            return;
        }
        running.end_probes(|kind| kind != Kind::Readiness);
        let message = why.unwrap_or_else(|| format!("Stopping container {}", spec.name));
        node.recorder.normal(&pod, Some(&spec.name), "Killing", message);
        let instance = running.instance.clone();
        let stopping = tokio::spawn(async move {
            let deadline = Instant::now() + grace;
            let hook = spec.lifecycle.as_ref().and_then(|all| all.pre_stop.as_ref());
            if let (Some(hook), Some(address), false) = (hook, address, grace.is_zero()) {
                let hook = hooks::run(&node, &spec, hook, address);
                let result = tokio::time::timeout(grace, hook).await;
                let problem = match result {
                    Ok(Ok(())) => None,
                    Ok(Err(problem)) => Some(problem),
                    Err(_) => Some("it did not end within the grace period".to_owned()),
                };
                if let Some(problem) = problem {
                    let message = format!("PreStopHook failed: {problem}");
                    node.recorder.warn(&pod, Some(&spec.name), "FailedPreStopHook", message);
                }
                let left = deadline.saturating_duration_since(Instant::now());
                instance.stop(left.max(LEAST_GRACE));
            } else {
                instance.stop(grace);
            }
        });
        running.stopping = Some(stopping.abort_handle());
    }
}
