//! Startup, readiness and liveness probes: one task a probe and container instance, which counts
//! thresholds as the kubelet does and reports only what changes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::time::{Instant, MissedTickBehavior};

use crate::Node;
use crate::dial;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    /// As events spell it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }

    /// The container's probe of this kind.
    pub(crate) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
        }
    }
}

/// A probe's thresholds and what it has seen lately.
#[derive(Debug)]
struct Judge {
    kind: Kind,
    successes: u32,
    failures: u32,
    success_threshold: u32,
    failure_threshold: u32,
    /// What was reported last: readiness begins false, liveness true, startup not at all.
    reported: Option<bool>,
}

impl Judge {
    fn new(kind: Kind, probe: &Probe) -> Self {
        let threshold = |given: Option<i32>, default| {
            given.and_then(|given| u32::try_from(given).ok()).filter(|n| *n > 0).unwrap_or(default)
        };
        Self {
            kind,
            successes: 0,
            failures: 0,
            success_threshold: threshold(probe.success_threshold, 1),
            failure_threshold: threshold(probe.failure_threshold, 3),
            reported: match kind {
                Kind::Startup => None,
                Kind::Readiness => Some(false),
                Kind::Liveness => Some(true),
            },
        }
    }

    /// Counts one result; the verdict if it is a new one.
    fn count(&mut self, success: bool) -> Option<bool> {
        let reached = if success {
            self.failures = 0;
            self.successes += 1;
            self.successes >= self.success_threshold
        } else {
            self.successes = 0;
            self.failures += 1;
            self.failures >= self.failure_threshold
        };
        if !reached || self.reported == Some(success) {
            return None;
        }
        self.reported = Some(success);
        if self.kind == Kind::Liveness && !success {
            // The container is killed for it; its successor has a probe of its own.
            self.failures = 0;
        }
        Some(success)
    }
}

fn seconds(given: Option<i32>, default: u64) -> Duration {
    let given = given.and_then(|given| u64::try_from(given).ok()).filter(|seconds| *seconds > 0);
    Duration::from_secs(given.unwrap_or(default))
}

/// Probes a container instance that has just started until it is aborted, or a startup probe is
/// done; `report` takes each new verdict.
pub(crate) async fn run<F: Future<Output = ()>>(
    node: Arc<Node>,
    pod: Arc<Pod>,
    container: Container,
    address: IpAddr,
    kind: Kind,
    report: impl Fn(bool) -> F,
) {
    let Some(probe) = kind.of(&container).cloned() else { return };
    let mut judge = Judge::new(kind, &probe);
    let delay = probe.initial_delay_seconds.and_then(|delay| u64::try_from(delay).ok());
    let begin = Instant::now() + Duration::from_secs(delay.unwrap_or_default());
    let mut ticks = tokio::time::interval_at(begin, seconds(probe.period_seconds, 10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let timeout = seconds(probe.timeout_seconds, 1);
    // The first attempt waits, within its timeout, for the container to listen at all.
    let mut first = true;
    loop {
        ticks.tick().await;
        let attempt = attempt(&node, &container, address, &probe, first);
        let result = tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| {
            Err("context deadline exceeded (the probe's timeout is over)".to_owned())
        });
        first = false;
        if let Err(message) = &result {
            let message = format!("{} probe failed: {message}", kind.title());
            node.recorder.warn(&pod, Some(&container.name), "Unhealthy", message);
        }
        if let Some(verdict) = judge.count(result.is_ok()) {
            report(verdict).await;
            if kind == Kind::Startup {
                return;
            }
        }
    }
}

async fn attempt(
    node: &Node,
    container: &Container,
    address: IpAddr,
    probe: &Probe,
    patient: bool,
) -> Result<(), String> {
    if let Some(action) = &probe.http_get {
        let to = dial::target(address, action.host.as_deref(), container, &action.port);
        let to = to.map_err(|error| error.to_string())?;
        let agent = format!("kube-probe/{}", node.minor_version());
        let answer = dial::get(&node.fabric, to, action, &agent, patient).await;
        let answer = answer.map_err(|error| {
            let path = action.path.as_deref().unwrap_or("/");
            format!("Get \"http://{to}{path}\": {error}")
        })?;
        if (200..400).contains(&answer.status.as_u16()) {
            return Ok(());
        }
        tracing::debug!(%to, status = %answer.status, body = answer.body, "probe failed");
        return Err(format!("HTTP probe failed with statuscode: {}", answer.status.as_u16()));
    }
    if let Some(action) = &probe.tcp_socket {
        let to = dial::target(address, action.host.as_deref(), container, &action.port);
        let to = to.map_err(|error| error.to_string())?;
        let stream = dial::connect(&node.fabric, to, patient).await;
        return stream.map(drop).map_err(|error| error.to_string());
    }
    Err("missing probe handler".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(kind: Kind, success: i32, failure: i32, results: &str) -> String {
        let probe = Probe {
            success_threshold: Some(success),
            failure_threshold: Some(failure),
            ..Default::default()
        };
        let mut judge = Judge::new(kind, &probe);
        let verdict = |result: char| match judge.count(result == '+') {
            None => '.',
            Some(true) => '+',
            Some(false) => '-',
        };
        results.chars().map(verdict).collect()
    }

    #[test]
    fn thresholds_decide() {
        for (kind, success, failure, results, expected) in [
            (Kind::Readiness, 1, 3, "+++", "+.."),
            (Kind::Readiness, 2, 3, "+++", ".+."),
            (Kind::Readiness, 2, 3, "+-++", "...+"),
            (Kind::Readiness, 1, 3, "+--+---+", "+.....-+"),
            (Kind::Readiness, 1, 1, "-+-", ".+-"),
            (Kind::Liveness, 1, 3, "--+---", ".....-"),
            (Kind::Liveness, 1, 1, "-", "-"),
            (Kind::Startup, 1, 3, "--+", "..+"),
            (Kind::Startup, 1, 2, "--", ".-"),
        ] {
            assert_eq!(verdicts(kind, success, failure, results), expected, "{kind:?} {results}");
        }
    }
}
