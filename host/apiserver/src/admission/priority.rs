//! Turns a pod's priority class into its priority; at most one class is everybody's.

use async_trait::async_trait;
use coracle_kinds::validation::SYSTEM_PRIORITIES;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::{Attributes, Operation, Plugin, everywhere, named};
use crate::error::{ApiError, Result};
use crate::registry::{Object, Write};

const GROUP: &str = "scheduling.k8s.io";
const CLASSES: &str = "priorityclasses";
const PREEMPTING: &str = "PreemptLowerPriority";

pub(super) struct Priority;

#[async_trait]
impl Plugin for Priority {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        match attributes.operation {
            Operation::Create => attributes.is("", "pods") || attributes.is(GROUP, CLASSES),
            Operation::Update => attributes.is(GROUP, CLASSES),
            Operation::Delete => false,
        }
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let spec = object.downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut());
        let Some(spec) = spec else { return Ok(()) };
        let name = spec.priority_class_name.as_deref().unwrap_or_default();
        let refuse = |why: &str| Err(ApiError::forbidden("", "pods", attributes.name, why));
        let class = if name.is_empty() {
            default_class(attributes.write).await?
        } else {
            let Some(class) = class(attributes.write, name).await? else {
                return refuse(&format!("no PriorityClass with name {name} was found"));
            };
            Some(class)
        };
        let priority = class.as_ref().and_then(|class| class.value).unwrap_or(0);
        let policy = class.as_ref().and_then(|class| class.preemption_policy.clone());
        let policy = policy.unwrap_or_else(|| PREEMPTING.into());
        if let Some(given) = spec.priority.filter(|given| *given != priority) {
            return refuse(&format!(
                "the integer value of priority ({given}) must not be provided in pod spec; \
                 priority admission controller computed {priority} from the given PriorityClass \
                 name"
            ));
        }
        if let Some(given) = spec.preemption_policy.as_ref().filter(|given| **given != policy) {
            return refuse(&format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; \
                 priority admission controller computed {policy} from the given PriorityClass name"
            ));
        }
        if let Some(class) = class {
            spec.priority_class_name = class.metadata.name;
        }
        spec.priority = Some(priority);
        spec.preemption_policy = Some(policy);
        Ok(())
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let class = object.and_then(|object| object.downcast_ref::<PriorityClass>());
        let Some(class) = class.filter(|class| class.global_default == Some(true)) else {
            return Ok(());
        };
        let all = everywhere::<PriorityClass>(attributes.write, GROUP, CLASSES).await?;
        let other = all.iter().find(|other| {
            other.global_default == Some(true) && other.metadata.name != class.metadata.name
        });
        let Some(other) = other.and_then(|other| other.metadata.name.as_deref()) else {
            return Ok(());
        };
        let why = format!(
            "PriorityClass {other} is already marked as default. Only one default can exist"
        );
        Err(ApiError::forbidden(GROUP, CLASSES, attributes.name, &why))
    }
}

/// The class of that name. Those of the system are the same in every cluster.
async fn class(write: Write<'_>, name: &str) -> Result<Option<PriorityClass>> {
    if let Some((_, value)) = SYSTEM_PRIORITIES.iter().find(|(known, _)| *known == name) {
        let mut class = PriorityClass { value: Some(*value), ..PriorityClass::default() };
        class.metadata.name = Some(name.to_owned());
        return Ok(Some(class));
    }
    named(write, GROUP, CLASSES, name).await
}

/// The class of pods that name none; the lowest if there should be several.
async fn default_class(write: Write<'_>) -> Result<Option<PriorityClass>> {
    let all = everywhere::<PriorityClass>(write, GROUP, CLASSES).await?;
    let defaults = all.into_iter().filter(|class| class.global_default == Some(true));
    Ok(defaults.min_by_key(|class| class.value))
}
