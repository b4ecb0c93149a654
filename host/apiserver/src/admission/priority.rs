//! Turns a pod's priority class into its priority.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

use super::{Attributes, Operation, Plugin};
use crate::error::{ApiError, Result};
use crate::registry::Object;

/// The classes that every cluster has.
const CLASSES: &[(&str, i32)] =
    &[("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

pub(super) struct Priority;

#[async_trait]
impl Plugin for Priority {
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
        let class = spec.priority_class_name.as_deref().unwrap_or_default();
        let known = CLASSES.iter().find(|(name, _)| *name == class).map(|(_, priority)| *priority);
        let refuse = |why: &str| Err(ApiError::forbidden("", "pods", attributes.name, why));
        let priority = match known {
            Some(priority) => priority,
            None if class.is_empty() => 0,
            None => return refuse(&format!("no PriorityClass with name {class} was found")),
        };
        if spec.priority.is_some_and(|given| given != priority) {
            return refuse(
                "the integer value of priority must not be provided in pod spec; priority \
                 admission controller populates the value from the given PriorityClass name",
            );
        }
        spec.priority = Some(priority);
        spec.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".into());
        Ok(())
    }
}
