//! `ValidatingAdmissionPolicy`: the rules that a write must keep.

use coracle_api::cause::Cause;
use coracle_cel::Type;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicySpec;

use super::{Conditions, Expression, Variables, env};

/// The compiled expressions of a policy.
pub struct Validations {
    /// Under which the policy is looked at.
    pub conditions: Conditions,
    /// What the expressions share.
    pub variables: Variables,
    /// All must hold.
    pub rules: Vec<Rule>,
    /// What the audit log is told, by its names.
    pub annotations: Vec<(String, Expression)>,
}

/// What must be true of a write.
pub struct Rule {
    /// Comes to a bool.
    pub expression: Expression,
    /// What is said of a write that breaks the rule.
    pub message: Option<String>,
    /// Comes to the text that is said, before `message`.
    pub message_expression: Option<Expression>,
    /// A `metav1.StatusReason`, `Invalid` if there is none.
    pub reason: Option<String>,
}

impl Validations {
    /// Compiles what a policy says.
    pub fn of(spec: &ValidatingAdmissionPolicySpec) -> Self {
        let variables = spec.variables.as_deref().unwrap_or_default();
        let (variables, env) = Variables::new(env(spec.param_kind.is_some()), variables);
        let rules = spec.validations.iter().flatten().map(|rule| Rule {
            expression: Expression::new(&env, &rule.expression, &[Type::Bool]),
            message: rule.message.clone(),
            message_expression: rule
                .message_expression
                .as_ref()
                .filter(|text| !text.is_empty())
                .map(|text| Expression::new(&env, text, &[Type::String])),
            reason: rule.reason.clone(),
        });
        let wanted = [Type::String, Type::Null];
        let annotations = spec.audit_annotations.iter().flatten().map(|annotation| {
            let value = Expression::new(&env, &annotation.value_expression, &wanted);
            (annotation.key.clone(), value)
        });
        Self {
            conditions: Conditions::new(&env, spec.match_conditions.as_ref()),
            rules: rules.collect(),
            annotations: annotations.collect(),
            variables,
        }
    }

    /// The expressions that cannot be compiled.
    pub fn faults(&self) -> Vec<Cause> {
        let mut faults = self.variables.faults();
        faults.extend(self.conditions.faults("spec.matchConditions"));
        for (at, rule) in self.rules.iter().enumerate() {
            let path = |field: &str| format!("spec.validations[{at}].{field}");
            faults.extend(rule.expression.fault(path("expression")));
            let message = rule.message_expression.as_ref();
            faults.extend(message.and_then(|made| made.fault(path("messageExpression"))));
        }
        for (at, (_, annotation)) in self.annotations.iter().enumerate() {
            let path = format!("spec.auditAnnotations[{at}].valueExpression");
            faults.extend(annotation.fault(path));
        }
        faults
    }
}
