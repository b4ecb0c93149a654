//! Probes and lifecycle hooks.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe,
    SleepAction, TCPSocketAction,
};

use super::number::{not_negative, port, port_or_name, positive};
use super::one_of;

/// What is done to look after a container, whoever does it.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

impl<'a> From<&'a Probe> for Handler<'a> {
    fn from(probe: &'a Probe) -> Self {
        Self {
            exec: probe.exec.as_ref(),
            http_get: probe.http_get.as_ref(),
            tcp_socket: probe.tcp_socket.as_ref(),
            grpc: probe.grpc.as_ref(),
            sleep: None,
        }
    }
}

impl<'a> From<&'a LifecycleHandler> for Handler<'a> {
    fn from(handler: &'a LifecycleHandler) -> Self {
        Self {
            exec: handler.exec.as_ref(),
            http_get: handler.http_get.as_ref(),
            tcp_socket: handler.tcp_socket.as_ref(),
            grpc: None,
            sleep: handler.sleep.as_ref(),
        }
    }
}

impl Handler<'_> {
    fn faults(&self, grace: i64, path: &str) -> Vec<Cause> {
        let mut faults = vec![];
        let mut seen = false;
        let mut another = |field: &str, faults: &mut Vec<Cause>| {
            if seen {
                let path = format!("{path}.{field}");
                faults.push(Cause::forbidden(path, "may not specify more than 1 handler type"));
            }
            !std::mem::replace(&mut seen, true)
        };
        if let Some(exec) = self.exec
            && another("exec", &mut faults)
            && exec.command.as_ref().is_none_or(Vec::is_empty)
        {
            faults.push(Cause::required(format!("{path}.exec.command"), ""));
        }
        if let Some(http) = self.http_get
            && another("httpGet", &mut faults)
        {
            let path = format!("{path}.httpGet");
            if http.path.as_deref().unwrap_or_default().is_empty() {
                faults.push(Cause::required(format!("{path}.path"), ""));
            }
            faults.extend(port_or_name(&format!("{path}.port"), &http.port));
            let scheme = http.scheme.as_deref();
            faults.extend(one_of(&format!("{path}.scheme"), scheme, &["HTTP", "HTTPS"]));
        }
        if let Some(tcp) = self.tcp_socket
            && another("tcpSocket", &mut faults)
        {
            faults.extend(port_or_name(&format!("{path}.tcpSocket.port"), &tcp.port));
        }
        if let Some(grpc) = self.grpc
            && another("grpc", &mut faults)
        {
            faults.extend(port(&format!("{path}.grpc.port"), grpc.port));
        }
        if let Some(sleep) = self.sleep
            && another("sleep", &mut faults)
            && !(0..=grace).contains(&sleep.seconds)
        {
            let detail = format!(
                "must be non-negative and less than terminationGracePeriodSeconds ({grace}). Enable AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep."
            );
            faults.push(Cause::invalid(format!("{path}.sleep"), sleep.seconds, &detail));
        }
        if !seen {
            faults.push(Cause::required(path, "must specify a handler type"));
        }
        faults
    }
}

fn probe(probe: &Probe, grace: i64, path: &str) -> Vec<Cause> {
    let mut faults = Handler::from(probe).faults(grace, path);
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (field, number) in numbers {
        faults.extend(not_negative(&format!("{path}.{field}"), number));
    }
    let path = format!("{path}.terminationGracePeriodSeconds");
    faults.extend(positive(&path, probe.termination_grace_period_seconds));
    faults
}

/// The probes of a container.
pub(super) fn probes(container: &Container, grace: i64, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let all = [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ];
    for (field, given) in all {
        let Some(given) = given else { continue };
        let path = format!("{path}.{field}");
        faults.extend(probe(given, grace, &path));
        match field {
            "readinessProbe" => {
                if let Some(seconds) = given.termination_grace_period_seconds {
                    let path = format!("{path}.terminationGracePeriodSeconds");
                    let detail = "must not be set for readinessProbes";
                    faults.push(Cause::invalid(path, seconds, detail));
                }
            }
            _ if given.success_threshold.is_some_and(|threshold| threshold != 1) => {
                let path = format!("{path}.successThreshold");
                faults.push(Cause::invalid(path, given.success_threshold, "must be 1"));
            }
            _ => {}
        }
    }
    faults
}

/// What is done when a container has started and before it stops.
pub(super) fn lifecycle(lifecycle: Option<&Lifecycle>, grace: i64, path: &str) -> Vec<Cause> {
    let Some(lifecycle) = lifecycle else { return vec![] };
    let hooks = [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)];
    let faults = hooks.into_iter().filter_map(|(field, hook)| {
        let hook = hook.as_ref()?;
        Some(Handler::from(hook).faults(grace, &format!("{path}.{field}")))
    });
    faults.flatten().collect()
}
