//! The roles and bindings that every cluster has, as data, and what keeps them there: at each start
//! what is missing is made, and rules, labels and subjects that are missing are added to what is
//! there, unless its owner has said that he looks after it himself
//! (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy`,
//! `k8s.io/component-helpers/auth/rbac/reconciliation`).

mod controllers;
mod namespaces;
mod reconcile;
mod roles;
mod user_roles;

use k8s_openapi::api::rbac::v1::PolicyRule;

pub(crate) use reconcile::reconcile;
pub(crate) use roles::NODE_RULES;

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CORE: &[&str] = &[""];
const APPS: &[&str] = &["apps"];
const AUTHENTICATION: &[&str] = &["authentication.k8s.io"];
const AUTHORIZATION: &[&str] = &["authorization.k8s.io"];
const AUTOSCALING: &[&str] = &["autoscaling"];
const BATCH: &[&str] = &["batch"];
const CERTIFICATES: &[&str] = &["certificates.k8s.io"];
const COORDINATION: &[&str] = &["coordination.k8s.io"];
const DISCOVERY: &[&str] = &["discovery.k8s.io"];
const NETWORKING: &[&str] = &["networking.k8s.io"];
const POLICY: &[&str] = &["policy"];
const RBAC: &[&str] = &["rbac.authorization.k8s.io"];
const STORAGE: &[&str] = &["storage.k8s.io"];
const OWN: &[&str] = &["coracle.dev"];
const ALL: &[&str] = &["*"];

/// What a role allows.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    verbs: &'static [&'static str],
    groups: &'static [&'static str],
    resources: &'static [&'static str],
    names: &'static [&'static str],
    urls: &'static [&'static str],
}

/// Verbs on resources.
const fn on(
    verbs: &'static [&'static str],
    groups: &'static [&'static str],
    resources: &'static [&'static str],
) -> Rule {
    Rule { verbs, groups, resources, names: &[], urls: &[] }
}

/// Verbs on paths that are no resources.
const fn at(verbs: &'static [&'static str], urls: &'static [&'static str]) -> Rule {
    Rule { verbs, groups: &[], resources: &[], names: &[], urls }
}

impl Rule {
    /// Only for the objects of these names.
    const fn named(self, names: &'static [&'static str]) -> Self {
        Self { names, ..self }
    }

    fn policy_rule(&self) -> PolicyRule {
        let list = |items: &[&str]| -> Option<Vec<String>> {
            (!items.is_empty()).then(|| items.iter().map(|item| (*item).to_owned()).collect())
        };
        PolicyRule {
            verbs: list(self.verbs).unwrap_or_default(),
            api_groups: list(self.groups),
            resources: list(self.resources),
            resource_names: list(self.names),
            non_resource_urls: list(self.urls),
        }
    }
}

/// Rules as objects have them.
pub(crate) fn policy_rules(rules: &[Rule]) -> Vec<PolicyRule> {
    rules.iter().map(Rule::policy_rule).collect()
}

/// What whoever tells of what he does needs.
const EVENTS: Rule = on(&["create", "patch", "update"], &["", "events.k8s.io"], &["events"]);

/// A cluster role.
struct ClusterRole {
    name: &'static str,
    /// The role whose rules these become a part of, if any: `admin`, `edit`, `view`.
    part_of: Option<&'static str>,
    /// The parts that this role's rules are made of, if they are.
    made_of: Option<&'static str>,
    rules: &'static [Rule],
}

const fn role(name: &'static str, rules: &'static [Rule]) -> ClusterRole {
    ClusterRole { name, part_of: None, made_of: None, rules }
}

/// To whom a role is bound.
enum Subject {
    User(&'static str),
    Group(&'static str),
    /// Of `kube-system`.
    Account(&'static str),
}
