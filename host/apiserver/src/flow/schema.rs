//! Which requests a FlowSchema speaks of (`k8s.io/apiserver/pkg/util/flowcontrol/rule.go`).

use k8s_openapi::api::flowcontrol::v1::{
    FlowSchema, NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject,
};

use crate::authn::Identity;
use crate::authz::Attributes;

const ALL: &str = "*";

/// Whether `schema` speaks of the request.
pub(super) fn matches(schema: &FlowSchema, request: &Attributes<'_>) -> bool {
    let rules = schema.spec.iter().flat_map(|spec| spec.rules.iter().flatten());
    rules.into_iter().any(|rule| matches_rule(rule, request))
}

fn matches_rule(rule: &PolicyRulesWithSubjects, request: &Attributes<'_>) -> bool {
    if !rule.subjects.iter().any(|subject| is_subject(subject, request.identity)) {
        return false;
    }
    match &request.resource {
        Some(_) => rule.resource_rules.iter().flatten().any(|rule| is_resource(rule, request)),
        None => rule.non_resource_rules.iter().flatten().any(|rule| is_path(rule, request)),
    }
}

fn is_subject(subject: &Subject, identity: &Identity) -> bool {
    match subject.kind.as_str() {
        "User" => {
            let user = subject.user.as_ref();
            user.is_some_and(|user| user.name == ALL || user.name == identity.name)
        }
        "Group" => {
            let group = subject.group.as_ref();
            group.is_some_and(|group| group.name == ALL || identity.is_in(&group.name))
        }
        "ServiceAccount" => {
            let Some(wanted) = &subject.service_account else { return false };
            let account = identity.name.strip_prefix("system:serviceaccount:");
            let Some((namespace, name)) = account.and_then(|own| own.split_once(':')) else {
                return false;
            };
            wanted.namespace == namespace && (wanted.name == ALL || wanted.name == name)
        }
        _ => false,
    }
}

fn has(list: &[String], value: &str) -> bool {
    list.iter().any(|item| item == ALL || item == value)
}

fn is_resource(rule: &ResourcePolicyRule, request: &Attributes<'_>) -> bool {
    let Some(asked) = &request.resource else { return false };
    let named = |item: &String| {
        if item == ALL {
            return true;
        }
        match item.split_once('/') {
            Some((resource, sub)) => resource == asked.resource && sub == asked.subresource,
            None => item == asked.resource && asked.subresource.is_empty(),
        }
    };
    let place = if asked.namespace.is_empty() {
        rule.cluster_scope.unwrap_or_default()
    } else {
        has(rule.namespaces.as_deref().unwrap_or_default(), asked.namespace)
    };
    place
        && has(&rule.verbs, request.verb)
        && has(&rule.api_groups, asked.group)
        && rule.resources.iter().any(named)
}

fn is_path(rule: &NonResourcePolicyRule, request: &Attributes<'_>) -> bool {
    let under = |url: &String| match url.strip_suffix('*') {
        Some(prefix) => request.path.starts_with(prefix),
        None => url == request.path,
    };
    has(&rule.verbs, request.verb) && rule.non_resource_urls.iter().any(under)
}

/// What tells flows of one schema apart (`spec.distinguisherMethod`).
pub(super) fn flow<'a>(schema: &FlowSchema, request: &'a Attributes<'_>) -> &'a str {
    let method = schema.spec.as_ref().and_then(|spec| spec.distinguisher_method.as_ref());
    match method.map(|method| method.type_.as_str()) {
        Some("ByUser") => &request.identity.name,
        Some("ByNamespace") => request.resource.as_ref().map_or("", |resource| resource.namespace),
        _ => "",
    }
}
