//! Webhooks and policies of admission: what they may be about. What CEL expressions may say is
//! decided in `expression.rs` alone.

mod expression;
mod policy;
mod webhook;

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, RuleWithOperations,
};
use serde_json::json;

use super::all;
use super::selector::label_selector;

pub(crate) use policy::{
    mutating_admission_policy, mutating_admission_policy_binding, validating_admission_policy,
    validating_admission_policy_binding, validating_admission_policy_status,
};
pub(crate) use webhook::{mutating_webhook_configuration, validating_webhook_configuration};

const ANY: &str = "*";
const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
const REINVOCATION_POLICIES: &[&str] = &["IfNeeded", "Never"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
const MAX_CONDITIONS: usize = 64;

/// A text that may be one of a few, if it is given.
fn choice(text: Option<&String>, valid: &[&str], path: &str) -> Option<Cause> {
    let text = text.filter(|text| !valid.contains(&text.as_str()))?;
    Some(Cause::not_supported(path, text, valid))
}

/// The same, and it must be given.
fn required_choice(text: Option<&String>, valid: &[&str], path: &str) -> Option<Cause> {
    match text {
        None => Some(Cause::required(path, "")),
        text => choice(text, valid, path),
    }
}

fn has_any(list: &[String]) -> bool {
    list.iter().any(|item| item == ANY)
}

/// A `*` says all there is to be said.
fn alone(list: &[String], what: &str, path: &str) -> Option<Cause> {
    let detail = format!("if '*' is present, must not specify other {what}");
    (list.len() > 1 && has_any(list)).then(|| Cause::invalid(path, json!(list), &detail))
}

fn rule(rule: &RuleWithOperations, path: &str) -> Vec<Cause> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let at = |field: &str| format!("{path}.{field}");
    let mut faults = vec![];
    let lists = [
        ("operations", list(&rule.operations), "operations"),
        ("apiGroups", list(&rule.api_groups), "API groups"),
        ("apiVersions", list(&rule.api_versions), "API versions"),
    ];
    for (field, list, what) in &lists {
        if list.is_empty() {
            faults.push(Cause::required(at(field), ""));
        }
        faults.extend(alone(list, what, &at(field)));
        for (index, item) in list.iter().enumerate() {
            let path = format!("{}[{index}]", at(field));
            match *field {
                "operations" if !OPERATIONS.contains(&item.as_str()) => {
                    faults.push(Cause::not_supported(path, item, OPERATIONS));
                }
                "apiVersions" if item.is_empty() => faults.push(Cause::required(path, "")),
                _ => {}
            }
        }
    }
    faults.extend(resources(&list(&rule.resources), &at("resources")));
    faults.extend(choice(rule.scope.as_ref(), SCOPES, &at("scope")));
    faults
}

/// Resources and subresources, with `*` for all of either.
fn resources(resources: &[String], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if resources.is_empty() {
        faults.push(Cause::required(path, ""));
    }
    let (mut whole, mut everywhere) = (HashSet::new(), HashSet::new());
    let mut bare = false;
    for (at, text) in resources.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if text.is_empty() {
            faults.push(Cause::required(path, ""));
            continue;
        }
        let Some((resource, sub)) = text.split_once('/') else {
            bare = text != ANY;
            continue;
        };
        let mut clash = |with: String| {
            let detail = format!("if '{with}' is present, must not specify {text}");
            faults.push(Cause::invalid(path.as_str(), text.as_str(), &detail));
        };
        if whole.contains(resource) {
            clash(format!("{resource}/*"));
        }
        if everywhere.contains(sub) {
            clash(format!("*/{sub}"));
        }
        if sub == ANY {
            whole.insert(resource);
        }
        if resource == ANY {
            everywhere.insert(sub);
        }
    }
    if resources.len() > 1 && resources.iter().any(|text| text == "*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        faults.push(Cause::invalid(path, json!(resources), detail));
    }
    if has_any(resources) && bare {
        let detail = "if '*' is present, must not specify other resources without subresources";
        faults.push(Cause::invalid(path, json!(resources), detail));
    }
    faults
}

fn named_rule(named: &NamedRuleWithOperations, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let names = named.resource_names.as_deref().unwrap_or_default();
    for (at, name) in names.iter().enumerate() {
        let path = format!("{path}.resourceNames[{at}]");
        faults.extend(all(&path, name, meta::path_segment(name)));
        if names[..at].contains(name) {
            faults.push(Cause::duplicate(path, name.as_str()));
        }
    }
    let own = RuleWithOperations {
        api_groups: named.api_groups.clone(),
        api_versions: named.api_versions.clone(),
        operations: named.operations.clone(),
        resources: named.resources.clone(),
        scope: named.scope.clone(),
    };
    faults.extend(rule(&own, path));
    faults
}

fn match_resources(resources: &MatchResources, path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let mut faults = vec![];
    let policy = resources.match_policy.as_ref();
    faults.extend(required_choice(policy, MATCH_POLICIES, &at("matchPolicy")));
    let selectors = [
        ("namespaceSelector", &resources.namespace_selector),
        ("objectSelector", &resources.object_selector),
    ];
    for (field, selector) in selectors {
        match selector {
            None => faults.push(Cause::required(at(field), "")),
            Some(selector) => faults.extend(label_selector(selector, &at(field))),
        }
    }
    let rules = [
        ("resourceRules", &resources.resource_rules),
        ("excludeResourceRules", &resources.exclude_resource_rules),
    ];
    for (field, rules) in rules {
        for (index, each) in rules.iter().flatten().enumerate() {
            faults.extend(named_rule(each, &format!("{}[{index}]", at(field))));
        }
    }
    faults
}

fn match_conditions(conditions: Option<&[MatchCondition]>, path: &str) -> Vec<Cause> {
    let conditions = conditions.unwrap_or_default();
    let mut faults = vec![];
    if conditions.len() > MAX_CONDITIONS {
        faults.push(Cause::too_many(path, conditions.len(), MAX_CONDITIONS));
    }
    let mut names = HashSet::new();
    for (at, condition) in conditions.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let of_expression = format!("{path}.expression");
        faults.extend(expression::given(&condition.expression, "", &of_expression));
        let of_name = format!("{path}.name");
        let name = condition.name.as_str();
        if name.is_empty() {
            faults.push(Cause::required(of_name, ""));
            continue;
        }
        faults.extend(all(&of_name, name, meta::qualified_name(name)));
        if !names.insert(name) {
            faults.push(Cause::duplicate(of_name, name));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    fn of(change: Value) -> Vec<String> {
        let mut whole = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["pods"], "scope": "*"});
        json_patch::merge(&mut whole, &change);
        lines(rule(&object(whole), "r"))
    }

    #[test]
    fn rules() {
        for (change, expected) in [
            (json!({}), &[][..]),
            (json!({"resources": ["*/*"]}), &[]),
            (json!({"resources": ["pods", "*/scale"]}), &[]),
            (
                json!({"operations": [], "apiGroups": [], "apiVersions": [""], "resources": []}),
                &[
                    "r.operations: Required value",
                    "r.apiGroups: Required value",
                    "r.apiVersions[0]: Required value",
                    "r.resources: Required value",
                ],
            ),
            (
                json!({"operations": ["*", "FLY"]}),
                &[
                    "r.operations: Invalid value: [\"*\",\"FLY\"]: if '*' is present, must not specify other operations",
                    "r.operations[1]: Unsupported value: \"FLY\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
                ],
            ),
            (
                json!({"resources": ["*/*", "pods"]}),
                &[
                    "r.resources: Invalid value: [\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources",
                ],
            ),
            (
                json!({"resources": ["pods/*", "pods/log"]}),
                &[
                    "r.resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log",
                ],
            ),
            (
                json!({"resources": ["*", "pods"]}),
                &[
                    "r.resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources",
                ],
            ),
            (
                json!({"scope": "X"}),
                &[
                    "r.scope: Unsupported value: \"X\": supported values: \"*\", \"Cluster\", \"Namespaced\"",
                ],
            ),
        ] {
            assert_eq!(of(change.clone()), expected, "{change}");
        }
    }

    #[test]
    fn conditions() {
        let all: Vec<MatchCondition> = object(json!([{"name": "a", "expression": "true"},
            {"name": "a", "expression": " "}, {"expression": "true"}]));
        assert_eq!(
            lines(match_conditions(Some(&all), "m")),
            [
                "m[1].expression: Required value",
                "m[1].name: Duplicate value: \"a\"",
                "m[2].name: Required value",
            ]
        );
    }
}
