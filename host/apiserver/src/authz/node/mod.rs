//! What nodes may do: look after their own node, lease and pods, and read what those pods refer to
//! (`plugin/pkg/auth/authorizer/node`). What a node writes is judged once more by admission
//! (NodeRestriction), which sees the object.

mod graph;

use std::sync::OnceLock;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::rbac::rule;
use super::{Attributes, ResourceAttributes, policy};
use crate::authn::{Identity, NODE, NODES};

pub(crate) use graph::{Graph, Related, references, refers_to_objects};

/// What can be said without looking at pods.
#[derive(Debug)]
pub(crate) enum Judgement<'a> {
    /// This is no node's request, or one like anybody's.
    Nothing,
    Allow,
    Refuse(String),
    /// It depends on whether a pod of the node refers to this.
    Depends(Question<'a>),
}

/// Whether a pod of `node` refers to this object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) node: &'a str,
    pub(crate) object: Object,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// Pods refer to it themselves.
    Direct(Related),
    /// A volume is reached through the claim that it is bound to.
    Volume,
}

impl Question<'_> {
    pub(crate) fn refusal(&self) -> String {
        format!("no relationship found between node '{}' and this object", self.node)
    }
}

/// The name of the node that the user is.
pub(crate) fn node_of(identity: &Identity) -> Option<&str> {
    let name = identity.name.strip_prefix(NODE)?;
    identity.is_in(NODES).then_some(name)
}

pub(crate) fn judge<'a>(asked: &Attributes<'a>) -> Judgement<'a> {
    if !asked.identity.name.starts_with(NODE) || !asked.identity.is_in(NODES) {
        return Judgement::Nothing;
    }
    let node = match node_of(asked.identity) {
        Some(node) if !node.is_empty() => node,
        _ => {
            let reason = format!("unknown node for user {:?}", asked.identity.name);
            return Judgement::Refuse(reason);
        }
    };
    let Some(resource) = &asked.resource else { return by_rules(asked) };
    let verb = asked.verb;
    match (resource.group, resource.resource) {
        ("", "secrets") => read(node, Related::Secret, verb, resource),
        ("", "configmaps") => read(node, Related::ConfigMap, verb, resource),
        ("", "persistentvolumeclaims") if resource.subresource == "status" => match verb {
            "get" | "update" | "patch" => depends(node, Object::Direct(Related::Claim), resource),
            _ => refuse("can only get/update/patch this type"),
        },
        ("", "persistentvolumeclaims") => get(node, Object::Direct(Related::Claim), verb, resource),
        ("", "persistentvolumes") => get(node, Object::Volume, verb, resource),
        ("", "serviceaccounts") => token(node, verb, resource),
        ("", "nodes") => own_node(node, asked, resource),
        ("", "pods") => pod(node, asked, resource),
        ("coordination.k8s.io", "leases") => lease(node, verb, resource),
        ("storage.k8s.io", "csinodes") => csi_node(node, verb, resource),
        _ => by_rules(asked),
    }
}

fn refuse<'a>(reason: &str) -> Judgement<'a> {
    Judgement::Refuse(reason.into())
}

/// What holds for all nodes alike.
fn by_rules<'a>(asked: &Attributes<'_>) -> Judgement<'a> {
    static RULES: OnceLock<Vec<PolicyRule>> = OnceLock::new();
    let rules = RULES.get_or_init(|| policy::policy_rules(policy::NODE_RULES));
    if rules.iter().any(|rule| rule::allows(rule, asked)) {
        Judgement::Allow
    } else {
        Judgement::Nothing
    }
}

fn depends<'a>(node: &'a str, object: Object, resource: &ResourceAttributes<'a>) -> Judgement<'a> {
    let ResourceAttributes { namespace, name, .. } = *resource;
    if name.is_empty() {
        return refuse("No Object name found");
    }
    Judgement::Depends(Question { node, object, namespace, name })
}

fn read<'a>(
    node: &'a str,
    related: Related,
    verb: &str,
    resource: &ResourceAttributes<'a>,
) -> Judgement<'a> {
    if !matches!(verb, "get" | "list" | "watch") {
        return refuse("can only read resources of this type");
    }
    if !resource.subresource.is_empty() {
        return refuse("cannot read subresource");
    }
    if resource.namespace.is_empty() {
        return refuse("can only read namespaced object of this type");
    }
    depends(node, Object::Direct(related), resource)
}

fn get<'a>(
    node: &'a str,
    object: Object,
    verb: &str,
    resource: &ResourceAttributes<'a>,
) -> Judgement<'a> {
    if verb != "get" {
        return refuse("can only get individual resources of this type");
    }
    if !resource.subresource.is_empty() {
        return refuse("cannot get subresource");
    }
    depends(node, object, resource)
}

fn token<'a>(node: &'a str, verb: &str, resource: &ResourceAttributes<'a>) -> Judgement<'a> {
    if verb == "get" && resource.subresource.is_empty() {
        return depends(node, Object::Direct(Related::ServiceAccount), resource);
    }
    if verb != "create" || resource.name.is_empty() {
        return refuse("can only create tokens for individual service accounts");
    }
    if resource.subresource != "token" {
        return refuse("can only create token subresource of serviceaccount");
    }
    depends(node, Object::Direct(Related::ServiceAccount), resource)
}

fn own_node<'a>(
    node: &str,
    asked: &Attributes<'_>,
    resource: &ResourceAttributes<'_>,
) -> Judgement<'a> {
    let reading = matches!(asked.verb, "get" | "list" | "watch");
    if !resource.subresource.is_empty() || !reading || resource.name == node {
        return by_rules(asked);
    }
    Judgement::Refuse(if resource.name.is_empty() {
        format!("node '{node}' cannot read all nodes, only its own Node object")
    } else {
        format!("node '{node}' cannot read '{}', only its own Node object", resource.name)
    })
}

fn pod<'a>(
    node: &'a str,
    asked: &Attributes<'_>,
    resource: &ResourceAttributes<'a>,
) -> Judgement<'a> {
    if !resource.subresource.is_empty() {
        return by_rules(asked);
    }
    match asked.verb {
        "get" => depends(node, Object::Direct(Related::Pod), resource),
        "list" | "watch" => {
            let own = resource.fields.and_then(|fields| fields.exact("spec.nodeName"));
            if own == Some(node) {
                Judgement::Allow
            } else {
                refuse("can only list/watch pods with spec.nodeName field selector")
            }
        }
        _ => by_rules(asked),
    }
}

fn lease<'a>(node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Judgement<'a> {
    if !matches!(verb, "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a node lease");
    }
    if resource.namespace != "kube-node-lease" {
        return refuse("can only access leases in the \"kube-node-lease\" system namespace");
    }
    // The name of a new lease stands in the object, which admission looks at.
    if verb != "create" && resource.name != node {
        return refuse("can only access node lease with the same name as the requesting node");
    }
    Judgement::Allow
}

fn csi_node<'a>(node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Judgement<'a> {
    if !matches!(verb, "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a CSINode");
    }
    if !resource.subresource.is_empty() {
        return refuse("cannot authorize CSINode subresources");
    }
    if verb != "create" && resource.name != node {
        return refuse("can only access CSINode with the same name as the requesting node");
    }
    Judgement::Allow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_look_after_themselves() {
        let identity = Identity::component("system:node:n");
        let own: coracle_api::selector::FieldSelector = "spec.nodeName=n".parse().unwrap();
        let ask = |verb, group, path: &'static str, namespace, name| {
            let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
            let fields = (name == "!own").then_some(&own);
            let name = if name == "!own" { "" } else { name };
            let resource =
                ResourceAttributes { group, resource, subresource, namespace, name, fields };
            let asked = Attributes { verb, resource: Some(resource), ..Attributes::of(&identity) };
            match judge(&asked) {
                Judgement::Nothing => "nothing".to_owned(),
                Judgement::Allow => "allow".to_owned(),
                Judgement::Refuse(reason) => reason,
                Judgement::Depends(question) => {
                    format!("{:?} {}", question.object, question.name)
                }
            }
        };
        let lease = "coordination.k8s.io";
        for (verb, group, resource, namespace, name, expected) in [
            ("get", "", "secrets", "a", "s", "Direct(Secret) s"),
            ("watch", "", "configmaps", "a", "s", "Direct(ConfigMap) s"),
            ("list", "", "secrets", "a", "", "No Object name found"),
            ("list", "", "secrets", "", "s", "can only read namespaced object of this type"),
            ("update", "", "secrets", "a", "s", "can only read resources of this type"),
            ("get", "", "persistentvolumeclaims", "a", "c", "Direct(Claim) c"),
            (
                "list",
                "",
                "persistentvolumes",
                "",
                "",
                "can only get individual resources of this type",
            ),
            ("get", "", "persistentvolumes", "", "v", "Volume v"),
            ("create", "", "serviceaccounts/token", "a", "r", "Direct(ServiceAccount) r"),
            (
                "update",
                "",
                "serviceaccounts",
                "a",
                "r",
                "can only create tokens for individual service accounts",
            ),
            ("get", "", "nodes", "", "n", "allow"),
            ("get", "", "nodes", "", "m", "node 'n' cannot read 'm', only its own Node object"),
            (
                "list",
                "",
                "nodes",
                "",
                "",
                "node 'n' cannot read all nodes, only its own Node object",
            ),
            ("create", "", "nodes", "", "", "allow"),
            ("delete", "", "nodes", "", "n", "nothing"),
            ("patch", "", "nodes/status", "", "n", "allow"),
            ("get", "", "pods", "a", "p", "Direct(Pod) p"),
            ("list", "", "pods", "", "!own", "allow"),
            (
                "watch",
                "",
                "pods",
                "",
                "",
                "can only list/watch pods with spec.nodeName field selector",
            ),
            ("patch", "", "pods/status", "a", "p", "allow"),
            ("update", "", "pods", "a", "p", "nothing"),
            ("update", lease, "leases", "kube-node-lease", "n", "allow"),
            (
                "update",
                lease,
                "leases",
                "kube-node-lease",
                "m",
                "can only access node lease with the same name as the requesting node",
            ),
            (
                "get",
                lease,
                "leases",
                "a",
                "n",
                "can only access leases in the \"kube-node-lease\" system namespace",
            ),
            (
                "list",
                lease,
                "leases",
                "kube-node-lease",
                "",
                "can only get, create, update, patch, or delete a node lease",
            ),
            (
                "get",
                "storage.k8s.io",
                "csinodes",
                "",
                "m",
                "can only access CSINode with the same name as the requesting node",
            ),
            ("list", "", "services", "", "", "allow"),
            ("create", "apps", "deployments", "a", "", "nothing"),
        ] {
            let said = ask(verb, group, resource, namespace, name);
            assert_eq!(said, expected, "{verb} {group} {resource} {namespace} {name}");
        }
    }

    #[test]
    fn others_are_no_nodes() {
        for identity in [
            Identity::new("system:node:n", &["system:authenticated"]),
            Identity::new("jane", &[NODES]),
        ] {
            let asked = Attributes { verb: "get", ..Attributes::of(&identity) };
            assert!(matches!(judge(&asked), Judgement::Nothing), "{identity:?}");
        }
    }
}
