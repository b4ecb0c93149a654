//! Whether somebody's rules cover those that he wants to give away, and how those that are missing
//! are shown: `k8s.io/component-helpers/auth/rbac/validation`. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::rule::{listed, url_matches};
use crate::authn::Identity;

/// One right: a rule that cannot be broken down further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Right<'a> {
    Resource { group: &'a str, resource: &'a str, name: Option<&'a str>, verb: &'a str },
    Url { url: &'a str, verb: &'a str },
}

/// Why `user`, who holds `own`, may not give away `wanted`; `None` if he may.
pub(crate) fn escalation(
    user: &Identity,
    own: &[PolicyRule],
    wanted: &[PolicyRule],
    errors: &[String],
) -> Option<String> {
    let missing = missing(own, wanted);
    if missing.is_empty() {
        return None;
    }
    let Identity { name, groups, .. } = user;
    let mut message = format!(
        "user {name:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        quoted(groups),
        described(&missing).into_iter().collect::<Vec<_>>().join("\n"),
    );
    if !errors.is_empty() {
        message.push_str(&format!("; resolution errors: [{}]", errors.join(" ")));
    }
    Some(message)
}

/// Whether `own` covers every right.
pub(crate) fn covers_everything(own: &[PolicyRule]) -> bool {
    let all = || Some(vec!["*".to_owned()]);
    let everything = PolicyRule {
        verbs: vec!["*".into()],
        api_groups: all(),
        resources: all(),
        ..PolicyRule::default()
    };
    let paths =
        PolicyRule { verbs: vec!["*".into()], non_resource_urls: all(), ..PolicyRule::default() };
    missing(own, &[everything, paths]).is_empty()
}

/// The rights among `wanted` that `own` does not cover, as rules.
pub(crate) fn uncovered(own: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let one = |text: &str| Some(vec![text.to_owned()]);
    let rule = |right: Right<'_>| match right {
        Right::Resource { group, resource, name, verb } => PolicyRule {
            verbs: vec![verb.to_owned()],
            api_groups: one(group),
            resources: one(resource),
            resource_names: name.and_then(one),
            non_resource_urls: None,
        },
        Right::Url { url, verb } => PolicyRule {
            verbs: vec![verb.to_owned()],
            non_resource_urls: one(url),
            ..PolicyRule::default()
        },
    };
    missing(own, wanted).into_iter().map(rule).collect()
}

fn missing<'a>(own: &[PolicyRule], wanted: &'a [PolicyRule]) -> Vec<Right<'a>> {
    let mut rights: Vec<_> = wanted.iter().flat_map(rights).collect();
    rights.retain(|right| !own.iter().any(|rule| covers(rule, right)));
    rights
}

fn rights(rule: &PolicyRule) -> Vec<Right<'_>> {
    let mut rights = vec![];
    let names = listed(&rule.resource_names);
    for group in listed(&rule.api_groups) {
        for resource in listed(&rule.resources) {
            for verb in &rule.verbs {
                let right = |name| Right::Resource { group, resource, name, verb };
                if names.is_empty() {
                    rights.push(right(None));
                }
                rights.extend(names.iter().map(|name| right(Some(name.as_str()))));
            }
        }
    }
    for url in listed(&rule.non_resource_urls) {
        rights.extend(rule.verbs.iter().map(|verb| Right::Url { url, verb }));
    }
    rights
}

fn covers(rule: &PolicyRule, right: &Right<'_>) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
    match right {
        Right::Url { url, verb } => {
            has(&rule.verbs, verb)
                && listed(&rule.non_resource_urls).iter().any(|own| url_matches(own, url))
        }
        Right::Resource { group, resource, name, verb } => {
            let names = listed(&rule.resource_names);
            has(&rule.verbs, verb)
                && has(listed(&rule.api_groups), group)
                && resource_covered(listed(&rule.resources), resource)
                && (names.is_empty() || name.is_some_and(|name| names.iter().any(|n| n == name)))
        }
    }
}

fn resource_covered(own: &[String], wanted: &str) -> bool {
    let everywhere = wanted.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    own.iter().any(|item| item == "*" || item == wanted || Some(item) == everywhere.as_ref())
}

/// The rights in few words, those that differ in nothing but their verb as one.
fn described(missing: &[Right<'_>]) -> BTreeSet<String> {
    let mut shown = vec![];
    for right in missing {
        let mut parts = vec![];
        let verb = match *right {
            Right::Url { url, verb } => {
                parts.push(format!("NonResourceURLs:[{url:?}]"));
                shown.push((parts, vec![verb]));
                continue;
            }
            Right::Resource { group, resource, name, verb } => {
                parts.push(format!("APIGroups:[{group:?}]"));
                parts.push(format!("Resources:[{resource:?}]"));
                parts.extend(name.map(|name| format!("ResourceNames:[{name:?}]")));
                verb
            }
        };
        match shown.iter_mut().find(|(known, _)| *known == parts) {
            Some((_, verbs)) => verbs.push(verb),
            None => shown.push((parts, vec![verb])),
        }
    }
    let show = |(parts, verbs): (Vec<String>, Vec<&str>)| {
        format!("{{{}, Verbs:{}}}", parts.join(", "), quoted(&verbs))
    };
    shown.into_iter().map(show).collect()
}

/// Strings as Go shows a list of them: `["a" "b"]`.
fn quoted<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("{:?}", item.as_ref())).collect();
    format!("[{}]", items.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rules(json: Value) -> Vec<PolicyRule> {
        serde_json::from_value(json).unwrap()
    }

    fn refused(own: Value, wanted: Value) -> String {
        let user = Identity::new("u", &["a", "b"]);
        let text = escalation(&user, &rules(own), &rules(wanted), &[]).unwrap_or_default();
        let head = "user \"u\" (groups=[\"a\" \"b\"]) is attempting to grant RBAC permissions not \
                    currently held:\n";
        text.strip_prefix(head).unwrap_or(&text).to_owned()
    }

    #[test]
    fn nobody_gives_what_he_does_not_hold() {
        let pods = json!([{ "verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"] }]);
        let all = json!([
            { "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] },
            { "verbs": ["*"], "nonResourceURLs": ["*"] },
        ]);
        let one = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"] }]);
        let log = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"] }]);
        let logs = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["*/log"] }]);
        let url = json!([{ "verbs": ["get"], "nonResourceURLs": ["/healthz/etcd"] }]);
        let urls = json!([{ "verbs": ["get"], "nonResourceURLs": ["/healthz/*"] }]);
        for (own, wanted, missing) in [
            (&pods, &pods, ""),
            (&all, &pods, ""),
            (&all, &all, ""),
            (&all, &url, ""),
            (&pods, &one, ""),
            (&logs, &log, ""),
            (&urls, &url, ""),
            (&json!([]), &pods, r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#),
            (&one, &pods, r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#),
            (
                &json!([]),
                &one,
                r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get"]}"#,
            ),
            (&pods, &log, r#"{APIGroups:[""], Resources:["pods/log"], Verbs:["get"]}"#),
            (&pods, &url, r#"{NonResourceURLs:["/healthz/etcd"], Verbs:["get"]}"#),
            (
                &pods,
                &all,
                "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n\
                 {NonResourceURLs:[\"*\"], Verbs:[\"*\"]}",
            ),
        ] {
            assert_eq!(refused(own.clone(), wanted.clone()), missing, "{own} {wanted}");
        }
        assert!(covers_everything(&rules(all)));
        assert!(!covers_everything(&rules(pods)));
    }
}
