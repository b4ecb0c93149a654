//! Pods, and the pod specs of templates.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodResourceClaim, PodSpec, Volume};

use super::container::{self, Surroundings};
use super::meta::labels;
use super::{all, filled, one_of, placement, resources, security, toleration, volume};

/// The faults of a pod.
pub(crate) fn pod(pod: &Pod) -> Vec<Cause> {
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let mut faults = pod_spec(spec, &[], "spec");
    let account = spec.service_account_name.as_deref().unwrap_or_default();
    for (at, volume) in spec.volumes.iter().flatten().enumerate().filter(|_| account.is_empty()) {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter());
        for (index, source) in sources.flatten().enumerate() {
            if source.service_account_token.is_some() {
                let path =
                    format!("spec.volumes[{at}].projected.sources[{index}].serviceAccountToken");
                let detail = "must not be specified when serviceAccountName is not set";
                faults.push(Cause::forbidden(path, detail));
            }
        }
    }
    faults.extend(container::padded_images(&spec.containers, "spec.containers"));
    let init = spec.init_containers.as_deref().unwrap_or_default();
    faults.extend(container::padded_images(init, "spec.initContainers"));
    let published = spec.containers.iter().enumerate().filter(|_| spec.host_network == Some(true));
    for (at, container) in published {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let host_port = port.host_port.unwrap_or(0);
            if host_port != port.container_port {
                let path = format!("spec.containers[{at}].ports[{index}].hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                faults.push(Cause::invalid(path, host_port, detail));
            }
        }
    }
    faults
}

/// The faults that a new pod may not have.
pub(crate) fn pod_create(pod: &Pod) -> Vec<Cause> {
    let Some(spec) = &pod.spec else { return vec![] };
    let mut faults = vec![];
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        faults.push(Cause::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    if gated && filled(spec.node_name.as_ref()) {
        let detail = "cannot be set until all schedulingGates have been cleared";
        faults.push(Cause::forbidden("spec.nodeName", detail));
    }
    faults
}

/// The faults of a change of a pod's ephemeral containers: those that are there stay as they are.
pub(crate) fn ephemeral_containers(new: &Pod, old: &Pod) -> Vec<Cause> {
    let none = PodSpec::default();
    let (spec, before) = (new.spec.as_ref().unwrap_or(&none), old.spec.as_ref().unwrap_or(&none));
    let mut faults = pod_spec(spec, &[], "spec");
    let list = spec.ephemeral_containers.as_deref().unwrap_or_default();
    let path = "spec.ephemeralContainers";
    for old in before.ephemeral_containers.iter().flatten() {
        match list.iter().enumerate().find(|(_, new)| new.name == old.name) {
            None => {
                let detail =
                    format!("existing ephemeral containers {:?} may not be removed\n", old.name);
                faults.push(Cause::forbidden(path, &detail));
            }
            Some((at, new)) if new != old => {
                let detail =
                    format!("existing ephemeral containers {:?} may not be changed\n", old.name);
                faults.push(Cause::forbidden(format!("{path}[{at}]"), &detail));
            }
            Some(_) => {}
        }
    }
    faults
}

/// The faults of a pod's spec. Pods of a StatefulSet get `further` volumes.
pub(super) fn pod_spec(spec: &PodSpec, further: &[Volume], path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let own_volumes = spec.volumes.as_deref().unwrap_or_default();
    let all_volumes = [own_volumes, further].concat();
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let around = Surroundings {
        volumes: &all_volumes,
        grace: spec.termination_grace_period_seconds.unwrap_or(30),
        restart: spec.restart_policy.as_deref().unwrap_or("Always"),
        host_users: spec.host_users != Some(false),
        claims: spec.resource_claims.as_deref().unwrap_or_default(),
    };
    let mut faults = volume::volumes(own_volumes, &at("volumes"));
    faults.extend(resource_claims(around.claims, &at("resourceClaims")));
    faults.extend(container::containers(&spec.containers, &around, &at("containers")));
    let of_init = at("initContainers");
    faults.extend(container::init_containers(init, &spec.containers, &around, &of_init));
    let list = spec.ephemeral_containers.as_deref().unwrap_or_default();
    faults.extend(container::ephemeral(list, spec, &around, &at("ephemeralContainers")));
    let policies = &["Always", "OnFailure", "Never"];
    faults.extend(one_of(&at("restartPolicy"), spec.restart_policy.as_deref(), policies));
    let policies = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    faults.extend(one_of(&at("dnsPolicy"), spec.dns_policy.as_deref(), policies));
    faults.extend(labels(spec.node_selector.as_ref(), &at("nodeSelector")));
    faults.extend(security::pod(spec, path));
    if let Some(affinity) = &spec.affinity {
        faults.extend(placement::affinity(affinity, &at("affinity")));
    }
    faults.extend(placement::dns(spec, &at("dnsConfig")));
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let path = format!("{}[{index}].conditionType", at("readinessGates"));
        faults.extend(all(&path, &gate.condition_type, meta::qualified_name(&gate.condition_type)));
    }
    let mut gates = HashSet::new();
    for (index, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let path = format!("{}[{index}]", at("schedulingGates"));
        faults.extend(all(&path, &gate.name, meta::qualified_name(&gate.name)));
        if !gates.insert(&gate.name) {
            faults.push(Cause::duplicate(path, gate.name.as_str()));
        }
    }
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    faults.extend(placement::spreads(constraints, &at("topologySpreadConstraints")));
    let named = [
        ("serviceAccountName", &spec.service_account_name),
        ("nodeName", &spec.node_name),
        ("priorityClassName", &spec.priority_class_name),
        ("runtimeClassName", &spec.runtime_class_name),
    ];
    for (field, name) in named {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            faults.extend(all(&at(field), name, meta::dns_1123_subdomain(name)));
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let detail = format!("must be between 1 and {}, inclusive", i32::MAX);
        faults.push(Cause::invalid(at("activeDeadlineSeconds"), seconds, &detail));
    }
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            faults.extend(all(&at(field), name, meta::dns_1123_label(name)));
        }
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    faults.extend(toleration::tolerations(tolerations, &at("tolerations")));
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = format!("{}[{index}]", at("hostAliases"));
        faults.extend(all(&format!("{path}.ip"), &alias.ip, meta::ip(&alias.ip)));
        for (index, name) in alias.hostnames.iter().flatten().enumerate() {
            let path = format!("{path}.hostnames[{index}]");
            faults.extend(all(&path, name, meta::dns_1123_subdomain(name)));
        }
    }
    faults.extend(resources::requirements(spec.resources.as_ref(), &at("resources")));
    faults.extend(resources::list(spec.overhead.as_ref(), &at("overhead")));
    if let Some(policy) = spec.preemption_policy.as_deref() {
        let policies = &["PreemptLowerPriority", "Never"];
        faults.extend(one_of(&at("preemptionPolicy"), Some(policy), policies));
    }
    faults
}

fn resource_claims(claims: &[PodResourceClaim], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, claim) in claims.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let of_name = format!("{path}.name");
        if claim.name.is_empty() {
            faults.push(Cause::required(of_name, ""));
        } else if !names.insert(&claim.name) {
            faults.push(Cause::duplicate(of_name, claim.name.as_str()));
        } else {
            faults.extend(all(&of_name, &claim.name, meta::dns_1123_label(&claim.name)));
        }
        let sources = [
            ("resourceClaimName", &claim.resource_claim_name),
            ("resourceClaimTemplateName", &claim.resource_claim_template_name),
        ];
        match sources.iter().filter(|(_, source)| source.is_some()).count() {
            0 => {
                let detail =
                    "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                faults.push(Cause::wrong(path.as_str(), detail));
            }
            1 => {}
            _ => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                faults.push(Cause::wrong(path.as_str(), detail));
            }
        }
        for (field, source) in sources {
            if let Some(name) = source {
                let complaints = meta::dns_1123_subdomain(name);
                faults.extend(all(&format!("{path}.{field}"), name, complaints));
            }
        }
    }
    faults
}

/// The faults of a change of a pod's status.
pub(crate) fn pod_status(new: &Pod, old: &Pod) -> Vec<Cause> {
    let policy = new.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    let policy = policy.unwrap_or("Always");
    let (Some(status), Some(before)) = (&new.status, &old.status) else { return vec![] };
    let mut faults = vec![];
    let name = status.nominated_node_name.as_ref();
    if let Some(name) = name.filter(|_| filled(name)) {
        faults.extend(all("status.nominatedNodeName", name, meta::dns_1123_subdomain(name)));
    }
    if policy != "Always" {
        let new = status.container_statuses.as_deref().unwrap_or_default();
        let old = before.container_statuses.as_deref().unwrap_or_default();
        faults.extend(risen(new, old, policy, "status.containerStatuses"));
    }
    faults
}

/// Containers that ended for good stay ended.
fn risen(new: &[ContainerStatus], old: &[ContainerStatus], policy: &str, path: &str) -> Vec<Cause> {
    let ended = |status: &ContainerStatus| {
        status.state.as_ref().and_then(|state| state.terminated.as_ref()).map(|end| end.exit_code)
    };
    let for_good = |status: &&ContainerStatus| match ended(status) {
        Some(code) => code == 0 || policy == "Never",
        None => false,
    };
    let mut faults = vec![];
    for old in old.iter().filter(for_good) {
        let risen =
            |(_, new): &(usize, &ContainerStatus)| new.name == old.name && ended(new).is_none();
        if let Some((at, _)) = new.iter().enumerate().find(risen) {
            let path = format!("{path}[{at}].state");
            faults.push(Cause::forbidden(path, "may not be transitioned to non-terminated state"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::{Value, json};

    fn faults(spec: Value) -> Vec<String> {
        let mut it: Pod = object(json!({"metadata": {"name": "p"}, "spec": spec}));
        it.default_fields();
        lines(pod(&it))
    }

    #[test]
    fn good() {
        let spec = json!({
            "initContainers": [
                {"name": "i", "image": "x"},
                {"name": "s", "image": "x", "restartPolicy": "Always",
                 "readinessProbe": {"tcpSocket": {"port": "http"}}},
            ],
            "containers": [{
                "name": "a", "image": "b",
                "ports": [{"containerPort": 80, "name": "http"}],
                "env": [
                    {"name": "A", "value": "b"},
                    {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['x']"}}},
                    {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                ],
                "envFrom": [{"configMapRef": {"name": "c"}}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "livenessProbe": {"httpGet": {"port": 80}},
                "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            }],
            "volumes": [{"name": "v"}],
            "tolerations": [{"operator": "Exists"}],
        });
        assert_eq!(faults(spec), Vec::<String>::new());
    }

    #[test]
    fn containers() {
        assert_eq!(faults(json!({"containers": []})), ["spec.containers: Required value"]);
        assert_eq!(
            faults(json!({"containers": [
                {"name": "a"}, {"name": "a", "image": " b"},
            ]})),
            [
                "spec.containers[0].image: Required value",
                "spec.containers[1].name: Duplicate value: \"a\"",
                "spec.containers[1].image: Invalid value: \" b\": must not have leading or trailing whitespace",
            ]
        );
        let found = faults(json!({
            "containers": [{"name": "a", "image": "b", "ports": [
                {"containerPort": 0}, {"containerPort": 70000, "name": "A--"},
            ]}],
            "initContainers": [{"name": "a", "image": "b", "livenessProbe": {"exec": {}}}],
            "restartPolicy": "Sometimes",
        }));
        assert_eq!(found[0], "spec.containers[0].ports[0].containerPort: Required value");
        assert!(found.contains(&"spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive".to_owned()));
        assert!(found.contains(&"spec.initContainers[0].name: Duplicate value: \"a\"".to_owned()));
        assert!(found.contains(&"spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always".to_owned()));
        assert!(found.contains(&"spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"".to_owned()));
    }

    #[test]
    fn variables() {
        let of =
            |env: Value| faults(json!({"containers": [{"name": "a", "image": "b", "env": env}]}));
        assert_eq!(of(json!([{"name": ""}])), ["spec.containers[0].env[0].name: Required value"]);
        assert_eq!(
            of(
                json!([{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}])
            ),
            [
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.x\": error converting fieldPath: field label not supported: spec.x",
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ]
        );
        assert!(
            of(json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]))[0]
                .contains("Unsupported value: \"status.phase\"")
        );
    }

    #[test]
    fn probes() {
        let of = |probe: Value| {
            faults(json!({"containers": [{"name": "a", "image": "b", "livenessProbe": probe}]}))
        };
        assert_eq!(
            of(json!({})),
            ["spec.containers[0].livenessProbe: Required value: must specify a handler type"]
        );
        assert_eq!(
            of(
                json!({"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}, "successThreshold": 2})
            ),
            [
                "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ]
        );
    }

    #[test]
    fn everything_else() {
        let with = |change: Value| {
            let mut spec = json!({"containers": [{"name": "a", "image": "b"}]});
            json_patch::merge(&mut spec, &change);
            faults(spec)
        };
        let container = |rest: Value| {
            let mut container = json!({"name": "a", "image": "b"});
            json_patch::merge(&mut container, &rest);
            json!({"containers": [container]})
        };
        for (spec, expected) in [
            (
                json!({"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}]}}}),
                &[][..],
            ),
            (
                json!({"schedulingGates": [{"name": "a"}, {"name": "a"}]}),
                &["spec.schedulingGates[1]: Duplicate value: \"a\""],
            ),
            (
                json!({"resourceClaims": [{"name": "a"}]}),
                &[
                    "spec.resourceClaims[0]: Invalid value: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
                ],
            ),
            (
                json!({"dnsPolicy": "None"}),
                &[
                    "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
                ],
            ),
            (
                json!({"volumes": [{"name": "v", "nfs": {"server": "", "path": "x"}}]}),
                &[
                    "spec.volumes[0].nfs.server: Required value",
                    "spec.volumes[0].nfs.path: Invalid value: \"x\": must be an absolute path",
                ],
            ),
            (
                container(
                    json!({"ports": [{"containerPort": 1, "hostPort": 2}, {"containerPort": 3, "hostPort": 2}]}),
                ),
                &["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//2\""],
            ),
            (
                container(json!({"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "X"}]})),
                &[
                    "spec.containers[0].resizePolicy: Unsupported value: \"X\": supported values: \"NotRequired\", \"RestartContainer\"",
                ],
            ),
            (
                container(json!({"resources": {"claims": [{"name": "x"}]}})),
                &["spec.containers[0].resources.claims[0].name: Not found: \"x\""],
            ),
            (
                container(json!({"volumeDevices": [{"name": "x", "devicePath": "/a/.."}]})),
                &[
                    "spec.containers[0].volumeDevices[0].name: Not found: \"x\"",
                    "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/a/..\": can not contain backsteps ('..')",
                ],
            ),
            (
                container(json!({"securityContext": {"runAsUser": -1}})),
                &[
                    "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                ],
            ),
        ] {
            assert_eq!(with(spec.clone()), expected, "{spec}");
        }
        let gated: Pod = object(
            json!({"spec": {"containers": [], "nodeName": "n", "schedulingGates": [{"name": "a"}]}}),
        );
        assert_eq!(
            lines(pod_create(&gated)),
            ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"]
        );
    }

    #[test]
    fn the_dead_stay_dead() {
        let of = |policy: &str, state: Value| {
            object::<Pod>(json!({"spec": {"containers": [], "restartPolicy": policy},
                "status": {"containerStatuses": [{"name": "a", "image": "", "imageID": "",
                    "ready": false, "restartCount": 0, "state": state}]}}))
        };
        let ended = json!({"terminated": {"exitCode": 1}});
        let running = json!({"running": {}});
        assert_eq!(
            pod_status(&of("OnFailure", running.clone()), &of("OnFailure", ended.clone())),
            []
        );
        assert_eq!(
            lines(pod_status(&of("Never", running), &of("Never", ended))),
            [
                "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
            ]
        );
    }
}
