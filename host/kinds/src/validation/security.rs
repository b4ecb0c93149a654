//! Security contexts of pods and containers.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{
    AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Sysctl,
    WindowsSecurityContextOptions,
};
use serde_json::json;

use super::volume::relative;

const SYSCTL_MAX: usize = 253;
const SYSCTL: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const APPARMOR_MAX: usize = 4095;
const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

/// A user's or group's number.
fn id(id: Option<i64>, path: String) -> Option<Cause> {
    let id = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id))?;
    Some(Cause::invalid(path, id, &format!("must be between 0 and {}, inclusive", i32::MAX)))
}

/// The faults of what a pod's spec says of security.
pub(super) fn pod(spec: &PodSpec, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let of_context = format!("{path}.securityContext");
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        faults.push(Cause::invalid(format!("{of_context}.shareProcessNamespace"), true, detail));
    }
    if let Some(context) = &spec.security_context {
        faults.extend(context_of_pod(context, &of_context));
    }
    if spec.host_users == Some(false) {
        let detail = "when `pod.Spec.HostUsers` is false";
        let shared = [
            ("hostNetwork", spec.host_network),
            ("HostPID", spec.host_pid),
            ("HostIPC", spec.host_ipc),
        ];
        for (field, _) in shared.into_iter().filter(|(_, shared)| *shared == Some(true)) {
            faults.push(Cause::forbidden(format!("{path}.{field}"), detail));
        }
    }
    faults.extend(os(spec, path));
    faults
}

fn context_of_pod(context: &PodSecurityContext, path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let mut faults: Vec<_> = id(context.fs_group, at("fsGroup")).into_iter().collect();
    faults.extend(id(context.run_as_user, at("runAsUser")));
    faults.extend(id(context.run_as_group, at("runAsGroup")));
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        faults.extend(id(Some(*group), format!("{path}.supplementalGroups[{index}]")));
    }
    faults.extend(sysctls(context.sysctls.as_deref().unwrap_or_default(), &at("sysctls")));
    let choices = [
        ("fsGroupChangePolicy", &context.fs_group_change_policy, &["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", &context.supplemental_groups_policy, &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &context.se_linux_change_policy, &["MountOption", "Recursive"]),
    ];
    for (field, choice, known) in choices {
        if let Some(other) = choice.as_deref().filter(|choice| !known.contains(choice)) {
            faults.push(Cause::not_supported(at(field), other, known));
        }
    }
    faults.extend(seccomp(context.seccomp_profile.as_ref(), &at("seccompProfile")));
    faults.extend(windows(context.windows_options.as_ref(), &at("windowsOptions")));
    faults.extend(apparmor(context.app_armor_profile.as_ref(), &at("appArmorProfile")));
    faults
}

/// The faults of a container's security context. `host_users` tells whether the pod's users are the
/// host's.
pub(super) fn container(
    context: Option<&SecurityContext>,
    host_users: bool,
    path: &str,
) -> Vec<Cause> {
    let Some(context) = context else { return vec![] };
    let at = |field: &str| format!("{path}.{field}");
    let mut faults: Vec<_> = id(context.run_as_user, at("runAsUser")).into_iter().collect();
    faults.extend(id(context.run_as_group, at("runAsGroup")));
    match context.proc_mount.as_deref() {
        None | Some("Default") => {}
        Some("Unmasked") if host_users => {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            faults.push(Cause::invalid(at("procMount"), "Unmasked", detail));
        }
        Some("Unmasked") => {}
        Some(other) => {
            let known = &["Default", "Unmasked"];
            faults.push(Cause::not_supported(at("procMount"), other, known));
        }
    }
    faults.extend(seccomp(context.seccomp_profile.as_ref(), &at("seccompProfile")));
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            faults.push(Cause::invalid(path, json!(context), detail));
        }
        let added = context.capabilities.as_ref().and_then(|caps| caps.add.as_ref());
        if added.into_iter().flatten().any(|capability| capability == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            faults.push(Cause::invalid(path, json!(context), detail));
        }
    }
    faults.extend(windows(context.windows_options.as_ref(), &at("windowsOptions")));
    faults.extend(apparmor(context.app_armor_profile.as_ref(), &at("appArmorProfile")));
    faults
}

fn seccomp(profile: Option<&SeccompProfile>, path: &str) -> Vec<Cause> {
    let Some(profile) = profile else { return vec![] };
    let of_local = format!("{path}.localhostProfile");
    let of_type = format!("{path}.type");
    let mut faults = vec![];
    match profile.type_.as_str() {
        "" => {
            let detail = "type is required when seccompProfile is set";
            faults.push(Cause::required(of_type, detail));
        }
        known if PROFILES.contains(&known) => {}
        other => faults.push(Cause::not_supported(of_type, other, PROFILES)),
    }
    match (&profile.localhost_profile, profile.type_ == "Localhost") {
        (None, true) => {
            let detail = "must be set when seccomp type is Localhost";
            faults.push(Cause::required(of_local, detail));
        }
        (Some(file), true) => faults.extend(relative(file, &of_local)),
        (Some(_), false) => {
            let detail = "can only be set when seccomp type is Localhost";
            faults.push(Cause::invalid(of_local, json!(profile), detail));
        }
        (None, false) => {}
    }
    faults
}

fn apparmor(profile: Option<&AppArmorProfile>, path: &str) -> Vec<Cause> {
    let Some(profile) = profile else { return vec![] };
    let of_local = format!("{path}.localhostProfile");
    let of_type = format!("{path}.type");
    let local = profile.localhost_profile.as_deref();
    let required =
        || Cause::required(of_local.as_str(), "must be set when AppArmor type is Localhost");
    match (profile.type_.as_str(), local) {
        ("Localhost", None) => vec![required()],
        ("Localhost", Some(name)) => {
            let mut faults = vec![];
            if name.trim() != name {
                let detail = "must not be padded with whitespace";
                faults.push(Cause::invalid(of_local.as_str(), name, detail));
            } else if name.is_empty() {
                faults.push(required());
            }
            if name.len() > APPARMOR_MAX {
                faults.push(Cause::too_long(of_local.as_str(), APPARMOR_MAX));
            }
            faults
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            let detail = "can only be set when AppArmor type is Localhost";
            vec![Cause::invalid(of_local, name, detail)]
        }
        ("RuntimeDefault" | "Unconfined", None) => vec![],
        ("", _) => {
            vec![Cause::required(of_type, "type is required when appArmorProfile is set")]
        }
        (other, _) => vec![Cause::not_supported(of_type, other, PROFILES)],
    }
}

fn windows(options: Option<&WindowsSecurityContextOptions>, path: &str) -> Vec<Cause> {
    let Some(options) = options else { return vec![] };
    let mut faults = vec![];
    let texts = [
        (
            "gmsaCredentialSpec",
            &options.gmsa_credential_spec,
            "gmsaCredentialSpec cannot be an empty string",
        ),
        ("runAsUserName", &options.run_as_user_name, "runAsUserName cannot be an empty string"),
    ];
    for (field, text, detail) in texts {
        if text.as_deref() == Some("") {
            faults.push(Cause::invalid(format!("{path}.{field}"), "", detail));
        }
    }
    faults
}

fn sysctls(sysctls: &[Sysctl], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, sysctl) in sysctls.iter().enumerate() {
        let path = format!("{path}[{at}].name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            faults.push(Cause::required(path, ""));
        } else if name.len() > SYSCTL_MAX || !is_sysctl(name) {
            let detail =
                format!("must have at most {SYSCTL_MAX} characters and match regex {SYSCTL}");
            faults.push(Cause::invalid(path, name, &detail));
        } else if !names.insert(name) {
            faults.push(Cause::duplicate(path, name));
        }
    }
    faults
}

fn is_sysctl(name: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.split(['.', '/']).all(|segment| {
        let bytes = segment.as_bytes();
        bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && bytes.iter().all(|byte| edge(byte) || matches!(byte, b'-' | b'_'))
    })
}

fn os(spec: &PodSpec, path: &str) -> Vec<Cause> {
    let Some(os) = &spec.os else { return vec![] };
    match os.name.as_str() {
        "" => vec![Cause::required(format!("{path}.os.name"), "cannot be empty")],
        "windows" => vec![],
        "linux" => {
            let mut faults = vec![];
            let detail = "windows options cannot be set for a linux pod";
            let context = spec.security_context.as_ref();
            if context.is_some_and(|context| context.windows_options.is_some()) {
                let path = format!("{path}.securityContext.windowsOptions");
                faults.push(Cause::forbidden(path, detail));
            }
            let lists = [
                ("initContainers", spec.init_containers.as_deref().unwrap_or_default()),
                ("containers", &spec.containers[..]),
            ];
            for (field, containers) in lists {
                for (at, container) in containers.iter().enumerate() {
                    let context = container.security_context.as_ref();
                    if context.is_some_and(|context| context.windows_options.is_some()) {
                        let path = format!("{path}.{field}[{at}].securityContext.windowsOptions");
                        faults.push(Cause::forbidden(path, detail));
                    }
                }
            }
            faults
        }
        other => vec![Cause::not_supported(format!("{path}.os"), other, &["linux", "windows"])],
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    #[test]
    fn of_pods() {
        let of = |spec: Value| lines(pod(&object(spec), "spec"));
        let good = json!({"containers": [], "securityContext": {"runAsUser": 5, "fsGroupChangePolicy": "Always",
            "sysctls": [{"name": "net.ipv4.a-b", "value": "1"}], "seccompProfile": {"type": "RuntimeDefault"}}});
        assert_eq!(of(good), Vec::<String>::new());
        let bad = json!({"containers": [], "hostUsers": false, "hostNetwork": true, "os": {"name": "beos"},
            "securityContext": {"runAsUser": -1, "supplementalGroups": [1, 4294967296_i64],
                "sysctls": [{"name": "A", "value": ""}], "fsGroupChangePolicy": "X",
                "seccompProfile": {"type": "Localhost"}, "appArmorProfile": {"type": ""}}});
        assert_eq!(
            of(bad),
            [
                "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                "spec.securityContext.supplementalGroups[1]: Invalid value: 4294967296: must be between 0 and 2147483647, inclusive",
                "spec.securityContext.sysctls[0].name: Invalid value: \"A\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
                "spec.securityContext.fsGroupChangePolicy: Unsupported value: \"X\": supported values: \"Always\", \"OnRootMismatch\"",
                "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
                "spec.securityContext.appArmorProfile.type: Required value: type is required when appArmorProfile is set",
                "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false",
                "spec.os: Unsupported value: \"beos\": supported values: \"linux\", \"windows\"",
            ]
        );
    }

    #[test]
    fn of_containers() {
        let of = |context: Value| lines(container(Some(&object(context)), true, "c"));
        assert_eq!(
            of(json!({"runAsUser": 0, "capabilities": {"add": ["X"]}})),
            Vec::<String>::new()
        );
        assert_eq!(
            of(json!({"procMount": "Unmasked"})),
            [
                "c.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`"
            ]
        );
        assert_eq!(
            of(json!({"allowPrivilegeEscalation": false, "privileged": true})),
            [
                "c: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            ]
        );
    }
}
