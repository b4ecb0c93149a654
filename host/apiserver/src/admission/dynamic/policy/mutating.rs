//! `MutatingAdmissionPolicy`: expressions that say how an object is to be changed.

use std::sync::Arc;

use coracle_cel::Budget;
use coracle_kinds::admission::{Mutation, Mutations, Variables};
use coracle_schema::{Schema, Tree, builtin, typed};
use k8s_openapi::api::admissionregistration::v1::{MutatingAdmissionPolicy, ParamKind};
use serde_json::Value;

use super::super::expressions::{Asking, Evaluation, Facts};
use super::super::matching::Matching;
use super::super::review::{Review, read};
use super::{Binding, params, refusal};
use crate::admission::Attributes;
use crate::error::{ApiError, Reason, Result};
use crate::patch::{self, Format};
use crate::registry::{ApiResource, Object};

pub(in crate::admission::dynamic) struct MutatingPolicy {
    pub(in crate::admission::dynamic) name: String,
    matching: Matching,
    mutations: Mutations,
    ignore_failures: bool,
    /// Whether it wants to see what others changed after it.
    reinvoke: bool,
    param_kind: Option<ParamKind>,
}

impl MutatingPolicy {
    pub(in crate::admission::dynamic) fn new(policy: MutatingAdmissionPolicy) -> Self {
        let spec = policy.spec.unwrap_or_default();
        Self {
            name: policy.metadata.name.unwrap_or_default(),
            matching: Matching::of_policy(spec.match_constraints.as_ref()),
            mutations: Mutations::of(&spec),
            ignore_failures: spec.failure_policy.as_deref() == Some("Ignore"),
            reinvoke: spec.reinvocation_policy.as_deref() == Some("IfNeeded"),
            param_kind: spec.param_kind,
        }
    }
}

/// The object as a mutation makes it.
fn apply(
    mutation: &Mutation,
    facts: &Facts<'_>,
    variables: &Variables,
    names: &ApiResource,
) -> Result<Value, String> {
    let mut evaluation = Evaluation::new(facts, variables);
    let mut budget = Budget::default();
    let mut made = |expression| {
        let value = evaluation.evaluate(expression, &mut budget);
        let value = value.map_err(|failure| failure.message().to_owned())?;
        value.to_json().map_err(|error| error.to_string())
    };
    let current = facts.form.object.clone();
    match mutation {
        Mutation::Patch(expression) => {
            let operations = made(expression)?.to_string();
            patch::apply(Format::Json, current, operations.as_bytes(), None)
                .map_err(|error| format!("JSON Patch: {error}"))
        }
        Mutation::Apply(expression) => {
            let wanted = made(expression)?;
            for field in ["apiVersion", "kind"] {
                if wanted.get(field).is_some_and(|given| *given != current[field]) {
                    return Err(format!("invalid ApplyConfiguration: may not mutate {field}"));
                }
            }
            merged(&current, &wanted, names)
        }
    }
}

/// `wanted` merged into `current` as server-side apply would.
fn merged(current: &Value, wanted: &Value, names: &ApiResource) -> Result<Value, String> {
    let schema = builtin::schema_of_kind(&names.group, &names.version, &names.kind);
    let schema = schema.unwrap_or_else(Schema::deduced);
    let (current, wanted) = (current.to_string(), wanted.to_string());
    let parse = |json: &'_ str| Tree::parse(json.as_bytes()).map(Tree::into_owned);
    let (current, wanted) = (parse(&current), parse(&wanted));
    let broken = |error: serde_json::Error| error.to_string();
    let (current, wanted) = (current.map_err(broken)?, wanted.map_err(broken)?);
    let merged = typed::merge(&current, &wanted, &schema)
        .map_err(|error| format!("error applying patch: {error}"))?;
    serde_json::to_value(&merged).map_err(|error| error.to_string())
}

/// Which policies have looked at an object, and which are to look again.
#[derive(Default)]
pub(in crate::admission::dynamic) struct Invoked {
    again: bool,
    willing: Vec<String>,
    left: Option<Vec<u8>>,
}

/// Lets policies change the object; says whether any did.
pub(in crate::admission::dynamic) async fn mutate(
    policies: &[(Arc<MutatingPolicy>, Vec<Arc<Binding>>)],
    attributes: &Attributes<'_>,
    object: &mut dyn Object,
    old: Option<&dyn Object>,
    invoked: &mut Invoked,
) -> Result<bool> {
    if invoked.again && invoked.left == object.json().ok() {
        return Ok(false);
    }
    let mut any = false;
    for (policy, bindings) in policies {
        if invoked.again && !invoked.willing.contains(&policy.name) {
            continue;
        }
        for binding in bindings {
            match invoke(policy, binding, attributes, object, old).await {
                Ok(changed) => any |= changed,
                Err(Trouble::Request(error)) => return Err(error),
                Err(Trouble::Policy(_)) if policy.ignore_failures => {}
                Err(Trouble::Policy(why)) => {
                    let (policy, binding) = (&policy.name, &binding.name);
                    let message =
                        format!("policy '{policy}' with binding '{binding}' denied request: {why}");
                    let names = attributes.write.served.names();
                    return Err(refusal(names, attributes.name, Reason::Invalid, &message));
                }
            }
        }
        if policy.reinvoke && !invoked.willing.contains(&policy.name) {
            invoked.willing.push(policy.name.clone());
        }
    }
    invoked.again = true;
    invoked.left = object.json().ok();
    Ok(any)
}

enum Trouble {
    /// The policy is at fault, and its failure policy counts.
    Policy(String),
    Request(ApiError),
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::Request(error)
    }
}

async fn invoke(
    policy: &MutatingPolicy,
    binding: &Binding,
    attributes: &Attributes<'_>,
    object: &mut dyn Object,
    old: Option<&dyn Object>,
) -> Result<bool, Trouble> {
    let mut any = false;
    let params = {
        let mut review = Review::new(attributes, Some(&*object), old);
        let matched = review.matches(&policy.matching).await?.is_some()
            && review.matches(&binding.matching).await?.is_some();
        if !matched {
            return Ok(false);
        }
        params::collect(&review, policy.param_kind.as_ref(), binding.params.as_ref())
            .await
            .map_err(|why| Trouble::Policy(format!("failed to configure binding: {why}")))?
    };
    for params in &params {
        let mut held = false;
        for mutation in &policy.mutations.changes {
            // Each sees what those before it made.
            let mut review = Review::new(attributes, Some(&*object), old);
            let Some(version) = review.matches(&policy.matching).await? else { break };
            let form = review.form(version).await?;
            let kind = review.kind(version)?;
            let namespace = review.namespace_object().await?;
            let asking = Asking::new(&review).await?;
            let facts = Facts { form: &form, params, namespace: &namespace, asking: &asking };
            if !held {
                let mut evaluation = Evaluation::new(&facts, &policy.mutations.variables);
                match evaluation.hold(&policy.mutations.conditions) {
                    Ok(true) => held = true,
                    Ok(false) => break,
                    Err(why) => return Err(Trouble::Policy(why)),
                }
            }
            let changed = apply(mutation, &facts, &policy.mutations.variables, kind.names());
            let changed = changed.map_err(Trouble::Policy)?;
            if changed != form.object {
                let changed = read(&*kind, &changed).await;
                let changed = changed.map_err(|error| Trouble::Policy(error.message))?;
                object.become_object(changed);
                any = true;
            }
        }
    }
    Ok(any)
}
