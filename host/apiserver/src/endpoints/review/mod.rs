//! Questions about callers: who am I, may I, may he, what may I. Nothing is kept.

mod access;
mod rules;

use axum::body::Body;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::negotiate::Output;
use super::{Call, body, respond};
use crate::authn::{Identity, Verified};
use crate::error::{ApiError, Cause, Result};
use crate::registry::ApiResource;

/// `authentication.k8s.io/v1 TokenReviewSpec`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenReview {
    token: String,
    audiences: Vec<String>,
}

pub(super) async fn create(call: &Call, names: &ApiResource, body: Body) -> Result<Response<Body>> {
    let output = Output::plain(&call.headers, &call.params)?;
    let json = body::json(call, body).await?;
    let mut review: Map<String, Value> =
        serde_json::from_slice(&json).map_err(|error| unreadable(names, &error))?;
    let status = match &*names.kind {
        "SelfSubjectReview" => json!({ "userInfo": user_info(&call.identity) }),
        "TokenReview" => token(call, spec(names, &review)?).await?,
        "SelfSubjectRulesReview" => rules::status(call, spec(names, &review)?).await?,
        _ => access::status(call, names, &mut review).await?,
    };
    review.insert("kind".into(), json!(names.kind));
    review.insert("apiVersion".into(), json!(names.api_version()));
    review.entry("metadata").or_insert_with(|| json!({}));
    review.insert("status".into(), status);
    respond::value(StatusCode::CREATED, output, &review.into())
}

fn unreadable(names: &ApiResource, error: &serde_json::Error) -> ApiError {
    let ApiResource { kind, version, .. } = names;
    let message =
        format!("{kind} in version {version:?} cannot be handled as a {kind}: json: {error}");
    ApiError::bad_request(message)
}

/// The spec of a review; an empty one if it has none.
fn spec<T: DeserializeOwned + Default>(
    names: &ApiResource,
    review: &Map<String, Value>,
) -> Result<T> {
    match review.get("spec") {
        None | Some(Value::Null) => Ok(T::default()),
        Some(spec) => T::deserialize(spec).map_err(|error| unreadable(names, &error)),
    }
}

fn invalid(names: &ApiResource, causes: Vec<Cause>) -> ApiError {
    ApiError::invalid(&names.group, &names.kind, "", causes)
}

pub(super) fn user_info(identity: &Identity) -> Value {
    let mut info = json!({ "username": identity.name, "groups": identity.groups });
    if !identity.uid.is_empty() {
        info["uid"] = json!(identity.uid);
    }
    if !identity.extra.is_empty() {
        let extra: Map<_, _> =
            identity.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        info["extra"] = extra.into();
    }
    info
}

async fn token(call: &Call, spec: TokenReview) -> Result<Value> {
    if spec.token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let authenticator = &call.server.authenticator;
    let own = authenticator.service_accounts.issuer();
    let mut audiences: Vec<&str> = spec.audiences.iter().map(String::as_str).collect();
    if audiences.is_empty() {
        audiences.push(own);
    }
    Ok(match authenticator.identify(&call.server, &spec.token, &audiences).await {
        Ok(Verified { identity, audiences }) => json!({
            "authenticated": true,
            "user": user_info(&identity),
            "audiences": audiences,
        }),
        Err(error) => json!({ "authenticated": false, "user": {}, "error": error }),
    })
}
