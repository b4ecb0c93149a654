//! Facts about a pod that several rooms must judge alike: whether it is ready, available or over,
//! what it requests in effect, and its quality of service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::conditions;
use crate::quantity::Quantity;

/// `status.phase`, empty if it is not set.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether the pod's containers are over for good.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod has been asked to go.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod counts as one of its controller's replicas.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && !is_terminating(pod)
}

/// Whether the `Ready` condition is true.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions::is_true(conditions, "Ready")
}

/// Since when the pod has been ready.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions::find(conditions, "Ready")?;
    (ready.status == "True").then_some(ready.last_transition_time.as_ref()?.0)
}

/// Whether the pod has been ready for `min_ready_seconds`; if it is only a matter of time,
/// the time still missing.
pub fn availability(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Availability {
    if !is_ready(pod) {
        return Availability::No;
    }
    if min_ready_seconds <= 0 {
        return Availability::Yes;
    }
    let Some(since) = ready_since(pod) else { return Availability::No };
    let ready_for = now.duration_since(since);
    let missing = SignedDuration::from_secs(i64::from(min_ready_seconds)) - ready_for;
    match std::time::Duration::try_from(missing) {
        Ok(missing) if !missing.is_zero() => Availability::After(missing),
        _ => Availability::Yes,
    }
}

/// Whether a pod is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It is.
    Yes,
    /// It will be after this time if it stays ready.
    After(std::time::Duration),
    /// It is not ready.
    No,
}

/// The effective requests of a pod by resource name: the larger of what its regular containers
/// and sidecars need together and what any step of its initialisation needs, then the overhead.
/// Pod-level requests take the place of the containers' sum. Quantities that do not parse count as
/// nothing (admission refuses them).
pub fn requests(spec: &PodSpec) -> BTreeMap<String, Quantity> {
    let requests = |container: &Container| amounts(requests_of(container.resources.as_ref()));
    let mut total = effective(spec, requests);
    for (name, amount) in amounts(spec.resources.as_ref().and_then(|all| all.requests.as_ref())) {
        if pod_level(&name) {
            total.insert(name, amount);
        }
    }
    for (name, amount) in amounts(spec.overhead.as_ref()) {
        *total.entry(name).or_default() += amount;
    }
    total
}

/// The effective limits of a pod by resource name, counted as [`requests`] are. A resource that
/// some container leaves unlimited is only limited as far as the others are.
pub fn limits(spec: &PodSpec) -> BTreeMap<String, Quantity> {
    let limits = |container: &Container| {
        amounts(container.resources.as_ref().and_then(|resources| resources.limits.as_ref()))
    };
    let mut total = effective(spec, limits);
    for (name, amount) in amounts(spec.resources.as_ref().and_then(|all| all.limits.as_ref())) {
        if pod_level(&name) {
            total.insert(name, amount);
        }
    }
    for (name, amount) in amounts(spec.overhead.as_ref()) {
        // Overhead lengthens a limit, it does not make one.
        if let Some(limit) = total.get_mut(&name) {
            *limit += amount;
        }
    }
    total
}

/// Whether `name` may be set for a pod as a whole.
fn pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn requests_of(resources: Option<&ResourceRequirements>) -> Option<&BTreeMap<String, Text>> {
    resources.and_then(|resources| resources.requests.as_ref())
}

fn amounts(list: Option<&BTreeMap<String, Text>>) -> BTreeMap<String, Quantity> {
    let parse = |(name, quantity): (&String, &Text)| {
        Some((name.clone(), Quantity::try_from(quantity).ok()?))
    };
    list.into_iter().flatten().filter_map(parse).collect()
}

fn effective(
    spec: &PodSpec,
    of: impl Fn(&Container) -> BTreeMap<String, Quantity>,
) -> BTreeMap<String, Quantity> {
    let mut running = BTreeMap::new();
    for container in &spec.containers {
        add(&mut running, &of(container));
    }
    // Sidecars started so far run beside each later step of the initialisation.
    let mut sidecars = BTreeMap::new();
    let mut initialising = BTreeMap::new();
    for container in spec.init_containers.iter().flatten() {
        let mut step = of(container);
        if is_sidecar(container) {
            add(&mut running, &step);
            add(&mut sidecars, &step);
            step = sidecars.clone();
        } else {
            add(&mut step, &sidecars);
        }
        maximum(&mut initialising, step);
    }
    maximum(&mut running, initialising);
    running
}

/// Whether an init container keeps running beside the regular ones.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn add(total: &mut BTreeMap<String, Quantity>, more: &BTreeMap<String, Quantity>) {
    for (name, amount) in more {
        *total.entry(name.clone()).or_default() += *amount;
    }
}

fn maximum(total: &mut BTreeMap<String, Quantity>, other: BTreeMap<String, Quantity>) {
    for (name, amount) in other {
        let entry = total.entry(name).or_default();
        *entry = amount.max(*entry);
    }
}

/// A pod's quality of service class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QosClass {
    /// Nothing is requested or limited.
    BestEffort,
    /// Something is.
    Burstable,
    /// Every container's CPU and memory are limited, and requested to the limit.
    Guaranteed,
}

impl QosClass {
    /// As `status.qosClass` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::Burstable => "Burstable",
            Self::Guaranteed => "Guaranteed",
        }
    }
}

/// The quality of service class that follows from a pod's requests and limits.
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let all: Vec<Option<&ResourceRequirements>> = match &spec.resources {
        Some(resources) if resources.requests.is_some() || resources.limits.is_some() => {
            vec![Some(resources)]
        }
        _ => containers.map(|container| container.resources.as_ref()).collect(),
    };
    let mut any = false;
    let mut guaranteed = true;
    for resources in all {
        let counted = |list: Option<&BTreeMap<String, Text>>| {
            let mut list = amounts(list);
            list.retain(|name, amount| {
                matches!(name.as_str(), "cpu" | "memory") && *amount > Quantity::ZERO
            });
            list
        };
        let requests = counted(requests_of(resources));
        let limits = counted(resources.and_then(|resources| resources.limits.as_ref()));
        any |= !requests.is_empty() || !limits.is_empty();
        // A request that is not given defaults to the limit.
        guaranteed &= limits.len() == 2
            && limits.iter().all(|(name, limit)| requests.get(name).unwrap_or(limit) == limit);
    }
    match (any, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    fn container(requests: Value, limits: Value) -> Value {
        json!({"name": "c", "resources": {"requests": requests, "limits": limits}})
    }

    #[test]
    fn requests_are_the_larger_of_initialisation_and_running() {
        let cpu = |millis: &str| container(json!({"cpu": millis}), json!({}));
        let sidecar = |millis: &str| {
            let mut value = cpu(millis);
            value["restartPolicy"] = json!("Always");
            value
        };
        for (name, init, regular, expected) in [
            ("regular containers add up", vec![], vec![cpu("100m"), cpu("200m")], 300),
            ("a large init container wins", vec![cpu("1")], vec![cpu("100m")], 1000),
            ("init containers do not add up", vec![cpu("60m"), cpu("70m")], vec![cpu("100m")], 100),
            ("a sidecar adds to the regular ones", vec![sidecar("50m")], vec![cpu("100m")], 150),
            ("a sidecar runs beside later init", vec![sidecar("50m"), cpu("1")], vec![], 1050),
            ("but not beside earlier init", vec![cpu("1"), sidecar("50m")], vec![], 1000),
        ] {
            let spec = spec(json!({"initContainers": init, "containers": regular}));
            assert_eq!(requests(&spec)["cpu"].milli_value(), expected, "{name}");
        }
    }

    #[test]
    fn overhead_adds_and_pod_level_requests_replace() {
        let spec = spec(json!({
            "containers": [container(json!({"cpu": "1", "ephemeral-storage": "1Gi"}), json!({"cpu": "2"}))],
            "overhead": {"cpu": "10m", "memory": "1Mi"},
            "resources": {"requests": {"cpu": "500m"}},
        }));
        let requests = requests(&spec);
        assert_eq!(requests["cpu"].milli_value(), 510);
        assert_eq!(requests["memory"].value(), 1 << 20);
        assert_eq!(requests["ephemeral-storage"].value(), 1 << 30);
        let limits = limits(&spec);
        assert_eq!(limits["cpu"].milli_value(), 2010);
        assert!(!limits.contains_key("memory"), "overhead makes no limit");
    }

    #[test]
    fn quality_of_service_follows_requests_and_limits() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (containers, expected) in [
            (vec![container(json!({}), json!({}))], QosClass::BestEffort),
            (vec![container(json!({"cpu": "0"}), json!({}))], QosClass::BestEffort),
            (vec![container(both.clone(), both.clone())], QosClass::Guaranteed),
            (vec![container(json!({}), both.clone())], QosClass::Guaranteed),
            (vec![container(json!({"cpu": "500m"}), both.clone())], QosClass::Burstable),
            (vec![container(json!({"cpu": "1"}), json!({}))], QosClass::Burstable),
            (
                vec![container(both.clone(), both.clone()), container(json!({}), json!({}))],
                QosClass::Burstable,
            ),
        ] {
            assert_eq!(
                qos_class(&spec(json!({"containers": containers}))),
                expected,
                "{containers:?}"
            );
        }
    }

    #[test]
    fn availability_waits_for_min_ready_seconds() {
        let ready_at = |status: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [
                {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
            .unwrap()
        };
        let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        for (status, min_ready, expected) in [
            ("False", 0, Availability::No),
            ("True", 0, Availability::Yes),
            ("True", 10, Availability::Yes),
            ("True", 30, Availability::After(Duration::from_secs(20))),
        ] {
            assert_eq!(availability(&ready_at(status), min_ready, now), expected);
        }
    }
}
