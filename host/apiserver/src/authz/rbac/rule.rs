//! Whether a rule allows a request: `pkg/apis/rbac/v1/evaluation_helpers.go`. Pure.

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::authz::{Attributes, ResourceAttributes};

const ALL: &str = "*";

/// Whether `rule` allows what is asked.
pub(crate) fn allows(rule: &PolicyRule, asked: &Attributes<'_>) -> bool {
    if !one_of(&rule.verbs, asked.verb) {
        return false;
    }
    match &asked.resource {
        Some(resource) => allows_resource(rule, resource),
        None => listed(&rule.non_resource_urls).iter().any(|url| url_matches(url, asked.path)),
    }
}

fn allows_resource(rule: &PolicyRule, asked: &ResourceAttributes<'_>) -> bool {
    one_of(listed(&rule.api_groups), asked.group)
        && listed(&rule.resources)
            .iter()
            .any(|resource| resource_matches(resource, asked.resource, asked.subresource))
        && {
            let names = listed(&rule.resource_names);
            names.is_empty() || names.iter().any(|name| name == asked.name)
        }
}

/// The items of a list that may be missing.
pub(crate) fn listed(list: &Option<Vec<String>>) -> &[String] {
    list.as_deref().unwrap_or_default()
}

fn one_of(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == ALL || item == wanted)
}

/// Whether `pattern` covers the resource: `*`, `pods`, `pods/log`, `*/scale`.
fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == ALL {
        return true;
    }
    if subresource.is_empty() {
        return pattern == resource;
    }
    let Some(parent) = pattern.strip_suffix(subresource).and_then(|rest| rest.strip_suffix('/'))
    else {
        return false;
    };
    parent == ALL || parent == resource
}

/// Whether `pattern`, which may end in `*`, covers the path.
pub(crate) fn url_matches(pattern: &str, path: &str) -> bool {
    pattern == path
        || pattern
            .strip_suffix('*')
            .is_some_and(|_| path.starts_with(pattern.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::Identity;

    fn rule(json: serde_json::Value) -> PolicyRule {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn rules_allow_what_they_name() {
        use serde_json::json;
        let pods = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
        let logs = json!({ "verbs": ["get"], "apiGroups": ["*"], "resources": ["pods/log"] });
        let scales = json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*/scale"] });
        let all = json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] });
        let named = json!({
            "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"],
        });
        let asked = |verb, group, resource, subresource, name| {
            (verb, ResourceAttributes { group, resource, subresource, name, ..Default::default() })
        };
        let identity = Identity::new("u", &[]);
        for (rule_json, (verb, resource), allowed) in [
            (&pods, asked("get", "", "pods", "", "a"), true),
            (&pods, asked("list", "", "pods", "", ""), false),
            (&pods, asked("get", "apps", "pods", "", "a"), false),
            (&pods, asked("get", "", "pods", "log", "a"), false),
            (&logs, asked("get", "", "pods", "log", "a"), true),
            (&logs, asked("get", "", "pods", "", "a"), false),
            (&scales, asked("update", "apps", "deployments", "scale", "a"), true),
            (&scales, asked("update", "apps", "deployments", "autoscale", "a"), false),
            (&scales, asked("update", "apps", "deployments", "", "a"), false),
            (&all, asked("delete", "apps", "deployments", "scale", "a"), true),
            (&named, asked("get", "", "pods", "", "a"), true),
            (&named, asked("get", "", "pods", "", "b"), false),
            (&named, asked("get", "", "pods", "", ""), false),
        ] {
            let asked = Attributes { verb, resource: Some(resource), ..Attributes::of(&identity) };
            assert_eq!(allows(&rule(rule_json.clone()), &asked), allowed, "{rule_json} {asked:?}");
        }
    }

    #[test]
    fn rules_allow_paths() {
        for (pattern, path, matches) in [
            ("*", "/anything", true),
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/etcd", false),
            ("/healthz/*", "/healthz/etcd", true),
            ("/healthz/*", "/healthz", false),
            ("/heal*", "/healthz", true),
        ] {
            assert_eq!(url_matches(pattern, path), matches, "{pattern} {path}");
        }
    }
}
