//! The roles and bindings of the cluster, found by whom they are for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use serde::Deserialize;

use crate::authn::{Identity, service_account_name};
use crate::registry::View;
use crate::registry::split;

/// Rules by the names of their roles.
type Roles = HashMap<Box<str>, Arc<[PolicyRule]>>;

/// Every role and binding.
#[derive(Default)]
pub(crate) struct Index {
    cluster_roles: Roles,
    /// By namespace, then by name.
    roles: HashMap<Box<str>, Roles>,
    /// By the key in the store.
    bindings: HashMap<Box<str>, Arc<Binding>>,
    everywhere: Grants,
    /// By namespace.
    inside: HashMap<Box<str>, Grants>,
}

/// Bindings by the names of those whom they are for.
#[derive(Default)]
struct Grants {
    users: HashMap<Box<str>, Vec<Grant>>,
    groups: HashMap<Box<str>, Vec<Grant>>,
}

impl Grants {
    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }
}

/// A binding, RoleBinding or ClusterRoleBinding.
#[derive(Debug)]
pub(crate) struct Binding {
    /// Empty for a ClusterRoleBinding.
    namespace: Box<str>,
    name: Box<str>,
    role: RoleRef,
    subjects: Vec<Subject>,
}

/// What a binding gives one of its subjects. Shown as Kubernetes gives its reasons.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    binding: Arc<Binding>,
    subject: usize,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Binding { namespace, name, role, subjects } = &*self.binding;
        let RoleRef { kind, name: role, .. } = role;
        if namespace.is_empty() {
            write!(f, "ClusterRoleBinding {name:?} of {kind} {role:?} to ")?;
        } else {
            let name = format!("{name}/{namespace}");
            write!(f, "RoleBinding {name:?} of {kind} {role:?} to ")?;
        }
        let Some(subject) = subjects.get(self.subject) else { return Ok(()) };
        let kind = &subject.kind;
        if kind == "ServiceAccount" {
            let own = subject.namespace.as_deref().filter(|namespace| !namespace.is_empty());
            let name = format!("{}/{}", subject.name, own.unwrap_or(namespace));
            write!(f, "{kind} {name:?}")
        } else {
            write!(f, "{kind} {:?}", subject.name)
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Role {
    rules: Option<Vec<PolicyRule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bound {
    role_ref: RoleRef,
    #[serde(default)]
    subjects: Option<Vec<Subject>>,
}

/// Which of the four kinds a key is of.
fn plural(key: &str) -> &str {
    key.strip_prefix(Index::PREFIX).and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

impl View for Index {
    const PREFIX: &'static str = "/registry/rbac.authorization.k8s.io/";

    fn put(&mut self, key: &str, value: &Bytes) {
        self.remove(key);
        let (namespace, name) = split(key);
        let outcome = match plural(key) {
            "clusterroles" => serde_json::from_slice::<Role>(value).map(|role| {
                self.cluster_roles.insert(name.into(), role.rules.unwrap_or_default().into());
            }),
            "roles" => serde_json::from_slice::<Role>(value).map(|role| {
                let roles = self.roles.entry(namespace.into()).or_default();
                roles.insert(name.into(), role.rules.unwrap_or_default().into());
            }),
            _ => serde_json::from_slice::<Bound>(value).map(|bound| {
                let binding = Binding {
                    namespace: namespace.into(),
                    name: name.into(),
                    role: bound.role_ref,
                    subjects: bound.subjects.unwrap_or_default(),
                };
                self.bind(key, Arc::new(binding));
            }),
        };
        if let Err(error) = outcome {
            tracing::error!(key, %error, "a stored object cannot be read");
        }
    }

    fn remove(&mut self, key: &str) {
        let (namespace, name) = split(key);
        match plural(key) {
            "clusterroles" => drop(self.cluster_roles.remove(name)),
            "roles" => {
                if let Some(roles) = self.roles.get_mut(namespace) {
                    roles.remove(name);
                    if roles.is_empty() {
                        self.roles.remove(namespace);
                    }
                }
            }
            _ => self.unbind(key),
        }
    }
}

impl Index {
    fn bind(&mut self, key: &str, binding: Arc<Binding>) {
        let grants = if binding.namespace.is_empty() {
            &mut self.everywhere
        } else {
            self.inside.entry(binding.namespace.clone()).or_default()
        };
        for (subject, of) in binding.subjects.iter().enumerate() {
            let grant = Grant { binding: binding.clone(), subject };
            let holders = match &*of.kind {
                "User" => grants.users.entry(of.name.clone().into()),
                "Group" => grants.groups.entry(of.name.clone().into()),
                "ServiceAccount" => match user_of(of, &binding.namespace) {
                    Some(user) => grants.users.entry(user.into()),
                    None => continue,
                },
                _ => continue,
            };
            holders.or_default().push(grant);
        }
        self.bindings.insert(key.into(), binding);
    }

    fn unbind(&mut self, key: &str) {
        let Some(binding) = self.bindings.remove(key) else { return };
        let grants = if binding.namespace.is_empty() {
            Some(&mut self.everywhere)
        } else {
            self.inside.get_mut(&binding.namespace)
        };
        let Some(grants) = grants else { return };
        for of in &binding.subjects {
            let user = user_of(of, &binding.namespace);
            let (holders, name) = match &user {
                Some(user) => (&mut grants.users, user.as_str()),
                None if of.kind == "Group" => (&mut grants.groups, of.name.as_str()),
                None => continue,
            };
            if let Some(held) = holders.get_mut(name) {
                held.retain(|grant| !Arc::ptr_eq(&grant.binding, &binding));
                if held.is_empty() {
                    holders.remove(name);
                }
            }
        }
        if !binding.namespace.is_empty() && grants.is_empty() {
            self.inside.remove(&binding.namespace);
        }
    }

    /// Calls `visit` with every rule that holds for the user in the namespace, or with the reason
    /// why there is none, until it answers false.
    pub(crate) fn visit<'a>(
        &'a self,
        user: &Identity,
        namespace: &str,
        mut visit: impl FnMut(&'a Grant, Result<&'a PolicyRule, Unresolved<'a>>) -> bool,
    ) {
        let inside = if namespace.is_empty() { None } else { self.inside.get(namespace) };
        for grants in std::iter::once(&self.everywhere).chain(inside) {
            let own = grants.users.get(user.name.as_str());
            let shared = user.groups.iter().filter_map(|group| grants.groups.get(group.as_str()));
            for grant in own.into_iter().chain(shared).flatten() {
                let Binding { namespace, role, .. } = &*grant.binding;
                match self.rules(role, namespace) {
                    None => {
                        if !visit(grant, Err(Unresolved { role })) {
                            return;
                        }
                    }
                    Some(rules) => {
                        for rule in rules {
                            if !visit(grant, Ok(rule)) {
                                return;
                            }
                        }
                    }
                }
            }
        }
    }

    /// The rules of a role, if there is such.
    pub(crate) fn rules(&self, role: &RoleRef, namespace: &str) -> Option<&[PolicyRule]> {
        let found = match &*role.kind {
            "Role" => self.roles.get(namespace)?.get(role.name.as_str()),
            "ClusterRole" => self.cluster_roles.get(role.name.as_str()),
            _ => None,
        };
        found.map(|rules| &**rules)
    }

    /// Every rule that holds for the user in the namespace, each binding counted once, and what
    /// could not be resolved.
    pub(crate) fn rules_for(
        &self,
        user: &Identity,
        namespace: &str,
    ) -> (Vec<PolicyRule>, Vec<String>) {
        let mut rules = vec![];
        let mut errors: Vec<String> = vec![];
        let mut seen: Vec<(*const Binding, usize)> = vec![];
        self.visit(user, namespace, |grant, rule| {
            let binding = Arc::as_ptr(&grant.binding);
            // A binding that names the user twice gives him nothing more.
            let first = seen.iter().find(|(known, _)| *known == binding).map(|(_, by)| *by);
            match first {
                Some(by) if by != grant.subject => return true,
                Some(_) => {}
                None => seen.push((binding, grant.subject)),
            }
            match rule {
                Ok(rule) => rules.push(rule.clone()),
                Err(unresolved) => errors.push(unresolved.to_string()),
            }
            true
        });
        (rules, errors)
    }
}

/// A role that is bound but not there. Shown as Kubernetes says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unresolved<'a> {
    role: &'a RoleRef,
}

impl fmt::Display for Unresolved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RoleRef { kind, name, .. } = self.role;
        match &**kind {
            "Role" => write!(f, "role.rbac.authorization.k8s.io {name:?} not found"),
            "ClusterRole" => write!(f, "clusterrole.rbac.authorization.k8s.io {name:?} not found"),
            other => write!(f, "unsupported role reference kind: {other:?}"),
        }
    }
}

/// The user name of a subject that is a user or a service account.
fn user_of(subject: &Subject, namespace: &str) -> Option<String> {
    match &*subject.kind {
        "User" => Some(subject.name.clone()),
        "ServiceAccount" => {
            let own = subject.namespace.as_deref().filter(|own| !own.is_empty());
            let namespace = own.unwrap_or(namespace);
            (!namespace.is_empty()).then(|| service_account_name(namespace, &subject.name))
        }
        _ => None,
    }
}
