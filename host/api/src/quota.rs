//! What an object takes from a namespace's ResourceQuotas (`pkg/quota/v1/evaluator/core`): asked
//! when it is admitted, and when usage is counted anew.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaim, Pod, PodAffinityTerm, ResourceQuotaSpec,
    ScopedResourceSelectorRequirement, Service,
};

use crate::pods;
use crate::quantity::Quantity;

const CLASS: &str = ".storageclass.storage.k8s.io/";
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Amounts by the names that quotas know them by.
pub type Amounts = BTreeMap<String, Quantity>;

/// An object as quotas see it.
#[derive(Clone, Copy, Debug)]
pub enum Measured<'a> {
    /// It takes what it requests, while it runs.
    Pod(&'a Pod),
    /// It takes ports and balancers.
    Service(&'a Service),
    /// It takes storage.
    Claim(&'a PersistentVolumeClaim),
    /// It takes a place.
    Other,
}

/// The name under which objects of a resource are counted: `count/deployments.apps`.
pub fn count(group: &str, plural: &str) -> String {
    if group.is_empty() { format!("count/{plural}") } else { format!("count/{plural}.{group}") }
}

/// The older name under which some resources are counted.
fn alias<'a>(group: &str, plural: &'a str) -> Option<&'a str> {
    let known =
        matches!(plural, "configmaps" | "replicationcontrollers" | "resourcequotas" | "secrets");
    (group.is_empty() && known).then_some(plural)
}

/// Whether objects of a resource can take from the quota's amount called `name`.
pub fn covers(group: &str, plural: &str, name: &str) -> bool {
    if name.strip_prefix("count/").is_some() {
        return name == count(group, plural);
    }
    match (group, plural) {
        ("", "pods") => {
            matches!(
                name,
                "cpu"
                    | "memory"
                    | "ephemeral-storage"
                    | "pods"
                    | "requests.cpu"
                    | "requests.memory"
                    | "requests.ephemeral-storage"
                    | "limits.cpu"
                    | "limits.memory"
                    | "limits.ephemeral-storage"
            ) || name.starts_with("hugepages-")
                || name.strip_prefix("requests.").is_some_and(|resource| {
                    resource.starts_with("hugepages-") || is_extended(resource)
                })
        }
        ("", "services") => {
            matches!(name, "services" | "services.nodeports" | "services.loadbalancers")
        }
        ("", "persistentvolumeclaims") => {
            matches!(name, "persistentvolumeclaims" | "requests.storage") || name.contains(CLASS)
        }
        _ => alias(group, plural) == Some(name),
    }
}

/// A resource that is somebody else's: its name has a domain that is not Kubernetes'.
fn is_extended(resource: &str) -> bool {
    resource.contains('/') && !resource.contains("kubernetes.io/")
}

/// What an object takes.
pub fn usage(group: &str, plural: &str, object: Measured<'_>, now: Timestamp) -> Amounts {
    let one = Quantity::units(1);
    let mut used = BTreeMap::from([(count(group, plural), one)]);
    match object {
        Measured::Pod(pod) if lives(pod, now) => {
            if let Some(spec) = &pod.spec {
                used.extend(compute(&pods::requests(spec), &pods::limits(spec)));
            }
        }
        Measured::Pod(_) => {}
        Measured::Service(service) => of_service(service, &mut used),
        Measured::Claim(claim) => of_claim(claim, &mut used),
        Measured::Other => {
            used.extend(alias(group, plural).map(|name| (name.to_owned(), one)));
        }
    }
    used
}

/// Whether a pod still takes what it requests: it is not over, nor overdue to be gone.
fn lives(pod: &Pod, now: Timestamp) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Failed" | "Succeeded")) {
        return false;
    }
    let meta = &pod.metadata;
    match (&meta.deletion_timestamp, meta.deletion_grace_period_seconds) {
        (Some(at), Some(grace)) => now <= at.0 + SignedDuration::from_secs(grace),
        _ => true,
    }
}

/// Requests and limits under the names of quotas.
fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut used = BTreeMap::from([("pods".to_owned(), Quantity::units(1))]);
    for (name, amount) in requests {
        match name.as_str() {
            "cpu" | "memory" | "ephemeral-storage" => {
                used.insert(name.clone(), *amount);
                used.insert(format!("requests.{name}"), *amount);
            }
            _ if name.starts_with("hugepages-") => {
                used.insert(name.clone(), *amount);
                used.insert(format!("requests.{name}"), *amount);
            }
            _ if is_extended(name) => {
                used.insert(format!("requests.{name}"), *amount);
            }
            _ => {}
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            used.insert(format!("limits.{name}"), *amount);
        }
    }
    used
}

fn of_service(service: &Service, used: &mut Amounts) {
    used.insert("services".into(), Quantity::units(1));
    let Some(spec) = &service.spec else { return };
    let ports = spec.ports.as_deref().unwrap_or_default();
    let ports = match spec.type_.as_deref() {
        Some("NodePort") => ports.len(),
        Some("LoadBalancer") => {
            used.insert("services.loadbalancers".into(), Quantity::units(1));
            if spec.allocate_load_balancer_node_ports == Some(false) {
                ports.iter().filter(|port| port.node_port.is_some_and(|port| port != 0)).count()
            } else {
                ports.len()
            }
        }
        _ => return,
    };
    used.insert(
        "services.nodeports".into(),
        Quantity::units(i64::try_from(ports).unwrap_or(i64::MAX)),
    );
}

fn of_claim(claim: &PersistentVolumeClaim, used: &mut Amounts) {
    let one = Quantity::units(1);
    used.insert("persistentvolumeclaims".into(), one);
    let annotated = claim.metadata.annotations.as_ref().and_then(|all| all.get(CLASS_ANNOTATION));
    let spec = claim.spec.as_ref();
    let class = annotated.or_else(|| spec?.storage_class_name.as_ref());
    if let Some(class) = class.filter(|class| !class.is_empty()) {
        used.insert(format!("{class}{CLASS}persistentvolumeclaims"), one);
    }
    let resources = spec.and_then(|spec| spec.resources.as_ref());
    let asked = resources.and_then(|r| r.requests.as_ref()?.get("storage"));
    let status = claim.status.as_ref();
    let given = status.and_then(|status| status.allocated_resources.as_ref()?.get("storage"));
    let largest =
        [asked, given].into_iter().flatten().filter_map(|q| Quantity::try_from(q).ok()).max();
    if let Some(storage) = largest {
        used.insert("requests.storage".into(), storage);
        if let Some(class) = class.filter(|class| !class.is_empty()) {
            used.insert(format!("{class}{CLASS}requests.storage"), storage);
        }
    }
}

/// Whether the object is one that the quota's scopes speak of.
pub fn in_scope(quota: &ResourceQuotaSpec, object: Measured<'_>) -> bool {
    let named = quota.scopes.iter().flatten().map(|name| ScopedResourceSelectorRequirement {
        operator: "Exists".into(),
        scope_name: name.clone(),
        values: None,
    });
    let selected = quota.scope_selector.iter().flat_map(|s| s.match_expressions.iter().flatten());
    named.chain(selected.cloned()).all(|scope| match object {
        Measured::Pod(pod) => pod_in(&scope, pod),
        Measured::Claim(claim) if scope.scope_name == "VolumeAttributesClass" => {
            let class = claim.spec.as_ref().and_then(|s| s.volume_attributes_class_name.as_deref());
            selects(&scope, class)
        }
        _ => false,
    })
}

fn pod_in(scope: &ScopedResourceSelectorRequirement, pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let ends = spec.active_deadline_seconds.is_some_and(|seconds| seconds >= 0);
    let best_effort = || pods::qos_class(spec) == pods::QosClass::BestEffort;
    match scope.scope_name.as_str() {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => best_effort(),
        "NotBestEffort" => !best_effort(),
        "PriorityClass" => selects(scope, spec.priority_class_name.as_deref()),
        "CrossNamespacePodAffinity" => {
            let affinity = spec.affinity.as_ref();
            let near = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
            let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
            let preferred = [
                near.and_then(|n| n.preferred_during_scheduling_ignored_during_execution.as_ref()),
                apart.and_then(|n| n.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ];
            let required = [
                near.and_then(|n| n.required_during_scheduling_ignored_during_execution.as_ref()),
                apart.and_then(|n| n.required_during_scheduling_ignored_during_execution.as_ref()),
            ];
            let preferred = preferred.into_iter().flatten().flatten().map(|w| &w.pod_affinity_term);
            required.into_iter().flatten().flatten().chain(preferred).any(crosses)
        }
        _ => false,
    }
}

fn crosses(term: &PodAffinityTerm) -> bool {
    term.namespaces.as_ref().is_some_and(|names| !names.is_empty())
        || term.namespace_selector.is_some()
}

fn selects(scope: &ScopedResourceSelectorRequirement, value: Option<&str>) -> bool {
    let value = value.filter(|value| !value.is_empty());
    let listed = || {
        let values = scope.values.as_deref().unwrap_or_default();
        value.is_some_and(|value| values.iter().any(|known| known == value))
    };
    match scope.operator.as_str() {
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "In" => listed(),
        "NotIn" => !listed(),
        _ => false,
    }
}

/// What a pod's containers leave open that a quota wants to know (`names` are the quota's):
/// `must specify cpu for: a; memory for: a,b`.
pub fn unspecified(pod: &Pod, names: &[&str]) -> Option<String> {
    const WANTED: &[&str] =
        &["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
    let spec = pod.spec.as_ref()?;
    let read = |container: &Container| {
        let resources = container.resources.as_ref();
        let amounts = |given: Option<&BTreeMap<String, _>>| -> Amounts {
            let given = given.into_iter().flatten();
            given
                .filter_map(|(name, text)| Some((name.clone(), Quantity::try_from(text).ok()?)))
                .collect()
        };
        let requests = amounts(resources.and_then(|resources| resources.requests.as_ref()));
        let limits = amounts(resources.and_then(|resources| resources.limits.as_ref()));
        compute(&requests, &limits)
    };
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let known: Vec<_> =
        containers.map(|container| (container.name.as_str(), read(container))).collect();
    let missing = WANTED.iter().filter(|wanted| names.contains(*wanted)).filter_map(|wanted| {
        let without = known.iter().filter(|(_, known)| !known.contains_key(*wanted));
        let mut names: Vec<_> = without.map(|(name, _)| *name).collect();
        names.sort_unstable();
        (!names.is_empty()).then(|| format!("{wanted} for: {}", names.join(",")))
    });
    let missing: Vec<_> = missing.collect();
    (!missing.is_empty()).then(|| format!("must specify {}", missing.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({ "spec": spec })).unwrap()
    }

    fn printed(used: &Amounts) -> Vec<String> {
        used.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
    }

    #[test]
    fn pods_take_what_they_request() {
        let mut pod = pod(json!({ "containers": [{ "name": "a", "resources": {
            "requests": { "cpu": "1", "example.com/gpu": "2", "hugepages-2Mi": "4Mi" },
            "limits": { "memory": "1Gi" },
        } }] }));
        let now = Timestamp::UNIX_EPOCH;
        let expected = [
            "count/pods=1",
            "cpu=1",
            "hugepages-2Mi=4Mi",
            "limits.memory=1Gi",
            "pods=1",
            "requests.cpu=1",
            "requests.example.com/gpu=2",
            "requests.hugepages-2Mi=4Mi",
        ];
        let used = usage("", "pods", Measured::Pod(&pod), now);
        assert_eq!(printed(&used), expected);
        assert!(used.keys().all(|name| covers("", "pods", name)));
        pod.status.get_or_insert_default().phase = Some("Failed".into());
        assert_eq!(printed(&usage("", "pods", Measured::Pod(&pod), now)), ["count/pods=1"]);
    }

    #[test]
    fn services_and_claims() {
        let service = |spec: Value| -> Vec<String> {
            let service: Service = serde_json::from_value(json!({ "spec": spec })).unwrap();
            let now = Timestamp::UNIX_EPOCH;
            printed(&usage("", "services", Measured::Service(&service), now))
        };
        let ports = json!([{ "port": 1 }, { "port": 2, "nodePort": 30000 }]);
        assert_eq!(service(json!({ "ports": ports })), ["count/services=1", "services=1"]);
        assert_eq!(
            service(json!({ "type": "NodePort", "ports": ports })),
            ["count/services=1", "services=1", "services.nodeports=2"]
        );
        assert_eq!(
            service(
                json!({ "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": ports })
            ),
            ["count/services=1", "services=1", "services.loadbalancers=1", "services.nodeports=1"]
        );
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({ "spec": {
            "storageClassName": "gold", "resources": { "requests": { "storage": "1Gi" } },
        } }))
        .unwrap();
        let used =
            usage("", "persistentvolumeclaims", Measured::Claim(&claim), Timestamp::UNIX_EPOCH);
        assert_eq!(
            printed(&used),
            [
                "count/persistentvolumeclaims=1",
                "gold.storageclass.storage.k8s.io/persistentvolumeclaims=1",
                "gold.storageclass.storage.k8s.io/requests.storage=1Gi",
                "persistentvolumeclaims=1",
                "requests.storage=1Gi",
            ]
        );
    }

    #[test]
    fn every_other_object_takes_a_place() {
        let used =
            |group, plural| printed(&usage(group, plural, Measured::Other, Timestamp::UNIX_EPOCH));
        assert_eq!(used("", "secrets"), ["count/secrets=1", "secrets=1"]);
        assert_eq!(used("policy", "poddisruptionbudgets"), ["count/poddisruptionbudgets.policy=1"]);
        assert!(!covers("apps", "deployments", "count/deployments.extensions"));
    }

    #[test]
    fn scopes() {
        let quota =
            |scopes: Value| -> ResourceQuotaSpec { serde_json::from_value(scopes).unwrap() };
        let plain = pod(json!({ "containers": [{ "name": "a" }] }));
        let ends = pod(
            json!({ "containers": [{ "name": "a" }], "activeDeadlineSeconds": 5, "priorityClassName": "high" }),
        );
        let cases = [
            (json!({}), true, true),
            (json!({ "scopes": ["Terminating"] }), false, true),
            (json!({ "scopes": ["NotTerminating", "BestEffort"] }), true, false),
            (json!({ "scopes": ["NotBestEffort"] }), false, false),
            (
                json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": "PriorityClass", "operator": "In", "values": ["high"] }] } }),
                false,
                true,
            ),
            (
                json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": "PriorityClass", "operator": "NotIn", "values": ["high"] }] } }),
                true,
                false,
            ),
        ];
        for (scopes, for_plain, for_ending) in cases {
            let quota = quota(scopes.clone());
            assert_eq!(in_scope(&quota, Measured::Pod(&plain)), for_plain, "{scopes}");
            assert_eq!(in_scope(&quota, Measured::Pod(&ends)), for_ending, "{scopes}");
        }
        assert!(!in_scope(&quota(json!({ "scopes": ["BestEffort"] })), Measured::Other));
    }

    #[test]
    fn quotas_want_to_know() {
        let pod = pod(json!({ "containers": [
            { "name": "b", "resources": { "requests": { "cpu": "1" } } }, { "name": "a" },
        ] }));
        assert_eq!(
            unspecified(&pod, &["memory", "cpu", "pods"]).as_deref(),
            Some("must specify cpu for: a; memory for: a,b")
        );
        assert_eq!(unspecified(&pod, &["pods", "requests.storage"]), None);
    }
}
