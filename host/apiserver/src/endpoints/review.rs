//! Questions about callers: who am I, may I, may he. Nothing is kept.

use axum::body::Body;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::negotiate::Output;
use super::{Call, body, respond};
use crate::authn::Identity;
use crate::authz::{Attributes, Decision, ResourceAttributes};
use crate::error::{ApiError, Cause, Result};
use crate::registry::ApiResource;

/// The specs of all reviews in one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    token: String,
    user: String,
    uid: String,
    groups: Vec<String>,
    resource_attributes: Option<Resource>,
    non_resource_attributes: Option<Path>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    namespace: String,
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Path {
    path: String,
    verb: String,
}

pub(super) async fn create(call: &Call, names: &ApiResource, body: Body) -> Result<Response<Body>> {
    let output = Output::negotiate(&call.headers, &call.params)?;
    let json = body::json(call, body).await?;
    let unreadable = |error: serde_json::Error| {
        let ApiResource { kind, version, .. } = names;
        let message =
            format!("{kind} in version {version:?} cannot be handled as a {kind}: json: {error}");
        ApiError::bad_request(message)
    };
    let mut review: Map<String, Value> = serde_json::from_slice(&json).map_err(unreadable)?;
    let spec = review.get("spec").cloned().unwrap_or_else(|| json!({}));
    let spec: Spec = serde_json::from_value(spec).map_err(unreadable)?;
    let status = match &*names.kind {
        "SelfSubjectReview" => json!({ "userInfo": user_info(&call.identity) }),
        "TokenReview" => match call.server.authenticator.identify(&spec.token) {
            Some(identity) => json!({ "authenticated": true, "user": user_info(&identity) }),
            None => json!({ "authenticated": false }),
        },
        "SelfSubjectAccessReview" => access(call, names, &call.identity, &spec)?,
        _ => {
            if spec.user.is_empty() && spec.groups.is_empty() {
                let detail = "at least one of user or group must be specified";
                return Err(invalid(names, Cause::invalid("spec.user", "", detail)));
            }
            let identity = Identity {
                name: spec.user.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra: vec![],
            };
            access(call, names, &identity, &spec)?
        }
    };
    review.insert("kind".into(), json!(names.kind));
    review.insert("apiVersion".into(), json!(names.api_version()));
    review.entry("metadata").or_insert_with(|| json!({}));
    review.insert("status".into(), status);
    respond::value(StatusCode::CREATED, output, &review.into())
}

fn invalid(names: &ApiResource, cause: Cause) -> ApiError {
    ApiError::invalid(&names.group, &names.kind, "", vec![cause])
}

fn user_info(identity: &Identity) -> Value {
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

fn access(call: &Call, names: &ApiResource, identity: &Identity, spec: &Spec) -> Result<Value> {
    let attributes = match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(asked), None) => Attributes {
            identity,
            verb: &asked.verb,
            resource: Some(ResourceAttributes {
                group: &asked.group,
                resource: &asked.resource,
                subresource: &asked.subresource,
                namespace: if names.namespaced { &call.target.namespace } else { &asked.namespace },
                name: &asked.name,
            }),
            path: "",
        },
        (None, Some(asked)) => {
            Attributes { identity, verb: &asked.verb, resource: None, path: &asked.path }
        }
        (Some(_), Some(_)) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            let cause = Cause::invalid("spec.nonResourceAttributes", Value::Null, detail);
            return Err(invalid(names, cause));
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be \
                          specified";
            let cause = Cause::invalid("spec.resourceAttributes", Value::Null, detail);
            return Err(invalid(names, cause));
        }
    };
    Ok(match call.server.authorizer.authorize(&attributes) {
        Decision::Allow(reason) if reason.is_empty() => json!({ "allowed": true }),
        Decision::Allow(reason) => json!({ "allowed": true, "reason": reason }),
        Decision::Refuse(reason) if reason.is_empty() => json!({ "allowed": false }),
        Decision::Refuse(reason) => json!({ "allowed": false, "reason": reason }),
    })
}
