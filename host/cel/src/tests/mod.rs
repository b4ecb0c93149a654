//! The language as a table a library: an expression, and what it comes to.

mod errors;
mod language;
mod libraries;
mod robustness;
mod schemas;

use serde_json::Value as Json;

use crate::{Activation, Authorizer, Budget, Check, Decision, Env, EvalError, Type, Value};

/// Allows whatever is done to pods.
struct Pods;

impl Authorizer for Pods {
    fn check(&self, check: &Check) -> Decision {
        let account = check.service_account.as_ref().map(|(_, name)| name.as_str());
        Decision {
            allowed: check.resource == "pods" || check.path.as_deref() == Some("/healthz"),
            reason: format!("{} {} {:?}", check.verb, check.name, account),
            error: None,
        }
    }
}

fn env() -> Env {
    Env::new().variable("object", Type::Dyn).variable("params", Type::Dyn).authorizer()
}

/// Evaluates against `object`.
fn evaluate(expression: &str, object: &Json) -> Result<Json, String> {
    let program = env().compile(expression, &[]).map_err(|error| error.to_string())?;
    let activation = Activation::new()
        .bind("object", Value::json(object))
        .bind("authorizer", Value::authorizer(&Pods));
    let value = program
        .evaluate(&activation, &mut Budget::default())
        .map_err(|error: EvalError| error.to_string())?;
    Ok(match value {
        Value::Optional(None) => Json::from("none"),
        Value::Type(name) => Json::from(format!("type {name}")),
        Value::Extension(extension) => Json::from(format!("{extension:?}")),
        value => value.to_json().map_err(|error| error.to_string())?,
    })
}

/// Every line is an expression that is true.
#[track_caller]
fn all_true(object: &Json, expressions: &[&str]) {
    let mut wrong = vec![];
    for expression in expressions {
        let found = evaluate(expression, object);
        if found != Ok(Json::Bool(true)) {
            wrong.push(format!("{expression}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every line is an expression and a part of the error that it ends with.
#[track_caller]
fn all_fail(object: &Json, lines: &[(&str, &str)]) {
    let mut wrong = vec![];
    for (expression, why) in lines {
        let found = evaluate(expression, object);
        if !found.as_ref().is_err_and(|error| error.contains(why)) {
            wrong.push(format!("{expression}: {found:?}, not {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
