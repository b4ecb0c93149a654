//! Roles and their bindings.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use serde_json::json;

use super::{all, selector};

const GROUP: &str = "rbac.authorization.k8s.io";

/// The faults of a Role.
pub(crate) fn role(role: &Role) -> Vec<Cause> {
    rules(role.rules.as_deref(), true)
}

/// The faults of a ClusterRole.
pub(crate) fn cluster_role(role: &ClusterRole) -> Vec<Cause> {
    let mut faults = rules(role.rules.as_deref(), false);
    let Some(aggregation) = &role.aggregation_rule else { return faults };
    let selectors = aggregation.cluster_role_selectors.as_deref().unwrap_or_default();
    let path = "aggregationRule.clusterRoleSelectors";
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        faults.push(Cause::required(path, detail));
    }
    for (at, each) in selectors.iter().enumerate() {
        faults.extend(selector::label_selector(each, &format!("{path}[{at}]")));
    }
    faults
}

fn rules(rules: Option<&[PolicyRule]>, namespaced: bool) -> Vec<Cause> {
    let rules = rules.unwrap_or_default().iter().enumerate();
    rules.flat_map(|(at, each)| rule(each, namespaced, &format!("rules[{at}]"))).collect()
}

fn rule(rule: &PolicyRule, namespaced: bool, path: &str) -> Vec<Cause> {
    let list = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
    let mut faults = vec![];
    if rule.verbs.is_empty() {
        let detail = "verbs must contain at least one value";
        faults.push(Cause::required(format!("{path}.verbs"), detail));
    }
    let groups = list(&rule.api_groups);
    let (resources, names) = (list(&rule.resources), list(&rule.resource_names));
    if list(&rule.non_resource_urls) > 0 {
        let mut refuse = |detail: &str| {
            let path = format!("{path}.nonResourceURLs");
            faults.push(Cause::invalid(path, json!(rule.non_resource_urls), detail));
        };
        if namespaced {
            refuse("namespaced rules cannot apply to non-resource URLs");
        }
        if groups + resources + names > 0 {
            refuse("rules cannot apply to both regular resources and non-resource URLs");
        }
        return faults;
    }
    if groups == 0 {
        let detail = "resource rules must supply at least one api group";
        faults.push(Cause::required(format!("{path}.apiGroups"), detail));
    }
    if resources == 0 {
        let detail = "resource rules must supply at least one resource";
        faults.push(Cause::required(format!("{path}.resources"), detail));
    }
    if names > 0 && resources > 1 {
        let detail = "resource names cannot apply to multiple resources";
        faults.push(Cause::required(format!("{path}.resourceNames"), detail));
    }
    faults
}

/// The faults of a RoleBinding.
pub(crate) fn role_binding(binding: &RoleBinding) -> Vec<Cause> {
    let mut faults = role_ref(&binding.role_ref, &["Role", "ClusterRole"]);
    faults.extend(subjects(binding.subjects.as_deref(), true));
    faults
}

/// The faults of a ClusterRoleBinding.
pub(crate) fn cluster_role_binding(binding: &ClusterRoleBinding) -> Vec<Cause> {
    let mut faults = role_ref(&binding.role_ref, &["ClusterRole"]);
    faults.extend(subjects(binding.subjects.as_deref(), false));
    faults
}

/// What a binding gives is decided when it is made.
pub(crate) fn role_ref_update(new: &RoleRef, old: &RoleRef) -> Vec<Cause> {
    if new == old {
        return vec![];
    }
    let group = new.api_group.as_deref().unwrap_or_default();
    let shown = json!({ "APIGroup": group, "Kind": new.kind, "Name": new.name });
    vec![Cause::invalid("roleRef", shown, "cannot change roleRef")]
}

fn role_ref(reference: &RoleRef, kinds: &[&str]) -> Vec<Cause> {
    let mut faults = vec![];
    faults.extend(group(reference.api_group.as_deref(), GROUP, "roleRef"));
    if !kinds.contains(&reference.kind.as_str()) {
        faults.push(Cause::not_supported("roleRef.kind", &reference.kind, kinds));
    }
    if reference.name.is_empty() {
        faults.push(Cause::required("roleRef.name", ""));
    } else {
        let complaints = meta::path_segment(&reference.name);
        faults.extend(all("roleRef.name", &reference.name, complaints));
    }
    faults
}

fn group(given: Option<&str>, expected: &str, path: &str) -> Option<Cause> {
    let given = given.unwrap_or_default();
    let path = format!("{path}.apiGroup");
    (given != expected).then(|| Cause::not_supported(path, given, &[expected]))
}

fn subjects(subjects: Option<&[Subject]>, namespaced: bool) -> Vec<Cause> {
    let subjects = subjects.unwrap_or_default().iter().enumerate();
    subjects.flat_map(|(at, each)| subject(each, namespaced, &format!("subjects[{at}]"))).collect()
}

fn subject(subject: &Subject, namespaced: bool, path: &str) -> Vec<Cause> {
    let name = subject.name.as_str();
    let of_name = format!("{path}.name");
    let mut faults = vec![];
    if name.is_empty() {
        faults.push(Cause::required(of_name.as_str(), ""));
    }
    let api_group = subject.api_group.as_deref();
    let nameless = |word: &str| {
        let detail = format!("{word} name cannot be empty");
        name.is_empty().then(|| Cause::invalid(of_name.as_str(), "", &detail))
    };
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !name.is_empty() {
                faults.extend(all(&of_name, name, meta::dns_1123_subdomain(name)));
            }
            faults.extend(group(api_group, "", path));
            let nowhere = subject.namespace.as_deref().unwrap_or_default().is_empty();
            if !namespaced && nowhere {
                faults.push(Cause::required(format!("{path}.namespace"), ""));
            }
        }
        "User" => {
            faults.extend(nameless("user"));
            faults.extend(group(api_group, GROUP, path));
        }
        "Group" => {
            faults.extend(nameless("group"));
            faults.extend(group(api_group, GROUP, path));
        }
        other => {
            let kinds = &["ServiceAccount", "User", "Group"];
            faults.push(Cause::not_supported(format!("{path}.kind"), other, kinds));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::Value;

    fn of_rule(rule: Value) -> Vec<String> {
        lines(role(&object(json!({ "rules": [rule] }))))
    }

    #[test]
    fn rules_name_resources_or_paths() {
        let good = json!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]});
        assert_eq!(of_rule(good), Vec::<String>::new());
        for (rule, expected) in [
            (
                json!({}),
                &[
                    "rules[0].verbs: Required value: verbs must contain at least one value",
                    "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                    "rules[0].resources: Required value: resource rules must supply at least one resource",
                ][..],
            ),
            (
                json!({"nonResourceURLs": ["/healthz"], "verbs": ["get"]}),
                &[
                    "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules cannot apply to non-resource URLs",
                ],
            ),
            (
                json!({"apiGroups": [""], "resources": ["a", "b"], "resourceNames": ["x"], "verbs": ["get"]}),
                &[
                    "rules[0].resourceNames: Required value: resource names cannot apply to multiple resources",
                ],
            ),
        ] {
            assert_eq!(of_rule(rule.clone()), expected, "{rule}");
        }
        let both = object(json!({"aggregationRule": {}, "rules": [
            {"nonResourceURLs": ["/a"], "resources": ["pods"], "verbs": ["get"]}]}));
        assert_eq!(
            lines(cluster_role(&both)),
            [
                "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: rules cannot apply to both regular resources and non-resource URLs",
                "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
            ]
        );
    }

    fn bound(mut binding: Value) -> Vec<String> {
        if binding.get("roleRef").is_none() {
            binding["roleRef"] = json!({"kind": "ClusterRole", "name": "view"});
        }
        let mut binding: ClusterRoleBinding = object(binding);
        binding.default_fields();
        lines(cluster_role_binding(&binding))
    }

    #[test]
    fn bindings_name_a_role_and_subjects() {
        let good = json!({"subjects": [{"kind": "User", "name": "a"}, {"kind": "Group", "name": "b:c"},
            {"kind": "ServiceAccount", "name": "c", "namespace": "d"}]});
        assert_eq!(bound(good), Vec::<String>::new());
        for (binding, expected) in [
            (
                json!({"roleRef": {"apiGroup": "x", "kind": "Role", "name": "a/b"}}),
                &[
                    "roleRef.apiGroup: Unsupported value: \"x\": supported values: \"rbac.authorization.k8s.io\"",
                    "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
                    "roleRef.name: Invalid value: \"a/b\": may not contain '/'",
                ][..],
            ),
            (
                json!({"subjects": [{"kind": "ServiceAccount", "name": "A"}]}),
                &[
                    "subjects[0].name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                    "subjects[0].namespace: Required value",
                ],
            ),
            (
                json!({"subjects": [{"kind": "User"}, {"kind": "Moon", "name": "a"}]}),
                &[
                    "subjects[0].name: Required value",
                    "subjects[0].name: Invalid value: \"\": user name cannot be empty",
                    "subjects[1].kind: Unsupported value: \"Moon\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
                ],
            ),
            (
                json!({"subjects": [{"kind": "Group", "name": "a", "apiGroup": "b"}]}),
                &[
                    "subjects[0].apiGroup: Unsupported value: \"b\": supported values: \"rbac.authorization.k8s.io\"",
                ],
            ),
        ] {
            assert_eq!(bound(binding.clone()), expected, "{binding}");
        }
    }

    #[test]
    fn role_refs_stay() {
        let of = |name: &str| RoleRef { kind: "Role".into(), name: name.into(), api_group: None };
        assert_eq!(role_ref_update(&of("a"), &of("a")), []);
        assert_eq!(
            lines(role_ref_update(&of("b"), &of("a"))),
            [
                "roleRef: Invalid value: {\"APIGroup\":\"\",\"Kind\":\"Role\",\"Name\":\"b\"}: cannot change roleRef"
            ]
        );
    }
}
