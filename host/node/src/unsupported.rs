//! What a pod may ask of a kubelet and this node cannot give: refused, or said to be without
//! effect. Never ignored in silence. Pure.

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod, PodSpec, Probe, Volume};

/// The reason that a refused pod's containers wait with.
pub(crate) const REASON: &str = "UnsupportedFeature";

/// Everything in the pod that cannot be honoured and must not be left out; empty if the pod can
/// run.
pub(crate) fn refused(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else { return vec!["the pod has no spec".into()] };
    let mut refused = Vec::new();
    let mut no = |asked: bool, what: String| {
        if asked {
            refused.push(what);
        }
    };
    let host = "a WebAssembly pod shares nothing with its host";
    no(spec.host_network == Some(true), format!("hostNetwork: {host}"));
    no(spec.host_pid == Some(true), format!("hostPID: {host}"));
    no(spec.host_ipc == Some(true), format!("hostIPC: {host}"));
    let processes = "shareProcessNamespace: WebAssembly has no processes to share";
    no(spec.share_process_namespace == Some(true), processes.into());
    no(
        spec.set_hostname_as_fqdn == Some(true),
        "setHostnameAsFQDN is not supported by this node".into(),
    );
    no(
        spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()),
        "resourceClaims: this node has no devices".into(),
    );
    let sysctls = spec.security_context.as_ref().and_then(|context| context.sysctls.as_ref());
    let sysctls = sysctls.is_some_and(|sysctls| !sysctls.is_empty());
    no(sysctls, "securityContext.sysctls: WebAssembly has no kernel to tune".into());
    for volume in spec.volumes.iter().flatten() {
        if let Some(problem) = volume_problem(volume) {
            no(true, format!("volume {:?}: {problem}", volume.name));
        }
    }
    for container in containers(spec) {
        for problem in container_problems(container) {
            no(true, format!("container {:?}: {problem}", container.name));
        }
    }
    refused
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

fn volume_problem(volume: &Volume) -> Option<String> {
    if let Some(empty) = &volume.empty_dir {
        let medium = empty.medium.as_deref().unwrap_or_default();
        return medium.starts_with("HugePages").then(|| "huge pages are not supported".into());
    }
    if let Some(projected) = &volume.projected {
        let mut sources = projected.sources.iter().flatten();
        let unknown = sources.any(|source| {
            source.cluster_trust_bundle.is_some() || source.pod_certificate.is_some()
        });
        return unknown
            .then(|| "clusterTrustBundle and podCertificate sources are not supported".into());
    }
    if volume.config_map.is_some() || volume.secret.is_some() || volume.downward_api.is_some() {
        return None;
    }
    if volume.host_path.is_some() {
        return Some(
            "hostPath is not supported: a WebAssembly pod sees nothing of its host".into(),
        );
    }
    if volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some() {
        return Some("persistent volume claims are not supported by this node".into());
    }
    // Whatever its kind, it is the one field set besides the name.
    let fields = serde_json::to_value(volume).ok()?;
    let kind = fields.as_object()?.keys().find(|key| *key != "name")?.clone();
    Some(format!("{kind} is not supported by this node"))
}

fn container_problems(container: &Container) -> Vec<String> {
    let mut problems = Vec::new();
    let security = container.security_context.as_ref();
    if security.is_some_and(|security| security.privileged == Some(true)) {
        problems.push("privileged: there are no privileges beyond the sandbox's to give".into());
    }
    if container.volume_devices.as_ref().is_some_and(|devices| !devices.is_empty()) {
        problems.push("volumeDevices: block devices are not supported".into());
    }
    if container.ports.iter().flatten().any(|port| port.host_port.is_some_and(|port| port != 0)) {
        problems.push("hostPort is not supported: use a Service of type NodePort".into());
    }
    for mount in container.volume_mounts.iter().flatten() {
        if mount.mount_propagation.as_deref() == Some("Bidirectional") {
            problems.push("mountPropagation Bidirectional is not supported".into());
        }
    }
    for (name, probe) in [
        ("startupProbe", &container.startup_probe),
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
    ] {
        let problem = probe.as_ref().and_then(probe_problem);
        problems.extend(problem.map(|problem| format!("{name}: {problem}")));
    }
    let lifecycle = container.lifecycle.as_ref();
    for (name, handler) in [
        ("postStart", lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref())),
        ("preStop", lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref())),
    ] {
        let problem = handler.and_then(handler_problem);
        problems.extend(problem.map(|problem| format!("{name}: {problem}")));
    }
    problems
}

const NO_EXEC: &str = "exec is not supported by this node yet: use httpGet or tcpSocket";

fn probe_problem(probe: &Probe) -> Option<&'static str> {
    let https = probe.http_get.as_ref().is_some_and(|get| is_https(get.scheme.as_deref()));
    if probe.exec.is_some() {
        Some(NO_EXEC)
    } else if probe.grpc.is_some() {
        Some("grpc is not supported by this node yet: use httpGet or tcpSocket")
    } else if https {
        Some("scheme HTTPS is not supported by this node yet: use HTTP or tcpSocket")
    } else {
        None
    }
}

fn handler_problem(handler: &LifecycleHandler) -> Option<&'static str> {
    let https = handler.http_get.as_ref().is_some_and(|get| is_https(get.scheme.as_deref()));
    if handler.exec.is_some() {
        Some("exec is not supported by this node yet: use httpGet or sleep")
    } else if handler.tcp_socket.is_some() {
        Some("tcpSocket is not a lifecycle handler: use httpGet or sleep")
    } else if https {
        Some("scheme HTTPS is not supported by this node yet: use HTTP")
    } else {
        None
    }
}

fn is_https(scheme: Option<&str>) -> bool {
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// Everything in the pod that is accepted but does nothing here.
pub(crate) fn without_effect(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let mut idle = Vec::new();
    let mut say = |asked: bool, what: String| {
        if asked {
            idle.push(what);
        }
    };
    let some = |list: Option<usize>| list.is_some_and(|length| length > 0);
    say(some(spec.host_aliases.as_ref().map(Vec::len)), "hostAliases".into());
    say(spec.dns_config.is_some(), "dnsConfig".into());
    let dns = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    say(!dns.starts_with("ClusterFirst"), format!("dnsPolicy {dns}"));
    for volume in spec.volumes.iter().flatten() {
        let medium = volume.empty_dir.as_ref().and_then(|empty| empty.medium.as_deref());
        let text = format!("medium of volume {:?} (it is kept on disk)", volume.name);
        say(medium == Some("Memory"), text);
        let limit = volume.empty_dir.as_ref().and_then(|empty| empty.size_limit.as_ref());
        let text = format!("sizeLimit of volume {:?} (it is not enforced yet)", volume.name);
        say(limit.is_some(), text);
    }
    for container in containers(spec) {
        let name = &container.name;
        say(container.stdin == Some(true), format!("stdin of container {name:?} (it is empty)"));
        let limits = container.resources.as_ref().and_then(|lists| lists.limits.as_ref());
        let disk = limits.is_some_and(|limits| limits.contains_key("ephemeral-storage"));
        let text = format!("limit on ephemeral-storage of container {name:?} (not enforced yet)");
        say(disk, text);
        let security = container.security_context.as_ref();
        let capabilities = security.and_then(|security| security.capabilities.as_ref());
        let added = capabilities.and_then(|capabilities| capabilities.add.as_ref());
        say(some(added.map(Vec::len)), format!("capabilities added to container {name:?}"));
        say(container.tty == Some(true), format!("tty of container {name:?}"));
        let signal = container.lifecycle.as_ref().and_then(|all| all.stop_signal.as_ref());
        say(signal.is_some(), format!("stopSignal of container {name:?}"));
    }
    idle
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(mut spec: Value, container: Value) -> Pod {
        let mut first = json!({"name": "c", "image": "i"});
        first.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        spec["containers"] = json!([first]);
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn an_ordinary_pod_is_accepted() {
        let pod = pod(
            json!({
                "securityContext": {"runAsUser": 1000, "fsGroup": 1, "runAsNonRoot": true},
                "dnsPolicy": "ClusterFirst",
                "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "m"}}],
            }),
            json!({
                "securityContext": {"readOnlyRootFilesystem": true, "privileged": false,
                    "capabilities": {"drop": ["ALL"]}},
                "readinessProbe": {"httpGet": {"port": 80, "scheme": "HTTP"}},
                "ports": [{"containerPort": 80}],
            }),
        );
        assert_eq!(refused(&pod), Vec::<String>::new());
        assert_eq!(without_effect(&pod), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_given_is_refused_by_name() {
        for (spec, container, expected) in [
            (json!({"hostNetwork": true}), json!({}), "hostNetwork"),
            (json!({"hostPID": true}), json!({}), "hostPID"),
            (json!({"hostIPC": true}), json!({}), "hostIPC"),
            (
                json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
                json!({}),
                "volume \"v\": hostPath",
            ),
            (
                json!({"volumes": [{"name": "v", "nfs": {"path": "/", "server": "s"}}]}),
                json!({}),
                "volume \"v\": nfs is not",
            ),
            (
                json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}),
                json!({}),
                "persistent volume claims",
            ),
            (json!({}), json!({"securityContext": {"privileged": true}}), "privileged"),
            (json!({}), json!({"ports": [{"containerPort": 1, "hostPort": 1}]}), "hostPort"),
            (
                json!({}),
                json!({"livenessProbe": {"exec": {"command": ["true"]}}}),
                "container \"c\": livenessProbe: exec",
            ),
            (
                json!({}),
                json!({"readinessProbe": {"httpGet": {"port": 1, "scheme": "HTTPS"}}}),
                "scheme HTTPS",
            ),
            (
                json!({}),
                json!({"lifecycle": {"preStop": {"exec": {"command": ["true"]}}}}),
                "preStop: exec",
            ),
        ] {
            let refused = refused(&pod(spec, container));
            assert_eq!(refused.len(), 1, "{expected}: {refused:?}");
            assert!(refused[0].contains(expected), "{expected}: {refused:?}");
        }
    }

    #[test]
    fn what_does_nothing_is_said() {
        let pod = pod(
            json!({
                "dnsPolicy": "Default",
                "volumes": [{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
            }),
            json!({
                "stdin": true, "tty": true,
                "resources": {"limits": {"ephemeral-storage": "1Mi"}},
                "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
            }),
        );
        assert_eq!(without_effect(&pod).len(), 7);
    }
}
