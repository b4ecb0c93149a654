//! Role, ClusterRole, and their bindings. Who may give away which rights is authorization's.

use coracle_api::cause::Cause;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, Role, RoleBinding, RoleRef, Subject,
};
use serde_json::{Value, json};

use super::table::{AGE, NAME, NAME_AND_CREATED, age, column, name, name_and_created, wide};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy};

const GROUP: &str = "rbac.authorization.k8s.io";
const RULES: Rules = Rules { create_on_update: true, ..Rules::USUAL };

const fn names(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    namespaced: bool,
) -> Names {
    Names {
        group: GROUP,
        version: "v1",
        kind,
        plural,
        singular,
        short: &[],
        categories: &[],
        namespaced,
        status: false,
    }
}

impl Strategy for Role {
    const NAMES: Names = names("Role", "roles", "role", true);
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = NAME_AND_CREATED;

    fn validate(&self) -> Vec<Cause> {
        validation::role(self)
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::path_segment(name)
    }

    fn row(&self) -> Vec<Value> {
        name_and_created(self)
    }
}

impl Strategy for ClusterRole {
    const NAMES: Names = names("ClusterRole", "clusterroles", "clusterrole", false);
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = NAME_AND_CREATED;

    fn validate(&self) -> Vec<Cause> {
        validation::cluster_role(self)
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::path_segment(name)
    }

    fn row(&self) -> Vec<Value> {
        name_and_created(self)
    }
}

/// The columns of both kinds of bindings.
const BINDING_COLUMNS: &[Column] = &[
    NAME,
    column("Role", "string", "The role that is given."),
    AGE,
    wide("Users", "string", "Users in the roleBinding"),
    wide("Groups", "string", "Groups in the roleBinding"),
    wide("ServiceAccounts", "string", "ServiceAccounts in the roleBinding"),
];

impl Strategy for RoleBinding {
    const NAMES: Names = names("RoleBinding", "rolebindings", "rolebinding", true);
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = BINDING_COLUMNS;

    fn default_fields(&mut self) {
        default_groups(&mut self.role_ref, self.subjects.as_deref_mut());
    }

    fn validate(&self) -> Vec<Cause> {
        validation::role_binding(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::role_ref_update(&self.role_ref, &old.role_ref)
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::path_segment(name)
    }

    fn row(&self) -> Vec<Value> {
        row(self, &self.role_ref, self.subjects.as_deref())
    }
}

impl Strategy for ClusterRoleBinding {
    const NAMES: Names =
        names("ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding", false);
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = BINDING_COLUMNS;

    fn default_fields(&mut self) {
        default_groups(&mut self.role_ref, self.subjects.as_deref_mut());
    }

    fn validate(&self) -> Vec<Cause> {
        validation::cluster_role_binding(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::role_ref_update(&self.role_ref, &old.role_ref)
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::path_segment(name)
    }

    fn row(&self) -> Vec<Value> {
        row(self, &self.role_ref, self.subjects.as_deref())
    }
}

fn default_groups(reference: &mut RoleRef, subjects: Option<&mut [Subject]>) {
    let fill = |group: &mut Option<String>| {
        if group.as_deref().unwrap_or_default().is_empty() {
            *group = Some(GROUP.into());
        }
    };
    fill(&mut reference.api_group);
    for subject in subjects.unwrap_or_default() {
        if matches!(subject.kind.as_str(), "User" | "Group") {
            fill(&mut subject.api_group);
        }
    }
}

fn row<K: kube::Resource>(binding: &K, role: &RoleRef, subjects: Option<&[Subject]>) -> Vec<Value> {
    let of = |kind: &str| {
        let those = subjects.unwrap_or_default().iter().filter(|subject| subject.kind == kind);
        let names = those.map(|subject| match subject.namespace.as_deref() {
            Some(namespace) if kind == "ServiceAccount" => format!("{namespace}/{}", subject.name),
            _ => subject.name.clone(),
        });
        json!(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        name(binding),
        json!(format!("{}/{}", role.kind, role.name)),
        age(binding),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}
