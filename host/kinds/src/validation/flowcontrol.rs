//! Flow schemas and priority levels.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::flowcontrol::v1::{
    FlowSchema, FlowSchemaSpec, LimitedPriorityLevelConfiguration, NonResourcePolicyRule,
    PolicyRulesWithSubjects, PriorityLevelConfiguration, PriorityLevelConfigurationSpec,
    QueuingConfiguration, ResourcePolicyRule, ServiceAccountSubject, Subject,
};
use serde_json::json;

use super::all;
use crate::flowcontrol::{mandatory_flow_schema, mandatory_priority_level};

/// The level and the schema of requests that never wait.
const EXEMPT: &str = "exempt";
const ANY: &str = "*";
const MAX_PRECEDENCE: i32 = 10_000;
const MAX_QUEUES: i32 = 10_000_000;
/// How many bits of a hash there are to deal hands of queues with.
const MAX_HASH_BITS: f64 = 60.0;
const DISTINGUISHERS: &[&str] = &["ByNamespace", "ByUser"];
const SUBJECTS: &[&str] = &["Group", "ServiceAccount", "User"];
const TYPES: &[&str] = &["Exempt", "Limited"];
const RESPONSES: &[&str] = &["Queue", "Reject"];
const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// The faults of a FlowSchema.
pub(crate) fn flow_schema(schema: &FlowSchema) -> Vec<Cause> {
    let name = schema.metadata.name.as_deref().unwrap_or_default();
    let spec = schema.spec.clone().unwrap_or_default();
    let mut faults = schema_spec(name, &spec);
    if mandatory_flow_schema(name).is_some_and(|fixed| fixed.spec.as_ref() != Some(&spec)) {
        let detail = format!("spec of '{name}' must equal the fixed value");
        faults.push(Cause::invalid("spec", json!(spec), &detail));
    }
    faults
}

fn schema_spec(name: &str, spec: &FlowSchemaSpec) -> Vec<Cause> {
    let mut faults = vec![];
    let precedence = spec.matching_precedence.unwrap_or(0);
    let path = "spec.matchingPrecedence";
    if precedence <= 0 {
        faults.push(Cause::invalid(path, precedence, "must be a positive value"));
    }
    if precedence > MAX_PRECEDENCE {
        let detail = format!("must not be greater than {MAX_PRECEDENCE}");
        faults.push(Cause::invalid(path, precedence, &detail));
    }
    if precedence == 1 && name != EXEMPT {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        faults.push(Cause::invalid(path, precedence, detail));
    }
    if let Some(method) = &spec.distinguisher_method
        && !DISTINGUISHERS.contains(&method.type_.as_str())
    {
        let path = "spec.distinguisherMethod.type";
        faults.push(Cause::not_supported(path, &method.type_, DISTINGUISHERS));
    }
    let path = "spec.priorityLevelConfiguration.name";
    match spec.priority_level_configuration.name.as_str() {
        "" => faults.push(Cause::required(path, "must reference a priority level")),
        level => faults.extend(all(path, level, meta::dns_1123_subdomain(level))),
    }
    for (at, each) in spec.rules.iter().flatten().enumerate() {
        faults.extend(rule(each, &format!("spec.rules[{at}]")));
    }
    faults
}

fn rule(rule: &PolicyRulesWithSubjects, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if rule.subjects.is_empty() {
        let detail = "subjects must contain at least one value";
        faults.push(Cause::required(format!("{path}.subjects"), detail));
    }
    for (at, each) in rule.subjects.iter().enumerate() {
        faults.extend(subject(each, &format!("{path}.subjects[{at}]")));
    }
    let resources = rule.resource_rules.as_deref().unwrap_or_default();
    let others = rule.non_resource_rules.as_deref().unwrap_or_default();
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        faults.push(Cause::required(path, detail));
    }
    for (at, each) in resources.iter().enumerate() {
        faults.extend(resource_rule(each, &format!("{path}.resourceRules[{at}]")));
    }
    for (at, each) in others.iter().enumerate() {
        faults.extend(path_rule(each, &format!("{path}.nonResourceRules[{at}]")));
    }
    faults
}

fn subject(subject: &Subject, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let kind = subject.kind.as_str();
    if !SUBJECTS.contains(&kind) {
        return vec![Cause::not_supported(format!("{path}.kind"), kind, SUBJECTS)];
    }
    let names = [
        ("serviceAccount", "ServiceAccount", subject.service_account.is_some(), None),
        ("user", "User", subject.user.is_some(), subject.user.as_ref().map(|user| &user.name)),
        ("group", "Group", subject.group.is_some(), subject.group.as_ref().map(|own| &own.name)),
    ];
    for (field, own, given, name) in names {
        let of_field = format!("{path}.{field}");
        match (own == kind, given) {
            (true, false) => {
                let detail = format!("{field} is required when subject kind is '{own}'");
                faults.push(Cause::required(of_field, &detail));
            }
            (true, true) if name.is_some_and(String::is_empty) => {
                faults.push(Cause::required(format!("{of_field}.name"), ""));
            }
            (false, true) => {
                let detail = format!("{field} is forbidden when subject kind is not '{own}'");
                faults.push(Cause::forbidden(of_field, &detail));
            }
            _ => {}
        }
    }
    if let Some(account) = subject.service_account.as_ref().filter(|_| kind == "ServiceAccount") {
        faults.extend(service_account(account, &format!("{path}.serviceAccount")));
    }
    faults
}

fn service_account(account: &ServiceAccountSubject, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let of_name = format!("{path}.name");
    match account.name.as_str() {
        "" => faults.push(Cause::required(of_name, "")),
        ANY => {}
        name => faults.extend(all(&of_name, name, meta::dns_1123_subdomain(name))),
    }
    let of_namespace = format!("{path}.namespace");
    match account.namespace.as_str() {
        "" => {
            let detail = "must specify namespace for service account";
            faults.push(Cause::required(of_namespace, detail));
        }
        namespace => faults.extend(all(&of_namespace, namespace, meta::dns_1123_label(namespace))),
    }
    faults
}

fn has_any(list: &[String]) -> bool {
    list.iter().any(|item| item == ANY)
}

/// A `*` says all there is to be said.
fn alone(list: &[String], what: &str, path: &str) -> Option<Cause> {
    let detail = format!("if '*' is present, must not specify other {what}");
    (list.len() > 1 && has_any(list)).then(|| Cause::invalid(path, json!(list), &detail))
}

fn verbs(verbs: &[String], path: &str) -> Option<Cause> {
    let path = format!("{path}.verbs");
    if verbs.is_empty() {
        return Some(Cause::required(path, "verbs must contain at least one value"));
    }
    if has_any(verbs) {
        return alone(verbs, "verbs", &path);
    }
    if verbs.iter().all(|verb| VERBS.contains(&verb.as_str())) {
        return None;
    }
    let known: Vec<_> = VERBS.iter().map(|verb| format!("{verb:?}")).collect();
    let message =
        format!("Unsupported value: {}: supported values: {}", json!(verbs), known.join(", "));
    Some(Cause::new(coracle_api::cause::CauseReason::FieldValueNotSupported, path, message))
}

fn resource_rule(rule: &ResourcePolicyRule, path: &str) -> Vec<Cause> {
    let mut faults: Vec<_> = verbs(&rule.verbs, path).into_iter().collect();
    let lists = [
        ("apiGroups", &rule.api_groups, "api group", "api groups"),
        ("resources", &rule.resources, "resource", "resources"),
    ];
    for (field, list, one, many) in lists {
        let path = format!("{path}.{field}");
        if list.is_empty() {
            let detail = format!("resource rules must supply at least one {one}");
            faults.push(Cause::required(path, &detail));
        } else {
            faults.extend(alone(list, many, &path));
        }
    }
    let namespaces = rule.namespaces.as_deref().unwrap_or_default();
    let path = format!("{path}.namespaces");
    if namespaces.is_empty() && rule.cluster_scope != Some(true) {
        let detail =
            "resource rules that are not cluster scoped must supply at least one namespace";
        faults.push(Cause::required(path, detail));
    } else if has_any(namespaces) {
        faults.extend(alone(namespaces, "namespaces", &path));
    } else {
        for (at, namespace) in namespaces.iter().enumerate() {
            let complaints = meta::dns_1123_label(namespace).into_iter().map(|complaint| {
                format!("each member of this list must be '*' or a DNS-1123 label; {complaint}")
            });
            faults.extend(all(&format!("{path}[{at}]"), namespace, complaints.collect()));
        }
    }
    faults
}

fn path_rule(rule: &NonResourcePolicyRule, path: &str) -> Vec<Cause> {
    let mut faults: Vec<_> = verbs(&rule.verbs, path).into_iter().collect();
    let urls = &rule.non_resource_urls;
    let path = format!("{path}.nonResourceURLs");
    if urls.is_empty() {
        let detail = "nonResourceURLs must contain at least one value";
        faults.push(Cause::required(path, detail));
    } else if has_any(urls) {
        faults.extend(alone(urls, "non-resource URLs", &path));
    } else {
        for (at, url) in urls.iter().enumerate() {
            if let Some(detail) = bad_url(url) {
                faults.push(Cause::invalid(format!("{path}[{at}]"), url.as_str(), detail));
            }
        }
    }
    faults
}

fn bad_url(url: &str) -> Option<&'static str> {
    let stars = url.matches('*').count();
    if url.is_empty() {
        Some("must not be empty")
    } else if !url.starts_with('/') {
        Some("must start with slash")
    } else if url.contains(' ') {
        Some("must not contain white-space")
    } else if url.contains("//") {
        Some("must not contain double slash")
    } else if stars > 1 || stars == 1 && !url.ends_with("/*") {
        Some("wildcard can only do suffix matching")
    } else {
        None
    }
}

/// The faults of the conditions in a status, by their types.
fn conditions<'a>(types: impl Iterator<Item = Option<&'a str>>) -> Vec<Cause> {
    let mut faults = vec![];
    let mut seen = HashSet::new();
    for (at, kind) in types.enumerate() {
        let kind = kind.unwrap_or_default();
        let path = format!("status.conditions[{at}].type");
        if !seen.insert(kind) {
            faults.push(Cause::duplicate(path.as_str(), kind));
        }
        if kind.is_empty() {
            faults.push(Cause::required(path, "must not be empty"));
        }
    }
    faults
}

/// The faults of a FlowSchema's status.
pub(crate) fn flow_schema_status(schema: &FlowSchema) -> Vec<Cause> {
    let all = schema.status.as_ref().and_then(|status| status.conditions.as_deref());
    conditions(all.unwrap_or_default().iter().map(|condition| condition.type_.as_deref()))
}

/// The faults of a PriorityLevelConfiguration's status.
pub(crate) fn priority_level_status(level: &PriorityLevelConfiguration) -> Vec<Cause> {
    let all = level.status.as_ref().and_then(|status| status.conditions.as_deref());
    conditions(all.unwrap_or_default().iter().map(|condition| condition.type_.as_deref()))
}

/// The faults of a PriorityLevelConfiguration.
pub(crate) fn priority_level(level: &PriorityLevelConfiguration) -> Vec<Cause> {
    let name = level.metadata.name.as_deref().unwrap_or_default();
    let spec = level.spec.clone().unwrap_or_default();
    let kind = spec.type_.as_str();
    let mut faults = vec![];
    if (name == EXEMPT) != (kind == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        faults.push(Cause::invalid("spec.type", kind, detail));
    }
    match (kind, &spec.limited, &spec.exempt) {
        ("Exempt", Some(_), _) => {
            let detail = "must be nil if the type is not Limited";
            faults.push(Cause::forbidden("spec.limited", detail));
        }
        ("Exempt", None, None) => {}
        ("Exempt", None, Some(exempt)) => {
            let path = "spec.exempt";
            faults.extend(shares(exempt.nominal_concurrency_shares, path));
            faults.extend(lendable(exempt.lendable_percent, path));
        }
        ("Limited", _, Some(_)) => {
            let detail = "must be nil if the type is Limited";
            faults.push(Cause::forbidden("spec.exempt", detail));
        }
        ("Limited", None, None) => {
            let detail = "must not be empty when type is Limited";
            faults.push(Cause::required("spec.limited", detail));
        }
        ("Limited", Some(own), None) => faults.extend(limited(own, "spec.limited")),
        (other, ..) => faults.push(Cause::not_supported("spec.type", other, TYPES)),
    }
    if mandatory_priority_level(name).is_some_and(|fixed| differs(&spec, &fixed)) {
        let but = if name == EXEMPT { " except the 'spec.exempt' field" } else { "" };
        let detail = format!("spec of '{name}'{but} must equal the fixed value");
        faults.push(Cause::invalid("spec", json!(spec), &detail));
    }
    faults
}

/// Whether a mandatory level was changed. What the exempt one lends may be.
fn differs(spec: &PriorityLevelConfigurationSpec, fixed: &PriorityLevelConfiguration) -> bool {
    let fixed = fixed.spec.clone().unwrap_or_default();
    let own = PriorityLevelConfigurationSpec { exempt: fixed.exempt.clone(), ..spec.clone() };
    own != fixed
}

fn shares(shares: Option<i32>, path: &str) -> Option<Cause> {
    let shares = shares.filter(|shares| *shares < 0)?;
    let path = format!("{path}.nominalConcurrencyShares");
    Some(Cause::invalid(path, shares, "must be a non-negative integer"))
}

fn lendable(percent: Option<i32>, path: &str) -> Option<Cause> {
    let percent = percent.filter(|percent| !(0..=100).contains(percent))?;
    let path = format!("{path}.lendablePercent");
    Some(Cause::invalid(path, percent, "must be between 0 and 100, inclusive"))
}

fn limited(limited: &LimitedPriorityLevelConfiguration, path: &str) -> Vec<Cause> {
    let mut faults: Vec<_> = shares(limited.nominal_concurrency_shares, path).into_iter().collect();
    let response = limited.limit_response.clone().unwrap_or_default();
    let of_queuing = format!("{path}.limitResponse.queuing");
    match (response.type_.as_str(), &response.queuing) {
        ("Reject", Some(_)) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            faults.push(Cause::forbidden(of_queuing, detail));
        }
        ("Reject", None) => {}
        ("Queue", None) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            faults.push(Cause::required(of_queuing, detail));
        }
        ("Queue", Some(own)) => faults.extend(queuing(own, &of_queuing)),
        (other, _) => {
            let path = format!("{path}.limitResponse.type");
            faults.push(Cause::not_supported(path, other, RESPONSES));
        }
    }
    faults.extend(lendable(limited.lendable_percent, path));
    if let Some(percent) = limited.borrowing_limit_percent.filter(|percent| *percent < 0) {
        let path = format!("{path}.borrowingLimitPercent");
        let detail = "if specified, must be a non-negative integer";
        faults.push(Cause::invalid(path, percent, detail));
    }
    faults
}

fn queuing(queuing: &QueuingConfiguration, path: &str) -> Vec<Cause> {
    let number = |number: Option<i32>| number.unwrap_or(0);
    let (queues, hand) = (number(queuing.queues), number(queuing.hand_size));
    let length = number(queuing.queue_length_limit);
    let mut faults = vec![];
    let mut refuse = |field: &str, value: i32, detail: &str| {
        faults.push(Cause::invalid(format!("{path}.{field}"), value, detail));
    };
    if length <= 0 {
        refuse("queueLengthLimit", length, "must be positive");
    }
    if queues <= 0 {
        refuse("queues", queues, "must be positive");
    } else if queues > MAX_QUEUES {
        refuse("queues", queues, &format!("must not be greater than {MAX_QUEUES}"));
    }
    if hand <= 0 {
        refuse("handSize", hand, "must be positive");
    } else if hand > queues {
        refuse("handSize", hand, &format!("should not be greater than queues ({queues})"));
    } else if (f64::from(queues).log2() * f64::from(hand)).ceil() > MAX_HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater \
             than {MAX_HASH_BITS}"
        );
        refuse("handSize", hand, &detail);
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use crate::flowcontrol;
    use serde_json::Value;

    #[test]
    fn what_every_cluster_has_is_good() {
        for level in flowcontrol::priority_levels() {
            let mut completed = level.clone();
            completed.default_fields();
            assert_eq!(completed, level);
            assert_eq!(lines(priority_level(&level)), Vec::<String>::new());
        }
        for schema in flowcontrol::flow_schemas() {
            let mut completed = schema.clone();
            completed.default_fields();
            assert_eq!(completed, schema);
            assert_eq!(lines(flow_schema(&schema)), Vec::<String>::new());
        }
    }

    fn schema(change: Value) -> Vec<String> {
        let mut whole = json!({"matchingPrecedence": 5, "priorityLevelConfiguration": {"name": "a"},
            "rules": [{"subjects": [{"kind": "User", "user": {"name": "jane"}}],
                "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"],
                    "namespaces": ["*"]}]}]});
        json_patch::merge(&mut whole, &change);
        lines(flow_schema(&object(json!({"metadata": {"name": "s"}, "spec": whole}))))
    }

    #[test]
    fn schemas() {
        for (change, expected) in [
            (json!({}), &[][..]),
            (
                json!({"matchingPrecedence": 1}),
                &[
                    "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
                ],
            ),
            (
                json!({"matchingPrecedence": 10001, "distinguisherMethod": {"type": "X"},
                    "priorityLevelConfiguration": {"name": ""}}),
                &[
                    "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
                    "spec.distinguisherMethod.type: Unsupported value: \"X\": supported values: \"ByNamespace\", \"ByUser\"",
                    "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
                ],
            ),
            (
                json!({"rules": [{}]}),
                &[
                    "spec.rules[0].subjects: Required value: subjects must contain at least one value",
                    "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
                ],
            ),
            (
                json!({"rules": [{"subjects": [{"kind": "User", "group": {"name": "g"}},
                        {"kind": "ServiceAccount", "serviceAccount": {"name": "*"}}, {"kind": "X"}],
                    "nonResourceRules": [{"verbs": ["*", "get"], "nonResourceURLs": ["/a*b", "x"]},
                        {"verbs": ["fly"], "nonResourceURLs": ["*"]}]}]}),
                &[
                    "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
                    "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
                    "spec.rules[0].subjects[1].serviceAccount.namespace: Required value: must specify namespace for service account",
                    "spec.rules[0].subjects[2].kind: Unsupported value: \"X\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
                    "spec.rules[0].nonResourceRules[0].verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs",
                    "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"/a*b\": wildcard can only do suffix matching",
                    "spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"x\": must start with slash",
                    "spec.rules[0].nonResourceRules[1].verbs: Unsupported value: [\"fly\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
                ],
            ),
        ] {
            assert_eq!(schema(change.clone()), expected, "{change}");
        }
        let mut exempt = mandatory_flow_schema("exempt").unwrap();
        exempt.spec.as_mut().unwrap().rules = None;
        assert!(
            lines(flow_schema(&exempt))[0].ends_with("spec of 'exempt' must equal the fixed value")
        );
    }

    #[test]
    fn levels() {
        let level = |name: &str, spec: Value| {
            let mut level: PriorityLevelConfiguration =
                object(json!({"metadata": {"name": name}, "spec": spec}));
            level.default_fields();
            lines(priority_level(&level))
        };
        let queue = |queuing: Value| {
            level(
                "a",
                json!({"type": "Limited",
                "limited": {"limitResponse": {"type": "Queue", "queuing": queuing}}}),
            )
        };
        assert_eq!(queue(json!({})), Vec::<String>::new());
        assert_eq!(
            queue(json!({"queues": 4, "handSize": 5, "queueLengthLimit": -1})),
            [
                "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -1: must be positive",
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)",
            ]
        );
        assert_eq!(
            queue(json!({"queues": 1024, "handSize": 7})),
            [
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 7: required entropy bits of deckSize 1024 and handSize 7 should not be greater than 60",
            ]
        );
        assert_eq!(
            level("a", json!({"type": "Exempt"})),
            [
                "spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"
            ]
        );
        assert_eq!(
            level("a", json!({"type": "Limited"})),
            ["spec.limited: Required value: must not be empty when type is Limited"]
        );
        assert_eq!(
            level("exempt", json!({"type": "Exempt", "exempt": {"lendablePercent": 50}})),
            Vec::<String>::new()
        );
        assert_eq!(
            level("exempt", json!({"type": "Exempt", "exempt": {"lendablePercent": 101}})).len(),
            1
        );
        let found = level(
            "catch-all",
            json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": 7, "limitResponse": {"type": "Reject"}}}),
        );
        assert!(found[0].ends_with("spec of 'catch-all' must equal the fixed value"));
    }
}
