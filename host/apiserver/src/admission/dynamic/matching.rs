//! Which writes a webhook or policy is for. Pure.

use std::collections::BTreeMap;

use coracle_api::selector::Selector;
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, RuleWithOperations,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::admission::Operation;
use crate::registry::ApiResource;

/// A rule as both webhooks and policies have it. Empty lists match nothing, but for the names.
#[derive(Debug)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    scope: Option<String>,
}

/// What is matched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) operation: Operation,
    /// The name in the request; empty for what is still to be named.
    pub(super) name: &'a str,
    pub(super) subresource: &'a str,
    /// Whether the request is about something in a namespace. A namespace itself is not.
    pub(super) namespaced: bool,
}

impl Rule {
    fn matches(&self, subject: Subject<'_>, names: &ApiResource) -> bool {
        let operation = match subject.operation {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        };
        let scope = match self.scope.as_deref() {
            Some("Namespaced") => subject.namespaced,
            Some("Cluster") => !subject.namespaced,
            _ => true,
        };
        scope
            && listed(&self.operations, operation)
            && listed(&self.groups, &names.group)
            && listed(&self.versions, &names.version)
            && self.resources.iter().any(|rule| is(rule, &names.plural, subject.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| name == subject.name))
    }
}

fn listed(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

/// `pods`, `pods/log`, `pods/*`, `*`, `*/scale`, `*/*`
fn is(rule: &str, resource: &str, subresource: &str) -> bool {
    let (first, second) = rule.split_once('/').unwrap_or((rule, ""));
    (first == "*" || first == resource) && (second == "*" || second == subresource)
}

impl From<&RuleWithOperations> for Rule {
    fn from(rule: &RuleWithOperations) -> Self {
        Self {
            operations: rule.operations.clone().unwrap_or_default(),
            groups: rule.api_groups.clone().unwrap_or_default(),
            versions: rule.api_versions.clone().unwrap_or_default(),
            resources: rule.resources.clone().unwrap_or_default(),
            names: vec![],
            scope: rule.scope.clone(),
        }
    }
}

impl From<&NamedRuleWithOperations> for Rule {
    fn from(rule: &NamedRuleWithOperations) -> Self {
        Self {
            operations: rule.operations.clone().unwrap_or_default(),
            groups: rule.api_groups.clone().unwrap_or_default(),
            versions: rule.api_versions.clone().unwrap_or_default(),
            resources: rule.resources.clone().unwrap_or_default(),
            names: rule.resource_names.clone().unwrap_or_default(),
            scope: rule.scope.clone(),
        }
    }
}

/// Which writes a webhook, policy or binding is for.
#[derive(Debug)]
pub(super) struct Matching {
    /// None: whatever the others allow.
    rules: Option<Vec<Rule>>,
    excluded: Vec<Rule>,
    exact: bool,
    namespaces: Selector,
    objects: Selector,
}

fn rules<'r, R: 'r>(list: Option<&'r Vec<R>>) -> Vec<Rule>
where
    Rule: From<&'r R>,
{
    list.into_iter().flatten().map(Rule::from).collect()
}

/// An invalid selector has been refused when it was written.
fn selector(selector: Option<&LabelSelector>) -> Selector {
    selector.and_then(|selector| Selector::try_from(selector).ok()).unwrap_or_default()
}

impl Matching {
    pub(super) fn of_webhook(
        rule_list: Option<&Vec<RuleWithOperations>>,
        policy: Option<&str>,
        namespaces: Option<&LabelSelector>,
        objects: Option<&LabelSelector>,
    ) -> Self {
        Self {
            rules: Some(rules(rule_list)),
            excluded: vec![],
            exact: policy == Some("Exact"),
            namespaces: selector(namespaces),
            objects: selector(objects),
        }
    }

    pub(super) fn of_policy(resources: Option<&MatchResources>) -> Self {
        let resources = resources.cloned().unwrap_or_default();
        Self { rules: Some(rules(resources.resource_rules.as_ref())), ..Self::of(&resources) }
    }

    /// A binding without rules takes what its policy does.
    pub(super) fn of_binding(resources: Option<&MatchResources>) -> Self {
        resources.map_or_else(|| Self::of(&MatchResources::default()), Self::of)
    }

    fn of(resources: &MatchResources) -> Self {
        let given = resources.resource_rules.as_ref().filter(|rules| !rules.is_empty());
        Self {
            rules: given.map(|given| rules(Some(given))),
            excluded: rules(resources.exclude_resource_rules.as_ref()),
            exact: resources.match_policy.as_deref() == Some("Exact"),
            namespaces: selector(resources.namespace_selector.as_ref()),
            objects: selector(resources.object_selector.as_ref()),
        }
    }

    /// The first of `versions`, by its index, in which the write is matched. The first is the one
    /// that was asked for; the others are equivalent to it.
    pub(super) fn version(&self, subject: Subject<'_>, versions: &[&ApiResource]) -> Option<usize> {
        let count = if self.exact { versions.len().min(1) } else { versions.len() };
        let versions = versions.get(..count)?;
        let any = |rules: &[Rule], names: &ApiResource| {
            rules.iter().any(|rule| rule.matches(subject, names))
        };
        if versions.iter().any(|names| any(&self.excluded, names)) {
            return None;
        }
        match &self.rules {
            None => Some(0),
            Some(rules) => {
                let requested = versions.first().filter(|names| any(rules, names));
                if requested.is_some() {
                    return Some(0);
                }
                // Earlier rules count before earlier versions.
                rules
                    .iter()
                    .find_map(|rule| versions.iter().position(|names| rule.matches(subject, names)))
            }
        }
    }

    pub(super) fn selects_namespaces(&self) -> bool {
        !self.namespaces.is_everything()
    }

    pub(super) fn in_namespace(&self, labels: &BTreeMap<String, String>) -> bool {
        self.namespaces.matches(labels)
    }

    /// Whether the new or the old object is selected.
    pub(super) fn selects<'a>(
        &self,
        mut labels: impl Iterator<Item = Option<&'a BTreeMap<String, String>>>,
    ) -> bool {
        self.objects.is_everything() || labels.any(|labels| self.objects.matches_some(labels))
    }
}

/// What webhooks and policies are made of is never subject to them, or nobody could mend a bad
/// one.
pub(super) fn exempt(names: &ApiResource) -> bool {
    const EXEMPT: &[&str] = &[
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    ];
    &*names.group == "admissionregistration.k8s.io" && EXEMPT.contains(&&*names.plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(group: &str, version: &str, plural: &str) -> ApiResource {
        ApiResource {
            group: group.into(),
            version: version.into(),
            kind: "Kind".into(),
            list: "KindList".into(),
            plural: plural.into(),
            singular: "".into(),
            short: vec![],
            categories: vec![],
            namespaced: true,
            status: true,
        }
    }

    fn rule(operations: &str, groups: &str, versions: &str, resources: &str) -> RuleWithOperations {
        let list = |text: &str| Some(text.split(' ').map(str::to_owned).collect());
        RuleWithOperations {
            operations: list(operations),
            api_groups: list(groups),
            api_versions: list(versions),
            resources: list(resources),
            scope: None,
        }
    }

    const POD: Subject<'_> =
        Subject { operation: Operation::Create, name: "a", subresource: "", namespaced: true };

    #[test]
    fn rules() {
        let pods = names("", "v1", "pods");
        let status = Subject { subresource: "status", ..POD };
        for (given, subject, matches) in [
            (rule("CREATE", "", "v1", "pods"), POD, true),
            (rule("*", "*", "*", "*"), POD, true),
            (rule("*", "*", "*", "*"), status, false),
            (rule("*", "*", "*", "*/*"), status, true),
            (rule("*", "*", "*", "pods/*"), POD, true),
            (rule("*", "*", "*", "pods/*"), status, true),
            (rule("*", "*", "*", "*/status"), status, true),
            (rule("*", "*", "*", "pods/status"), POD, false),
            (rule("UPDATE DELETE", "*", "*", "*"), POD, false),
            (rule("CREATE", "apps", "*", "*"), POD, false),
            (rule("CREATE", "", "v2", "pods"), POD, false),
            (rule("CREATE", "", "v1", "services pods"), POD, true),
        ] {
            let shown = format!("{given:?}");
            let matching = Matching::of_webhook(Some(&vec![given]), None, None, None);
            assert_eq!(matching.version(subject, &[&pods]).is_some(), matches, "{shown}");
        }
    }

    #[test]
    fn scopes() {
        let pods = names("", "v1", "pods");
        for (scope, namespaced, matches) in [
            ("*", true, true),
            ("Namespaced", true, true),
            ("Namespaced", false, false),
            ("Cluster", true, false),
            ("Cluster", false, true),
        ] {
            let mut given = rule("*", "*", "*", "*");
            given.scope = Some(scope.into());
            let matching = Matching::of_webhook(Some(&vec![given]), None, None, None);
            let subject = Subject { namespaced, ..POD };
            assert_eq!(matching.version(subject, &[&pods]).is_some(), matches, "{scope}");
        }
    }

    #[test]
    fn equivalent_versions() {
        let requested = names("extensions", "v1beta1", "deployments");
        let stored = names("apps", "v1", "deployments");
        let given = vec![rule("*", "apps", "v1", "deployments")];
        let versions = [&requested, &stored];
        let equivalent = Matching::of_webhook(Some(&given), Some("Equivalent"), None, None);
        assert_eq!(equivalent.version(POD, &versions), Some(1));
        let exact = Matching::of_webhook(Some(&given), Some("Exact"), None, None);
        assert_eq!(exact.version(POD, &versions), None);
    }

    #[test]
    fn policies_exclude_and_name() {
        let named = |names: &[&str]| NamedRuleWithOperations {
            api_groups: Some(vec!["*".into()]),
            api_versions: Some(vec!["*".into()]),
            operations: Some(vec!["*".into()]),
            resources: Some(vec!["pods".into()]),
            resource_names: Some(names.iter().map(|&name| name.into()).collect()),
            scope: None,
        };
        let pods = names("", "v1", "pods");
        let resources = MatchResources {
            resource_rules: Some(vec![named(&[])]),
            exclude_resource_rules: Some(vec![named(&["spared"])]),
            ..MatchResources::default()
        };
        let matching = Matching::of_policy(Some(&resources));
        assert_eq!(matching.version(POD, &[&pods]), Some(0));
        assert_eq!(matching.version(Subject { name: "spared", ..POD }, &[&pods]), None);
        // A policy without rules matches nothing, a binding without rules everything.
        assert_eq!(Matching::of_policy(None).version(POD, &[&pods]), None);
        assert_eq!(Matching::of_binding(None).version(POD, &[&pods]), Some(0));
    }
}
