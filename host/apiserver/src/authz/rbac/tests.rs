//! Roles and bindings as the store has them, asked as requests ask.

use serde_json::{Value, json};

use super::*;
use crate::authn::Identity;
use crate::authz::ResourceAttributes;
use crate::registry::View;

const GROUP: &str = "/registry/rbac.authorization.k8s.io";

fn put(index: &mut Index, key: &str, value: Value) {
    index.put(&format!("{GROUP}/{key}"), &value.to_string().into());
}

/// A cluster role that reads pods, and whatever binds it.
fn index() -> Index {
    let mut index = Index::default();
    let rules = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }]);
    put(&mut index, "clusterroles/reader", json!({ "rules": rules }));
    put(&mut index, "roles/a/reader", json!({ "rules": rules }));
    index
}

fn bind(index: &mut Index, key: &str, kind: &str, role: &str, subjects: Value) {
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role });
    put(index, key, json!({ "roleRef": role, "subjects": subjects }));
}

fn asked(index: &Index, user: &Identity, namespace: &str) -> String {
    let resource =
        ResourceAttributes { resource: "pods", namespace, name: "p", ..Default::default() };
    let asked = Attributes { verb: "get", resource: Some(resource), ..Attributes::of(user) };
    match authorize(index, &asked) {
        Decision::Allow(granted) => granted.to_string(),
        Decision::Refuse(reason) => format!("no {reason}"),
    }
}

#[test]
fn bindings_give_what_their_role_says() {
    let mut index = index();
    let jane = Identity::new("jane", &["devs", "ops"]);
    let account = Identity::new("system:serviceaccount:a:robot", &[]);
    assert_eq!(asked(&index, &jane, "a"), "no ");
    let users = json!([{ "kind": "User", "name": "jane" }, { "kind": "Group", "name": "devs" }]);
    bind(&mut index, "clusterrolebindings/all", "ClusterRole", "reader", users.clone());
    let everywhere =
        r#"RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to User "jane""#;
    assert_eq!(asked(&index, &jane, ""), everywhere);
    assert_eq!(asked(&index, &jane, "a"), everywhere);
    assert_eq!(index.rules_for(&jane, "a").0.len(), 1, "named twice by one binding");
    index.remove(&format!("{GROUP}/clusterrolebindings/all"));
    assert_eq!(asked(&index, &jane, "a"), "no ");

    let groups = json!([{ "kind": "Group", "name": "ops" }]);
    bind(&mut index, "rolebindings/a/b", "Role", "reader", groups);
    assert_eq!(
        asked(&index, &jane, "a"),
        r#"RBAC: allowed by RoleBinding "b/a" of Role "reader" to Group "ops""#
    );
    assert_eq!(asked(&index, &jane, "b"), "no ");
    assert_eq!(asked(&index, &jane, ""), "no ");

    let robots = json!([{ "kind": "ServiceAccount", "name": "robot" }]);
    bind(&mut index, "rolebindings/a/b", "ClusterRole", "reader", robots);
    assert_eq!(
        asked(&index, &account, "a"),
        r#"RBAC: allowed by RoleBinding "b/a" of ClusterRole "reader" to ServiceAccount "robot/a""#
    );
    assert_eq!(asked(&index, &jane, "a"), "no ", "the binding is another now");
}

#[test]
fn a_role_that_is_missing_is_named() {
    let mut index = index();
    let jane = Identity::new("jane", &[]);
    let users = json!([{ "kind": "User", "name": "jane" }]);
    bind(&mut index, "rolebindings/a/b", "Role", "gone", users.clone());
    let one = r#"no RBAC: role.rbac.authorization.k8s.io "gone" not found"#;
    assert_eq!(asked(&index, &jane, "a"), one);
    bind(&mut index, "clusterrolebindings/b", "ClusterRole", "gone", users);
    assert_eq!(
        asked(&index, &jane, "a"),
        "no RBAC: [clusterrole.rbac.authorization.k8s.io \"gone\" not found, \
         role.rbac.authorization.k8s.io \"gone\" not found]"
    );
    let rules = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }]);
    put(&mut index, "roles/a/gone", json!({ "rules": rules }));
    assert!(asked(&index, &jane, "a").starts_with("RBAC: allowed by RoleBinding"));
}
