//! Policies: rules about writes, and changes to what is written, as expressions. A policy does
//! nothing until a binding puts it into force, perhaps with parameters.

mod mutating;
mod params;
mod validating;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicyBinding, ParamRef, ValidatingAdmissionPolicyBinding,
};

use super::matching::Matching;
use crate::error::{ApiError, Cause, CauseReason, Reason};
use crate::registry::ApiResource;

pub(super) use mutating::{Invoked, MutatingPolicy, mutate};
pub(super) use validating::{ValidatingPolicy, validate};

/// What puts a policy into force.
pub(super) struct Binding {
    name: String,
    pub(super) policy: String,
    matching: Matching,
    params: Option<ParamRef>,
    /// `Deny`, `Warn`, `Audit`
    actions: Vec<String>,
}

impl From<ValidatingAdmissionPolicyBinding> for Binding {
    fn from(binding: ValidatingAdmissionPolicyBinding) -> Self {
        let spec = binding.spec;
        Self {
            name: binding.metadata.name.unwrap_or_default(),
            policy: spec.policy_name,
            matching: Matching::of_binding(spec.match_resources.as_ref()),
            params: spec.param_ref,
            actions: spec.validation_actions,
        }
    }
}

impl From<MutatingAdmissionPolicyBinding> for Binding {
    fn from(binding: MutatingAdmissionPolicyBinding) -> Self {
        let spec = binding.spec.unwrap_or_default();
        Self {
            name: binding.metadata.name.unwrap_or_default(),
            policy: spec.policy_name.unwrap_or_default(),
            matching: Matching::of_binding(spec.match_resources.as_ref()),
            params: spec.param_ref,
            actions: vec![],
        }
    }
}

/// The refusal of a write by a policy.
fn refusal(names: &ApiResource, name: &str, reason: Reason, message: &str) -> ApiError {
    let mut error = ApiError::forbidden(&names.group, &names.plural, name, message);
    error.reason = reason;
    error.causes.push(Cause::new(CauseReason::Unknown, "", message.to_owned()));
    error
}
