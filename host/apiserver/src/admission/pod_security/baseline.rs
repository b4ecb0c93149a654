//! What the baseline standard forbids, in the order in which Kubernetes names it.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, LifecycleHandler, PodSpec, SELinuxOptions, SeccompProfile,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod::{containers, distinct, named, plural, quoted, setters};
use super::policy::{Version, Violation};

const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Sysctls that touch nobody but the pod, and the version that came to think so.
const SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

/// `stricter` leaves out what the restricted standard says itself, and more strictly.
pub(super) fn check(
    version: Version,
    meta: &ObjectMeta,
    spec: &PodSpec,
    stricter: bool,
) -> Vec<Violation> {
    let overlapping = [
        capabilities(spec).filter(|_| !stricter || !version.since(22)),
        host_path_volumes(spec).filter(|_| !stricter),
        seccomp(version, meta, spec).filter(|_| !stricter || !version.since(19)),
    ];
    let [capabilities, host_path_volumes, seccomp] = overlapping;
    let all = [
        app_armor(version, meta, spec),
        capabilities,
        host_namespaces(spec),
        host_path_volumes,
        host_ports(spec),
        hosts(spec).filter(|_| version.since(34)),
        privileged(spec),
        proc_mount(spec),
        selinux(version, spec),
        seccomp,
        sysctls(version, spec),
        host_process(spec),
    ];
    all.into_iter().flatten().collect()
}

fn app_armor(version: Version, meta: &ObjectMeta, spec: &PodSpec) -> Option<Violation> {
    let allowed = |value: &str| {
        value.is_empty() || value == "runtime/default" || value.starts_with("localhost/")
    };
    let annotations = meta.annotations.iter().flatten();
    let wrong = annotations.filter(|(name, value)| name.starts_with(APPARMOR) && !allowed(value));
    let mut values: Vec<_> = wrong.map(|(name, value)| format!("{name}={value:?}")).collect();
    let mut from = String::new();
    if version.since(30) {
        let wrong = |profile: Option<&AppArmorProfile>| {
            profile.is_some_and(|p| !matches!(p.type_.as_str(), "RuntimeDefault" | "Localhost"))
        };
        let pod = spec.security_context.as_ref().and_then(|c| c.app_armor_profile.as_ref());
        let offenders: Vec<_> = containers(spec)
            .filter(|c| wrong(c.context.and_then(|c| c.app_armor_profile.as_ref())))
            .map(|c| c.name)
            .collect();
        if let Some(setters) = setters(wrong(pod), &offenders) {
            from = format!("{setters} must not set AppArmor profile type to \"Unconfined\"");
        }
    }
    if !values.is_empty() {
        values.sort();
        let word = plural(&values, "annotation", "annotations");
        from = match from.as_str() {
            "" => format!("{word} {}", values.join(", ")),
            _ => format!("{from} and {word} {}", values.join(", ")),
        };
    }
    let reason =
        if values.len() > 1 { "forbidden AppArmor profiles" } else { "forbidden AppArmor profile" };
    (!from.is_empty()).then_some(Violation { reason, detail: from })
}

fn capabilities(spec: &PodSpec) -> Option<Violation> {
    let mut offenders = vec![];
    let mut added = vec![];
    for container in containers(spec) {
        let capabilities = container.context.and_then(|c| c.capabilities.as_ref());
        let add = capabilities.iter().flat_map(|c| c.add.iter().flatten()).map(String::as_str);
        let wrong: Vec<_> = add.filter(|name| !CAPABILITIES.contains(name)).collect();
        if !wrong.is_empty() {
            offenders.push(container.name);
            added.extend(wrong);
        }
    }
    let detail = || {
        let (who, what) = (named(&offenders), quoted(&distinct(added)));
        format!("{who} must not include {what} in securityContext.capabilities.add")
    };
    (!offenders.is_empty())
        .then(|| Violation { reason: "non-default capabilities", detail: detail() })
}

fn host_namespaces(spec: &PodSpec) -> Option<Violation> {
    let used = [
        ("hostNetwork=true", spec.host_network),
        ("hostPID=true", spec.host_pid),
        ("hostIPC=true", spec.host_ipc),
    ];
    let used: Vec<_> =
        used.iter().filter(|(_, set)| *set == Some(true)).map(|(name, _)| *name).collect();
    (!used.is_empty()).then(|| Violation { reason: "host namespaces", detail: used.join(", ") })
}

fn host_path_volumes(spec: &PodSpec) -> Option<Violation> {
    let volumes = spec.volumes.iter().flatten().filter(|volume| volume.host_path.is_some());
    let names: Vec<_> = volumes.map(|volume| volume.name.as_str()).collect();
    let detail = || format!("{} {}", plural(&names, "volume", "volumes"), quoted(&names));
    (!names.is_empty()).then(|| Violation { reason: "hostPath volumes", detail: detail() })
}

fn host_ports(spec: &PodSpec) -> Option<Violation> {
    let mut offenders = vec![];
    let mut ports = vec![];
    for container in containers(spec) {
        let own = container.ports.iter().filter_map(|p| p.host_port).filter(|port| *port != 0);
        let own: Vec<_> = own.collect();
        if !own.is_empty() {
            offenders.push(container.name);
            ports.extend(own);
        }
    }
    let detail = || {
        let ports = distinct(ports);
        let uses = plural(&offenders, "uses", "use");
        let word = plural(&ports, "hostPort", "hostPorts");
        let list: Vec<_> = ports.iter().map(i32::to_string).collect();
        format!("{} {uses} {word} {}", named(&offenders), list.join(", "))
    };
    (!offenders.is_empty()).then(|| Violation { reason: "hostPort", detail: detail() })
}

fn hosts(spec: &PodSpec) -> Option<Violation> {
    fn of_handler(handler: Option<&LifecycleHandler>) -> [Option<&str>; 2] {
        let http = handler.and_then(|h| h.http_get.as_ref()).and_then(|a| a.host.as_deref());
        let tcp = handler.and_then(|h| h.tcp_socket.as_ref()).and_then(|a| a.host.as_deref());
        [http, tcp]
    }
    let mut offenders = vec![];
    let mut named_hosts = vec![];
    for container in containers(spec) {
        let probes = container.probes.into_iter().flatten().flat_map(|probe| {
            let http = probe.http_get.as_ref().and_then(|action| action.host.as_deref());
            let tcp = probe.tcp_socket.as_ref().and_then(|action| action.host.as_deref());
            [http, tcp]
        });
        let handlers = container
            .lifecycle
            .into_iter()
            .flat_map(|l| [l.post_start.as_ref(), l.pre_stop.as_ref()])
            .flat_map(of_handler);
        let own: Vec<_> = probes.chain(handlers).flatten().filter(|h| !h.is_empty()).collect();
        if !own.is_empty() {
            offenders.push(container.name);
            named_hosts.extend(own);
        }
    }
    let detail = || {
        let (offenders, hosts) = (distinct(offenders.clone()), distinct(named_hosts));
        let uses = plural(&offenders, "uses", "use");
        let word = plural(&hosts, "probe or lifecycle host", "probe or lifecycle hosts");
        format!("{} {uses} {word} {}", named(&offenders), quoted(&hosts))
    };
    (!offenders.is_empty())
        .then(|| Violation { reason: "probe or lifecycle host", detail: detail() })
}

fn privileged(spec: &PodSpec) -> Option<Violation> {
    let wrong = containers(spec).filter(|c| c.context.and_then(|c| c.privileged) == Some(true));
    let names: Vec<_> = wrong.map(|container| container.name).collect();
    let detail = || format!("{} must not set securityContext.privileged=true", named(&names));
    (!names.is_empty()).then(|| Violation { reason: "privileged", detail: detail() })
}

fn proc_mount(spec: &PodSpec) -> Option<Violation> {
    let mut offenders = vec![];
    let mut values = vec![];
    for container in containers(spec) {
        let mount = container.context.and_then(|context| context.proc_mount.as_deref());
        if let Some(value) = mount.filter(|value| *value != "Default") {
            offenders.push(container.name);
            values.push(value);
        }
    }
    let detail = || {
        let (who, what) = (named(&offenders), quoted(&distinct(values)));
        format!("{who} must not set securityContext.procMount to {what}")
    };
    (!offenders.is_empty()).then(|| Violation { reason: "procMount", detail: detail() })
}

fn selinux(version: Version, spec: &PodSpec) -> Option<Violation> {
    let known = |name: &str| match name {
        "" | "container_t" | "container_init_t" | "container_kvm_t" => true,
        "container_engine_t" => version.since(31),
        _ => false,
    };
    fn set(value: Option<&String>) -> bool {
        value.is_some_and(|value| !value.is_empty())
    }
    let (mut types, mut user, mut role) = (vec![], false, false);
    let mut wrong = |options: Option<&SELinuxOptions>| {
        let Some(options) = options else { return false };
        let r#type = options.type_.clone().unwrap_or_default();
        let fine = known(&r#type);
        if !fine {
            types.push(r#type);
        }
        let own = (set(options.user.as_ref()), set(options.role.as_ref()));
        user |= own.0;
        role |= own.1;
        !fine || own.0 || own.1
    };
    let pod = wrong(spec.security_context.as_ref().and_then(|c| c.se_linux_options.as_ref()));
    let offenders: Vec<_> = containers(spec)
        .filter(|c| wrong(c.context.and_then(|c| c.se_linux_options.as_ref())))
        .map(|c| c.name)
        .collect();
    let setters = setters(pod, &offenders)?;
    let mut data = vec![];
    if !types.is_empty() {
        let types = distinct(types);
        data.push(format!("{} {}", plural(&types, "type", "types"), quoted(&types)));
    }
    if user {
        data.push("user may not be set".into());
    }
    if role {
        data.push("role may not be set".into());
    }
    let detail =
        format!("{setters} set forbidden securityContext.seLinuxOptions: {}", data.join("; "));
    Some(Violation { reason: "seLinuxOptions", detail })
}

/// Whether a profile confines.
pub(super) fn confines(profile: &SeccompProfile) -> bool {
    matches!(profile.type_.as_str(), "RuntimeDefault" | "Localhost")
}

fn seccomp(version: Version, meta: &ObjectMeta, spec: &PodSpec) -> Option<Violation> {
    if version.since(19) { seccomp_fields(spec) } else { seccomp_annotations(meta, spec) }
}

/// Profiles that are given and do not confine.
pub(super) fn seccomp_fields(spec: &PodSpec) -> Option<Violation> {
    let mut values = vec![];
    let mut wrong = |profile: Option<&SeccompProfile>| {
        let wrong = profile.filter(|profile| !confines(profile));
        values.extend(wrong.map(|profile| profile.type_.clone()));
        wrong.is_some()
    };
    let pod = wrong(spec.security_context.as_ref().and_then(|c| c.seccomp_profile.as_ref()));
    let offenders: Vec<_> = containers(spec)
        .filter(|c| wrong(c.context.and_then(|c| c.seccomp_profile.as_ref())))
        .map(|c| c.name)
        .collect();
    let setters = setters(pod, &offenders)?;
    let values = quoted(&distinct(values));
    let detail = format!("{setters} must not set securityContext.seccompProfile.type to {values}");
    Some(Violation { reason: "seccompProfile", detail })
}

fn seccomp_annotations(meta: &ObjectMeta, spec: &PodSpec) -> Option<Violation> {
    let allowed = |value: &str| {
        matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/")
    };
    let names = containers(spec).map(|container| format!("{SECCOMP_CONTAINER}{}", container.name));
    let mut forbidden: Vec<_> = std::iter::once(SECCOMP_POD.to_owned())
        .chain(names)
        .filter_map(|name| {
            let value = meta.annotations.as_ref()?.get(&name)?;
            (!allowed(value)).then(|| format!("{name}={value:?}"))
        })
        .collect();
    forbidden.sort();
    let word = plural(&forbidden, "annotation", "annotations");
    let detail = format!("forbidden {word} {}", forbidden.join(", "));
    (!forbidden.is_empty()).then_some(Violation { reason: "seccompProfile", detail })
}

fn sysctls(version: Version, spec: &PodSpec) -> Option<Violation> {
    let set = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    let safe =
        |name: &str| SYSCTLS.iter().any(|(safe, minor)| *safe == name && version.since(*minor));
    let unsafe_ones: Vec<_> =
        set.map(|sysctl| sysctl.name.as_str()).filter(|name| !safe(name)).collect();
    (!unsafe_ones.is_empty())
        .then(|| Violation { reason: "forbidden sysctls", detail: unsafe_ones.join(", ") })
}

fn host_process(spec: &PodSpec) -> Option<Violation> {
    let pod = spec.security_context.as_ref().and_then(|c| c.windows_options.as_ref());
    let pod = pod.and_then(|options| options.host_process) == Some(true);
    let offenders: Vec<_> = containers(spec)
        .filter(|c| {
            let options = c.context.and_then(|context| context.windows_options.as_ref());
            options.and_then(|options| options.host_process) == Some(true)
        })
        .map(|c| c.name)
        .collect();
    let setters = setters(pod, &offenders)?;
    let detail = format!("{setters} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation { reason: "hostProcess", detail })
}
