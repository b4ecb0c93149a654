//! SelfSubjectRulesReview: everything that the caller may do in a namespace.

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::authz::rbac::rule::listed;
use crate::error::{ApiError, Result};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    namespace: String,
}

pub(super) async fn status(call: &Call, spec: Spec) -> Result<Value> {
    if spec.namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let server = &call.server;
    let look = |index: &crate::authz::rbac::Index| index.rules_for(&call.identity, &spec.namespace);
    let (rules, errors) = server.authorizer.rbac(&*server.store, look).await?;
    let mut resources = vec![];
    let mut paths = vec![];
    for PolicyRule { verbs, api_groups, resources: kinds, resource_names, non_resource_urls } in
        &rules
    {
        if !listed(kinds).is_empty() {
            let mut rule =
                json!({ "verbs": verbs, "apiGroups": listed(api_groups), "resources": kinds });
            if !listed(resource_names).is_empty() {
                rule["resourceNames"] = json!(resource_names);
            }
            resources.push(rule);
        }
        if !listed(non_resource_urls).is_empty() {
            paths.push(json!({ "verbs": verbs, "nonResourceURLs": non_resource_urls }));
        }
    }
    let mut errors = errors;
    let node = call.identity.is_in(crate::authn::NODES);
    if node {
        errors.push("node authorizer does not support user rule resolution".into());
    }
    let mut status =
        json!({ "resourceRules": resources, "nonResourceRules": paths, "incomplete": node });
    if !errors.is_empty() {
        status["evaluationError"] = json!(errors.join(", "));
    }
    Ok(status)
}
