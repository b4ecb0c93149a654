//! `MutatingAdmissionPolicy`: how objects are changed on their way in.

use coracle_api::cause::Cause;
use coracle_cel::Type;
use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicySpec;

use super::{Conditions, Expression, Variables, env};

/// The compiled expressions of a policy.
pub struct Mutations {
    /// Under which the policy is looked at.
    pub conditions: Conditions,
    /// What the expressions share.
    pub variables: Variables,
    /// One after another, each of what those before it made.
    pub changes: Vec<Mutation>,
}

/// One change.
pub enum Mutation {
    /// Merged into the object as if it were applied.
    Apply(Expression),
    /// Operations of RFC 6902.
    Patch(Expression),
}

impl Mutations {
    /// Compiles what a policy says.
    pub fn of(spec: &MutatingAdmissionPolicySpec) -> Self {
        let variables = spec.variables.as_deref().unwrap_or_default();
        let (variables, env) = Variables::new(env(spec.param_kind.is_some()).patches(), variables);
        let changes = spec.mutations.iter().flatten().map(|mutation| {
            if mutation.patch_type == "JSONPatch" {
                let text = mutation.json_patch.as_ref().and_then(|patch| patch.expression.as_ref());
                let wanted = [Type::list(Type::made("JSONPatch"))];
                Mutation::Patch(Expression::new(&env, text.map_or("", String::as_str), &wanted))
            } else {
                let apply = mutation.apply_configuration.as_ref();
                let text = apply.and_then(|apply| apply.expression.as_ref());
                let wanted = [Type::made("Object")];
                Mutation::Apply(Expression::new(&env, text.map_or("", String::as_str), &wanted))
            }
        });
        Self {
            conditions: Conditions::new(&env, spec.match_conditions.as_ref()),
            changes: changes.collect(),
            variables,
        }
    }

    /// The expressions that cannot be compiled.
    pub fn faults(&self) -> Vec<Cause> {
        let mut faults = self.variables.faults();
        faults.extend(self.conditions.faults("spec.matchConditions"));
        for (at, mutation) in self.changes.iter().enumerate() {
            let (expression, field) = match mutation {
                Mutation::Apply(expression) => (expression, "applyConfiguration"),
                Mutation::Patch(expression) => (expression, "jsonPatch"),
            };
            faults.extend(expression.fault(format!("spec.mutations[{at}].{field}.expression")));
        }
        faults
    }
}
