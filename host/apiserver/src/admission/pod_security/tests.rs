use serde_json::{Value, json};

use super::*;

/// A pod that the restricted standard lets in, changed by a merge patch.
fn pod(change: Value) -> Pod {
    let mut pod = json!({
        "metadata": { "name": "p" },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": "a", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
            } }],
        },
    });
    json_patch::merge(&mut pod, &change);
    serde_json::from_value(pod).unwrap()
}

fn broken(labels: &str, change: Value) -> String {
    let labels = BTreeMap::from([("pod-security.kubernetes.io/enforce".to_owned(), labels.into())]);
    judged(&labels, change)
}

fn judged(labels: &BTreeMap<String, String>, change: Value) -> String {
    let (policy, causes) = Policy::read(labels);
    assert_eq!(causes, []);
    let pod = pod(change);
    details(&policy.enforce.violations(&pod.metadata, pod.spec.as_ref().unwrap()))
}

fn container(context: Value) -> Value {
    let mut own = json!({ "name": "a", "securityContext": {
        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
    } });
    json_patch::merge(&mut own["securityContext"], &context);
    json!({ "spec": { "containers": [own] } })
}

#[test]
fn the_baseline_forbids() {
    assert_eq!(broken("baseline", json!({})), "");
    let cases = [
        (
            container(json!({ "privileged": true })),
            r#"privileged (container "a" must not set securityContext.privileged=true)"#,
        ),
        (
            json!({ "spec": { "hostNetwork": true, "hostIPC": true } }),
            "host namespaces (hostNetwork=true, hostIPC=true)",
        ),
        (
            json!({ "spec": { "volumes": [{ "name": "v", "hostPath": { "path": "/" } }] } }),
            r#"hostPath volumes (volume "v")"#,
        ),
        (
            json!({ "spec": { "containers": [
                { "name": "a", "ports": [{ "containerPort": 1, "hostPort": 9 }] },
                { "name": "b", "ports": [{ "containerPort": 1, "hostPort": 8 }] },
            ] } }),
            r#"hostPort (containers "a", "b" use hostPorts 8, 9)"#,
        ),
        (
            container(json!({ "capabilities": { "add": ["NET_RAW", "BPF", "KILL"] } })),
            r#"non-default capabilities (container "a" must not include "BPF", "NET_RAW" in securityContext.capabilities.add)"#,
        ),
        (
            container(json!({ "procMount": "Unmasked" })),
            r#"procMount (container "a" must not set securityContext.procMount to "Unmasked")"#,
        ),
        (
            json!({ "spec": { "securityContext": { "seLinuxOptions": { "type": "x", "role": "r" } } } }),
            r#"seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "x"; role may not be set)"#,
        ),
        (
            container(json!({ "seccompProfile": { "type": "Unconfined" } })),
            r#"seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")"#,
        ),
        (
            json!({ "spec": { "securityContext": { "sysctls": [{ "name": "kernel.msgmax", "value": "1" }] } } }),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            json!({ "spec": { "securityContext": { "windowsOptions": { "hostProcess": true } } } }),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            json!({ "spec": { "containers": [{ "name": "a", "livenessProbe": { "httpGet": { "port": 1, "host": "h" } } }] } }),
            r#"probe or lifecycle host (container "a" uses probe or lifecycle host "h")"#,
        ),
        (
            json!({ "metadata": { "annotations": { "container.apparmor.security.beta.kubernetes.io/a": "unconfined" } } }),
            r#"forbidden AppArmor profile (annotation container.apparmor.security.beta.kubernetes.io/a="unconfined")"#,
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(broken("baseline", change.clone()), expected, "{change}");
        assert_ne!(broken("restricted", change.clone()), "", "{change}");
        assert_eq!(broken("privileged", change), "");
    }
}

#[test]
fn the_restricted_standard_forbids_more() {
    assert_eq!(broken("restricted", json!({})), "");
    let plain = json!({ "spec": { "securityContext": null, "containers": [{ "name": "a" }] } });
    assert_eq!(broken("baseline", plain.clone()), "");
    assert_eq!(
        broken("restricted", plain),
        "allowPrivilegeEscalation != false (container \"a\" must set \
         securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \
         \"a\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod \
         or container \"a\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or \
         container \"a\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
         \"Localhost\")"
    );
    let cases = [
        (
            json!({ "spec": { "volumes": [
                { "name": "n", "nfs": { "server": "s", "path": "/" } },
                { "name": "h", "hostPath": { "path": "/" } },
                { "name": "e", "emptyDir": {} },
            ] } }),
            r#"restricted volume types (volumes "n", "h" use restricted volume types "hostPath", "nfs")"#,
        ),
        (
            container(json!({ "runAsNonRoot": false })),
            r#"runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)"#,
        ),
        (
            json!({ "spec": { "securityContext": { "runAsUser": 0 } } }),
            "runAsUser=0 (pod must not set runAsUser=0)",
        ),
        (
            container(json!({ "capabilities": { "drop": ["KILL"], "add": ["CHOWN"] } })),
            r#"unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container "a" must not include "CHOWN" in securityContext.capabilities.add)"#,
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(broken("restricted", change.clone()), expected, "{change}");
    }
}

#[test]
fn versions_know_less() {
    let at = |level: &str, version: &str, change: Value| {
        let labels = [("enforce", level), ("enforce-version", version)];
        let labels = labels.map(|(k, v)| (format!("pod-security.kubernetes.io/{k}"), v.into()));
        judged(&BTreeMap::from(labels), change)
    };
    let sysctl = json!({ "spec": { "securityContext": { "sysctls": [{ "name": "net.ipv4.tcp_rmem", "value": "1" }] } } });
    assert_eq!(at("baseline", "v1.31", sysctl.clone()), "forbidden sysctls (net.ipv4.tcp_rmem)");
    assert_eq!(at("baseline", "v1.32", sysctl), "");
    let host = json!({ "spec": { "containers": [{ "name": "a", "livenessProbe": { "tcpSocket": { "port": 1, "host": "h" } } }] } });
    assert_eq!(at("baseline", "v1.33", host), "");
    let old = json!({ "metadata": { "annotations": { "seccomp.security.alpha.kubernetes.io/pod": "unconfined" } } });
    let expected = r#"seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")"#;
    assert_eq!(at("baseline", "v1.18", old.clone()), expected);
    assert_eq!(at("baseline", "latest", old), "");
    let root = json!({ "spec": { "securityContext": { "runAsUser": 0 } } });
    assert_eq!(at("restricted", "v1.22", root), "");
}

#[test]
fn labels_that_say_nothing() {
    for (label, value) in
        [("enforce", "strict"), ("warn", ""), ("audit-version", "1.2"), ("warn-version", "v1.01")]
    {
        let name = format!("pod-security.kubernetes.io/{label}");
        let (_, causes) = Policy::read(&BTreeMap::from([(name.clone(), value.into())]));
        assert_eq!(causes.len(), 1, "{label}={value}");
        assert_eq!(causes[0].field, format!("metadata.labels[{name}]"));
    }
}
