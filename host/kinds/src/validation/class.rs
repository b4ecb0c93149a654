//! Classes that pods name: of priority and of runtimes.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde_json::json;

use super::meta::labels;
use super::{all, immutable, one_of, resources, tolerations};

/// What the names of classes begin with that nobody may make but the system.
const RESERVED: &str = "system-";
/// The highest priority that people may give.
const HIGHEST: i32 = 1_000_000_000;

/// The classes of priority that every cluster has.
pub const SYSTEM_PRIORITIES: &[(&str, i32)] =
    &[("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// The faults of a PriorityClass.
pub(crate) fn priority_class(class: &PriorityClass) -> Vec<Cause> {
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let value = class.value.unwrap_or(0);
    let mut faults = vec![];
    if name.starts_with(RESERVED) {
        if let Some(why) = not_of_the_system(name, value, class.global_default == Some(true)) {
            let detail = format!(
                "priority class names with '{RESERVED}' prefix are reserved for system use only. \
                 error: {why}"
            );
            faults.push(Cause::forbidden("metadata.name", &detail));
        }
    } else if value > HIGHEST {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        faults.push(Cause::forbidden("value", &detail));
    }
    if let Some(policy) = class.preemption_policy.as_deref() {
        let policies = &["PreemptLowerPriority", "Never"];
        faults.extend(one_of("preemptionPolicy", Some(policy), policies));
    }
    faults
}

fn not_of_the_system(name: &str, value: i32, default: bool) -> Option<String> {
    let Some((_, expected)) = SYSTEM_PRIORITIES.iter().find(|(known, _)| *known == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if value != *expected {
        return Some(format!("value of {name} PriorityClass must be {expected}"));
    }
    default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

/// The faults of a PriorityClass's change.
pub(crate) fn priority_class_update(new: &PriorityClass, old: &PriorityClass) -> Vec<Cause> {
    let mut faults = vec![];
    if new.value.unwrap_or(0) != old.value.unwrap_or(0) {
        faults.push(Cause::forbidden("value", "may not be changed in an update."));
    }
    let (policy, former) = (&new.preemption_policy, &old.preemption_policy);
    faults.extend(immutable("preemptionPolicy", policy, former));
    faults
}

/// The faults of a RuntimeClass.
pub(crate) fn runtime_class(class: &RuntimeClass) -> Vec<Cause> {
    let mut faults = all("handler", &class.handler, meta::dns_1123_label(&class.handler));
    if let Some(overhead) = &class.overhead {
        let fixed =
            ResourceRequirements { limits: overhead.pod_fixed.clone(), ..Default::default() };
        faults.extend(resources::requirements(Some(&fixed), "overhead.podFixed"));
    }
    if let Some(scheduling) = &class.scheduling {
        faults.extend(labels(scheduling.node_selector.as_ref(), "scheduling.nodeSelector"));
        let path = "scheduling.tolerations";
        let tolerated = scheduling.tolerations.as_deref().unwrap_or_default();
        faults.extend(tolerations(tolerated, path));
        for (at, toleration) in tolerated.iter().enumerate() {
            if tolerated[..at].contains(toleration) {
                faults.push(Cause::duplicate(format!("{path}[{at}]"), json!(toleration)));
            }
        }
    }
    faults
}

/// The faults of a RuntimeClass's change.
pub(crate) fn runtime_class_update(new: &RuntimeClass, old: &RuntimeClass) -> Vec<Cause> {
    immutable("handler", &new.handler, &old.handler)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    #[test]
    fn priorities() {
        let of = |name: &str, value: i32| {
            lines(priority_class(&object(json!({"metadata": {"name": name}, "value": value}))))
        };
        assert_eq!(of("high", HIGHEST), Vec::<String>::new());
        assert_eq!(of("system-node-critical", 2_000_001_000), Vec::<String>::new());
        assert_eq!(
            of("high", HIGHEST + 1),
            ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
        );
        let reserved = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: ";
        assert_eq!(
            of("system-x", 1),
            [format!("{reserved}system-x is not a known system priority class")]
        );
        assert_eq!(
            of("system-node-critical", 1),
            [format!("{reserved}value of system-node-critical PriorityClass must be 2000001000")]
        );
        let class = |value: i32| object(json!({ "value": value, "preemptionPolicy": "Never" }));
        assert_eq!(
            lines(priority_class_update(&class(2), &class(1))),
            ["value: Forbidden: may not be changed in an update."]
        );
    }

    #[test]
    fn runtimes() {
        let of = |class: Value| lines(runtime_class(&object(class)));
        assert_eq!(of(json!({"handler": "a"})), Vec::<String>::new());
        let twice = json!({"key": "a", "operator": "Exists"});
        let found = of(json!({"handler": "A_", "overhead": {"podFixed": {"cpu": "-1"}},
            "scheduling": {"tolerations": [twice, twice]}}));
        assert!(found[0].starts_with("handler: Invalid value: \"A_\""));
        assert!(found[1].starts_with("overhead.podFixed.limits[cpu]: Invalid value: \"-1\""));
        assert!(found[2].starts_with("scheduling.tolerations[1]: Duplicate value"));
    }
}
