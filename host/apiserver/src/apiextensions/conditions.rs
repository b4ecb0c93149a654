//! Conditions of CustomResourceDefinitions.

use coracle_api::clock;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A condition of that type.
pub(super) fn find<'a>(
    crd: &'a CustomResourceDefinition,
    name: &str,
) -> Option<&'a CustomResourceDefinitionCondition> {
    let conditions = crd.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == name)
}

/// Whether a condition holds.
pub(super) fn is_true(crd: &CustomResourceDefinition, name: &str) -> bool {
    find(crd, name).is_some_and(|condition| condition.status == "True")
}

/// Sets a condition; its time changes with its status only.
pub(super) fn set(
    crd: &mut CustomResourceDefinition,
    name: &str,
    status: bool,
    reason: &str,
    message: &str,
) {
    let status = if status { "True" } else { "False" };
    let conditions = crd.status.get_or_insert_default().conditions.get_or_insert_default();
    let at = conditions.iter().position(|condition| condition.type_ == name);
    let mut new = CustomResourceDefinitionCondition {
        type_: name.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_transition_time: Some(Time(crate::registry::seconds(clock::now()))),
        observed_generation: None,
    };
    match at.and_then(|at| conditions.get_mut(at)) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.take();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// Takes a condition away.
pub(super) fn remove(crd: &mut CustomResourceDefinition, name: &str) {
    if let Some(conditions) = crd.status.as_mut().and_then(|status| status.conditions.as_mut()) {
        conditions.retain(|condition| condition.type_ != name);
    }
}
