//! Adds to a pod what its runtime class costs, and where pods of that class can run.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};
use k8s_openapi::api::node::v1::{RuntimeClass as Class, Scheduling};

use super::{Attributes, Operation, Plugin, named};
use crate::error::{ApiError, Result};
use crate::registry::Object;

pub(super) struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation == Operation::Create && attributes.is("", "pods")
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let spec = object.downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut());
        let Some(spec) = spec else { return Ok(()) };
        let refuse = |why: &str| Err(ApiError::forbidden("", "pods", attributes.name, why));
        let name = spec.runtime_class_name.as_deref().unwrap_or_default();
        let class = if name.is_empty() {
            None
        } else {
            let class = named::<Class>(attributes.write, "node.k8s.io", "runtimeclasses", name);
            let Some(class) = class.await? else {
                return refuse(&format!("pod rejected: RuntimeClass {name:?} not found"));
            };
            Some(class)
        };
        let overhead = class.as_ref().and_then(|class| class.overhead.clone());
        match overhead.map(|overhead| overhead.pod_fixed.unwrap_or_default()) {
            Some(fixed) => {
                if spec.overhead.as_ref().is_some_and(|given| *given != fixed) {
                    return refuse(
                        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined \
                         Overhead",
                    );
                }
                spec.overhead = Some(fixed);
            }
            None if spec.overhead.as_ref().is_some_and(|given| !given.is_empty()) => {
                return refuse(
                    "pod rejected: Pod Overhead set without corresponding RuntimeClass defined \
                     Overhead",
                );
            }
            None => {}
        }
        match class.and_then(|class| class.scheduling) {
            Some(scheduling) => place(spec, scheduling).or_else(|why| refuse(&why)),
            None => Ok(()),
        }
    }
}

/// Restricts the pod to the nodes of its class, and lets it bear what they repel others with.
fn place(spec: &mut PodSpec, scheduling: Scheduling) -> Result<(), String> {
    if let Some(wanted) = scheduling.node_selector {
        let selector = spec.node_selector.get_or_insert_default();
        for (key, value) in wanted {
            match selector.get(&key) {
                Some(own) if *own != value => {
                    return Err(format!(
                        "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; \
                         pod.spec.nodeSelector[{key}] = {own}"
                    ));
                }
                _ => {
                    selector.insert(key, value);
                }
            }
        }
    }
    let tolerations = spec.tolerations.get_or_insert_default();
    for toleration in scheduling.tolerations.into_iter().flatten() {
        if !tolerations.iter().any(|own| covers(own, &toleration)) {
            tolerations.push(toleration);
        }
    }
    Ok(())
}

/// Whether what bears `b` is already said by `a`.
fn covers(a: &Toleration, b: &Toleration) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, effect) = (text(&a.key), text(&a.effect));
    let for_less = match (a.toleration_seconds, b.toleration_seconds) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(a), Some(b)) => a >= b,
    };
    let same_key = key == text(&b.key) || key.is_empty();
    let same_effect = effect == text(&b.effect) || effect.is_empty();
    let value = match a.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        operator => {
            operator == b.operator.as_deref().unwrap_or("Equal") && text(&a.value) == text(&b.value)
        }
    };
    for_less && same_key && same_effect && value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn toleration(json: Value) -> Toleration {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn tolerations_are_added_once() {
        let all = toleration(json!({"operator": "Exists"}));
        let one = toleration(json!({"key": "a", "value": "b", "effect": "NoSchedule"}));
        assert!(covers(&all, &one) && covers(&one, &one) && !covers(&one, &all));
        let short = Toleration { toleration_seconds: Some(5), ..one.clone() };
        assert!(covers(&one, &short) && !covers(&short, &one));
    }

    #[test]
    fn selectors_are_merged() {
        let scheduling = |selector: Value| -> Scheduling {
            serde_json::from_value(json!({"nodeSelector": selector})).unwrap()
        };
        let mut spec: PodSpec =
            serde_json::from_value(json!({"containers": [], "nodeSelector": {"a": "b"}})).unwrap();
        assert_eq!(place(&mut spec, scheduling(json!({"a": "b", "c": "d"}))), Ok(()));
        assert_eq!(spec.node_selector.as_ref().unwrap().len(), 2);
        assert_eq!(
            place(&mut spec, scheduling(json!({"a": "x"}))).unwrap_err(),
            "conflict: runtimeClass.scheduling.nodeSelector[a] = x; pod.spec.nodeSelector[a] = b"
        );
    }
}
