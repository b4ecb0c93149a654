//! `ValidatingAdmissionPolicy`: every rule must hold.

use std::sync::Arc;

use coracle_cel::{Budget, Value};
use coracle_kinds::admission::{Rule, Validations};
use k8s_openapi::api::admissionregistration::v1::{ParamKind, ValidatingAdmissionPolicy};
use serde_json::json;

use super::super::expressions::{Asking, Evaluation, Facts, Failure};
use super::super::matching::Matching;
use super::super::review::Review;
use super::{Binding, params, refusal};
use crate::audit::Annotations;
use crate::error::{Reason, Result};

/// Under which name the audit log is told of rules that were broken without consequence.
const FAILURES: &str = "validation.policy.admission.k8s.io/validation_failure";

/// Bytes beyond which a message that an expression made is not shown.
const MESSAGE: usize = 5 * 1024;

pub(in crate::admission::dynamic) struct ValidatingPolicy {
    pub(in crate::admission::dynamic) name: String,
    matching: Matching,
    checks: Validations,
    /// Whether what cannot be evaluated is no reason to refuse.
    ignore_failures: bool,
    param_kind: Option<ParamKind>,
}

/// A rule that is broken, or could not be evaluated.
struct Denial {
    reason: Reason,
    message: String,
}

impl ValidatingPolicy {
    pub(in crate::admission::dynamic) fn new(policy: ValidatingAdmissionPolicy) -> Self {
        let spec = policy.spec.unwrap_or_default();
        Self {
            name: policy.metadata.name.unwrap_or_default(),
            matching: Matching::of_policy(spec.match_constraints.as_ref()),
            checks: Validations::of(&spec),
            ignore_failures: spec.failure_policy.as_deref() == Some("Ignore"),
            param_kind: spec.param_kind,
        }
    }

    /// The rules that the write breaks. The audit log is told what it is to be told.
    fn judge(&self, facts: &Facts<'_>, log: &Annotations) -> Vec<Denial> {
        let failed = |message: String| Denial { reason: Reason::Invalid, message };
        let mut evaluation = Evaluation::new(facts, &self.checks.variables);
        match evaluation.hold(&self.checks.conditions) {
            Ok(true) => {}
            Ok(false) => return vec![],
            Err(_) if self.ignore_failures => return vec![],
            Err(why) => return vec![failed(why)],
        }
        let mut budget = Budget::default();
        let mut denials = vec![];
        for rule in &self.checks.rules {
            match evaluation.evaluate(&rule.expression, &mut budget) {
                Ok(Value::Bool(true)) => {}
                Ok(_) => {
                    let message = message(rule, &mut evaluation, &mut budget);
                    denials.push(Denial { reason: reason(rule), message });
                }
                Err(_) if self.ignore_failures => {}
                Err(Failure::Budget) => {
                    denials.push(failed(Failure::Budget.message().to_owned()));
                    return denials;
                }
                Err(Failure::Failed(why)) => denials.push(failed(why)),
            }
        }
        let mut budget = Budget::default();
        for (key, annotation) in &self.checks.annotations {
            match evaluation.evaluate(annotation, &mut budget) {
                Ok(value) => {
                    if let Some(text) = value.as_str() {
                        log.add(format!("{}/{key}", self.name), text);
                    }
                }
                Err(_) if self.ignore_failures => {}
                Err(failure) => denials.push(failed(failure.message().to_owned())),
            }
        }
        denials
    }
}

/// Why a write that breaks the rule is refused.
fn reason(rule: &Rule) -> Reason {
    match rule.reason.as_deref() {
        Some("Unauthorized") => Reason::Unauthorized,
        Some("Forbidden") => Reason::Forbidden,
        Some("RequestEntityTooLarge") => Reason::RequestEntityTooLarge,
        _ => Reason::Invalid,
    }
}

/// What is said of a write that breaks the rule.
fn message<'a>(rule: &'a Rule, evaluation: &mut Evaluation<'a>, budget: &mut Budget) -> String {
    let made = rule.message_expression.as_ref().and_then(|expression| {
        let made = evaluation.evaluate(expression, budget).ok()?;
        let made = made.as_str()?.trim().to_owned();
        let usable = !made.is_empty() && made.len() <= MESSAGE && !made.contains('\n');
        usable.then_some(made)
    });
    let given = || {
        let given = rule.message.as_deref().map(str::trim).filter(|text| !text.is_empty());
        given.map(str::to_owned)
    };
    made.or_else(given)
        .unwrap_or_else(|| format!("failed expression: {}", rule.expression.text.trim()))
}

pub(in crate::admission::dynamic) async fn validate(
    policies: &[(Arc<ValidatingPolicy>, Vec<Arc<Binding>>)],
    review: &mut Review<'_>,
) -> Result<()> {
    let write = review.attributes.write;
    let asking = Asking::new(review).await?;
    // The first refusal is told; all warnings are.
    let mut denied = None;
    let mut failures = vec![];
    for (policy, bindings) in policies {
        let Some(version) = review.matches(&policy.matching).await? else { continue };
        let form = review.form(version).await?;
        for binding in bindings {
            if review.matches(&binding.matching).await?.is_none() {
                continue;
            }
            let told = |denial: &Denial| {
                let (policy, binding) = (&policy.name, &binding.name);
                let message = &denial.message;
                format!(
                    "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: \
                     {message}"
                )
            };
            let params =
                params::collect(review, policy.param_kind.as_ref(), binding.params.as_ref()).await;
            let params = match params {
                Ok(params) => params,
                Err(_) if policy.ignore_failures => continue,
                Err(why) => {
                    let message = format!("failed to configure binding: {why}");
                    let denial = Denial { reason: Reason::Invalid, message };
                    denied.get_or_insert_with(|| (denial.reason, told(&denial)));
                    continue;
                }
            };
            let namespace = review.namespace_object().await?;
            for params in &params {
                let facts = Facts { form: &form, params, namespace: &namespace, asking: &asking };
                for denial in policy.judge(&facts, write.annotations) {
                    for action in &binding.actions {
                        match &**action {
                            "Deny" => {
                                denied.get_or_insert_with(|| (denial.reason, told(&denial)));
                            }
                            "Warn" => write.warnings.add(format!(
                                "Validation failed for ValidatingAdmissionPolicy '{}' with binding \
                                 '{}': {}",
                                policy.name, binding.name, denial.message
                            )),
                            "Audit" => failures.push(json!({
                                "message": denial.message,
                                "policy": policy.name,
                                "binding": binding.name,
                                "validationActions": binding.actions,
                            })),
                            _ => {}
                        }
                    }
                }
            }
        }
    }
    if !failures.is_empty() {
        write.annotations.add(FAILURES, serde_json::Value::Array(failures).to_string());
    }
    match denied {
        None => Ok(()),
        Some((reason, message)) => {
            let names = write.served.names();
            Err(refusal(names, review.attributes.name, reason, &message))
        }
    }
}
