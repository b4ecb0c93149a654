//! Expressions of webhooks and policies, evaluated, and what their failures are called.

use coracle_cel::{
    Activation, Authorizer, Budget, Check, Decision, EvalError, MATCH_LIMIT, Program, Value,
};
use coracle_kinds::admission::{Conditions, Expression, Variables};
use futures::FutureExt;
use serde_json::Value as Json;

use super::review::{Form, Review};
use crate::authn::Identity;
use crate::authz;
use crate::registry::Write;
use crate::server::Server;

/// What has become of a budget.
pub(super) const OUT_OF_BUDGET: &str = "validation failed due to running out of cost budget, no \
     further validation rules will be run";

/// Why an expression came to no value.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// There is no budget for this one, or any after it.
    Budget,
    Failed(String),
}

impl Failure {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Budget => OUT_OF_BUDGET,
            Self::Failed(message) => message,
        }
    }
}

/// What expressions about one write are evaluated over.
pub(super) struct Facts<'a> {
    pub(super) form: &'a Form,
    /// Null if the policy has no parameters, or there are none.
    pub(super) params: &'a Json,
    pub(super) namespace: &'a Json,
    pub(super) asking: &'a Asking<'a>,
}

/// An evaluation of expressions that share their composed variables.
pub(super) struct Evaluation<'a> {
    variables: &'a Variables,
    activation: Activation<'a>,
    /// The variables that have been needed so far.
    known: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(facts: &Facts<'a>, variables: &'a Variables) -> Self {
        let Facts { form, params, namespace, asking } = facts;
        let activation = Activation::new()
            .bind("object", Value::json(&form.object))
            .bind("oldObject", Value::json(&form.old))
            .bind("request", Value::json(&form.request))
            .bind("namespaceObject", Value::json(namespace))
            .bind("params", Value::json(params))
            .bind("authorizer", Value::authorizer(*asking))
            .bind(
                "authorizer.requestResource",
                Value::resource_check(*asking, asking.check.clone()),
            );
        Self { variables, activation, known: vec![] }
    }

    pub(super) fn evaluate(
        &mut self,
        expression: &'a Expression,
        budget: &mut Budget,
    ) -> Result<Value<'a>, Failure> {
        let program = match &expression.program {
            Ok(program) => program,
            Err(why) => return Err(Failure::Failed(format!("compilation error: {why}"))),
        };
        self.run(program, budget).map_err(|error| match error {
            EvalError::BudgetSpent => Failure::Budget,
            error => {
                let text = &expression.text;
                Failure::Failed(format!("expression '{text}' resulted in error: {error}"))
            }
        })
    }

    fn run(&mut self, program: &'a Program, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
        // Each variable is computed once, when something first mentions it. That one failed
        // matters only to what looks at it. They are in order, so this goes no deeper than there
        // are variables.
        for (name, expression) in self.variables.iter() {
            let wanted = program.fields_of("variables").any(|field| field == name);
            if !wanted || self.known.iter().any(|(known, _)| known == name) {
                continue;
            }
            let value = match &expression.program {
                Ok(program) => self.run(program, budget),
                Err(why) => Err(EvalError::Failed(format!(
                    "composited variable {name:?} fails to compile: {why}"
                ))),
            };
            if matches!(value, Err(EvalError::BudgetSpent)) {
                return value;
            }
            self.known.push((name, value.into()));
        }
        if program.uses("variables") {
            let known = self.known.iter().map(|(name, value)| (*name, value.clone()));
            self.activation.set("variables", Value::map(known));
        }
        program.evaluate(&self.activation, budget)
    }
}

impl<'a> Evaluation<'a> {
    /// Whether all conditions hold. One that does not hold counts more than others that fail.
    pub(super) fn hold(&mut self, conditions: &'a Conditions) -> Result<bool, String> {
        let mut budget = Budget::new(MATCH_LIMIT);
        let mut failures = vec![];
        for condition in conditions.iter() {
            match self.evaluate(condition, &mut budget) {
                Ok(Value::Bool(true)) => {}
                Ok(_) => return Ok(false),
                Err(Failure::Budget) => return Err(OUT_OF_BUDGET.into()),
                Err(Failure::Failed(why)) => failures.push(why),
            }
        }
        match failures.as_slice() {
            [] => Ok(true),
            [only] => Err(only.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }
}

/// The authorizer as expressions ask it.
pub(super) struct Asking<'a> {
    server: &'a Server,
    identity: &'a Identity,
    /// What the request itself is about.
    check: Check,
}

impl<'a> Asking<'a> {
    pub(super) async fn new(review: &Review<'a>) -> crate::error::Result<Self> {
        let Write { server, identity, .. } = review.attributes.write;
        // Brings what the authorizer knows up to date, so that it can answer without waiting.
        server.authorizer.rbac(&*server.store, |_| ()).await?;
        Ok(Self { server, identity, check: review.check() })
    }
}

impl Authorizer for Asking<'_> {
    fn check(&self, check: &Check) -> Decision {
        let account = check.service_account.as_ref().map(|(namespace, name)| {
            let groups = [
                "system:serviceaccounts",
                &format!("system:serviceaccounts:{namespace}"),
                crate::authn::AUTHENTICATED,
            ];
            Identity::new(format!("system:serviceaccount:{namespace}:{name}"), &groups)
        });
        let fields = check.field_selector.parse().ok();
        let resource = authz::ResourceAttributes {
            group: &check.group,
            resource: &check.resource,
            subresource: &check.subresource,
            namespace: &check.namespace,
            name: &check.name,
            fields: fields.as_ref(),
        };
        let asked = authz::Attributes {
            identity: account.as_ref().unwrap_or(self.identity),
            verb: &check.verb,
            resource: check.path.is_none().then_some(resource),
            path: check.path.as_deref().unwrap_or_default(),
        };
        let answer = self.server.authorizer.authorize(&*self.server.store, &asked);
        let failed = |why: String| Decision { error: Some(why), ..Decision::default() };
        match tokio::task::unconstrained(answer).now_or_never() {
            Some(Ok(authz::Decision::Allow(why))) => {
                Decision { allowed: true, reason: why.to_string(), error: None }
            }
            Some(Ok(authz::Decision::Refuse(reason))) => {
                Decision { allowed: false, reason, error: None }
            }
            Some(Err(error)) => failed(error.to_string()),
            None => failed("the authorizer cannot answer at once".into()),
        }
    }
}
