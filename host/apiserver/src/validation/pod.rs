//! Pods, and the pod specs of templates.

use coracle_api::meta;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec, TopologySpreadConstraint, Volume};

use super::container::{self, Surroundings};
use super::meta::labels;
use super::{all, filled, number, one_of, resources, selector, toleration, volume};
use crate::error::Cause;

/// The faults of a pod.
pub(crate) fn pod(pod: &Pod) -> Vec<Cause> {
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let mut faults = pod_spec(spec, &[], "spec");
    if has_ephemeral(spec) {
        faults.push(Cause::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    faults
}

fn has_ephemeral(spec: &PodSpec) -> bool {
    spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty())
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
    };
    let mut faults = volume::volumes(own_volumes, &at("volumes"));
    faults.extend(container::containers(&spec.containers, &around, &at("containers")));
    let of_init = at("initContainers");
    faults.extend(container::init_containers(init, &spec.containers, &around, &of_init));
    let policies = &["Always", "OnFailure", "Never"];
    faults.extend(one_of(&at("restartPolicy"), spec.restart_policy.as_deref(), policies));
    let policies = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    faults.extend(one_of(&at("dnsPolicy"), spec.dns_policy.as_deref(), policies));
    faults.extend(labels(spec.node_selector.as_ref(), &at("nodeSelector")));
    for (index, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let path = format!("{}[{index}].name", at("schedulingGates"));
        faults.extend(all(&path, &gate.name, meta::qualified_name(&gate.name)));
    }
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let path = format!("{}[{index}].conditionType", at("readinessGates"));
        faults.extend(all(&path, &gate.condition_type, meta::qualified_name(&gate.condition_type)));
    }
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    faults.extend(spreads(constraints, &at("topologySpreadConstraints")));
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

fn spreads(constraints: &[TopologySpreadConstraint], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, constraint) in constraints.iter().enumerate() {
        let path = format!("{path}[{at}]");
        faults.extend(number::positive(&format!("{path}.maxSkew"), Some(constraint.max_skew)));
        let key = constraint.topology_key.as_str();
        if key.is_empty() {
            faults.push(Cause::required(format!("{path}.topologyKey"), "can not be empty"));
        } else {
            faults.extend(all(&format!("{path}.topologyKey"), key, meta::qualified_name(key)));
        }
        let action = Some(constraint.when_unsatisfiable.as_str());
        let actions = &["DoNotSchedule", "ScheduleAnyway"];
        faults.extend(one_of(&format!("{path}.whenUnsatisfiable"), action, actions));
        if let Some(labels) = &constraint.label_selector {
            faults.extend(selector::label_selector(labels, &format!("{path}.labelSelector")));
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
    use crate::registry::Strategy;
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
                "spec.containers[1].image: Invalid value: \" b\": must not have leading or trailing whitespace",
                "spec.containers[1].name: Duplicate value: \"a\"",
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
