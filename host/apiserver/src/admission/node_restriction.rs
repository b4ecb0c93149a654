//! Nodes write nothing but what is theirs: their node, lease and pods' status
//! (`plugin/pkg/admission/noderestriction`).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};

use super::certificates::common_name;
use super::{Attributes, Operation, Plugin};
use crate::authn::{NODE, NODES};
use crate::authz::node::{node_of, refers_to_objects};
use crate::error::{ApiError, Result};
use crate::registry::{Facts, Object, key};

const MIRROR: &str = "kubernetes.io/config.mirror";
/// The labels below these domains that a node may set on itself.
const NODE_LABELS: &[&str] = &[
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
const NODE_LABEL_DOMAINS: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];

pub(super) struct NodeRestriction;

#[async_trait]
impl Plugin for NodeRestriction {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        let identity = attributes.write.identity;
        identity.name.starts_with(NODE) && identity.is_in(NODES)
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        self.judge(attributes, Some(object), old).await
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        _object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        // Creations and updates were judged while they could still be changed.
        if attributes.operation == Operation::Delete {
            return self.judge(attributes, None, old).await;
        }
        Ok(())
    }
}

impl NodeRestriction {
    async fn judge(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        let write = attributes.write;
        let Some(node) = node_of(write.identity).filter(|node| !node.is_empty()) else {
            let name = &write.identity.name;
            return attributes.refuse_node(format!("could not determine node from user {name:?}"));
        };
        let names = write.kind.names();
        let name =
            object.and_then(|object| object.meta().name.as_deref()).filter(|n| !n.is_empty());
        let name = name.unwrap_or(attributes.name);
        let reason = match (&*names.group, &*names.plural, write.subresource) {
            ("", "pods", "") => pod(attributes, node, object, old).await?,
            ("", "pods", "status") => pod_status(node, object, old),
            ("", "pods", "eviction") => {
                let own =
                    old.and_then(|old| old.downcast_ref::<Pod>()).is_some_and(|pod| on(pod, node));
                (!own).then(|| {
                    format!("node {node} can only evict pods with spec.nodeName set to itself")
                })
            }
            ("", "pods", other) => Some(format!(
                "unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"
            )),
            ("", "nodes", _) => own_node(attributes.operation, node, name, object, old),
            ("", "persistentvolumeclaims", "status") => claim_status(node, object, old),
            ("", "persistentvolumeclaims", _) => Some("may only update PVC status".into()),
            ("coordination.k8s.io", "leases", _) => {
                if write.namespace != "kube-node-lease" {
                    Some(
                        "can only access leases in the \"kube-node-lease\" system namespace".into(),
                    )
                } else {
                    (name != node).then(|| {
                        "can only access node lease with the same name as the requesting node"
                            .into()
                    })
                }
            }
            ("storage.k8s.io", "csinodes", _) => (name != node).then(|| {
                "can only access CSINode with the same name as the requesting node".into()
            }),
            ("certificates.k8s.io", "certificatesigningrequests", "") => {
                own_certificate(node, object)
            }
            _ => None,
        };
        reason.map_or(Ok(()), |reason| attributes.refuse_node(reason))
    }
}

impl Attributes<'_> {
    fn refuse_node(&self, why: String) -> Result<()> {
        let names = self.write.kind.names();
        Err(ApiError::forbidden(&names.group, &names.plural, self.name, &why))
    }
}

fn on(pod: &Pod, node: &str) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node)
}

async fn pod(
    attributes: &Attributes<'_>,
    node: &str,
    object: Option<&dyn Object>,
    old: Option<&dyn Object>,
) -> Result<Option<String>> {
    match attributes.operation {
        Operation::Create => match object.and_then(|object| object.downcast_ref::<Pod>()) {
            Some(pod) => mirror(attributes, node, pod).await,
            None => Ok(None),
        },
        Operation::Delete => {
            let own =
                old.and_then(|old| old.downcast_ref::<Pod>()).is_some_and(|pod| on(pod, node));
            Ok((!own).then(|| {
                format!("node {node:?} can only delete pods with spec.nodeName set to itself")
            }))
        }
        Operation::Update => Ok(Some(format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        ))),
    }
}

/// What is wrong with a pod that a node creates: it may only show one that runs already.
async fn mirror(attributes: &Attributes<'_>, node: &str, pod: &Pod) -> Result<Option<String>> {
    let meta = &pod.metadata;
    if !meta.annotations.as_ref().is_some_and(|all| all.contains_key(MIRROR)) {
        return Ok(Some(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        )));
    }
    if !on(pod, node) {
        return Ok(Some(format!(
            "node {node:?} can only create pods with spec.nodeName set to itself"
        )));
    }
    let owner = match meta.owner_references.as_deref().unwrap_or_default() {
        [owner] if owner.api_version == "v1" && owner.kind == "Node" && owner.name == node => owner,
        [_, _, ..] => {
            return Ok(Some(format!(
                "node {node:?} can only create pods with a single owner reference set to itself"
            )));
        }
        _ => {
            return Ok(Some(format!(
                "node {node:?} can only create pods with an owner reference set to itself"
            )));
        }
    };
    if owner.controller != Some(true) {
        return Ok(Some(format!(
            "node {node:?} can only create pods with a controller owner reference set to itself"
        )));
    }
    if owner.block_owner_deletion == Some(true) {
        return Ok(Some(format!(
            "node {node:?} must not set blockOwnerDeletion on an owner reference"
        )));
    }
    let server = attributes.write.server;
    if let Some(kind) = server.registry.kind("", "nodes") {
        let entry = server.store.get(&key(kind.names(), "", node)).await?;
        let entry = entry.ok_or_else(|| ApiError::not_found("", "nodes", node))?;
        let uid = Facts::of(&entry, &*kind).map(|facts| facts.uid.clone()).unwrap_or_default();
        if owner.uid != uid {
            let given = &owner.uid;
            return Ok(Some(format!("node {node} UID mismatch: expected {given} got {uid}")));
        }
    }
    let referred = pod.spec.as_ref().and_then(refers_to_objects);
    Ok(referred.map(|what| format!("node {node:?} can not create pods that reference {what}")))
}

fn pod_status(node: &str, object: Option<&dyn Object>, old: Option<&dyn Object>) -> Option<String> {
    let new = object?.downcast_ref::<Pod>()?;
    let old = old?.downcast_ref::<Pod>()?;
    if !on(old, node) {
        return Some(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    let labels = |pod: &Pod| pod.metadata.labels.clone().unwrap_or_default();
    if labels(old) != labels(new) {
        return Some(format!("node {node:?} cannot update labels through pod status"));
    }
    let claims = |pod: &Pod| {
        let status = pod.status.as_ref();
        status.and_then(|status| status.resource_claim_statuses.clone()).unwrap_or_default()
    };
    (claims(old) != claims(new))
        .then(|| format!("node {node:?} cannot update resource claim statues"))
}

fn own_node(
    operation: Operation,
    node: &str,
    name: &str,
    object: Option<&dyn Object>,
    old: Option<&dyn Object>,
) -> Option<String> {
    if name != node {
        return Some(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    let new = object?.downcast_ref::<Node>()?;
    let old = old.and_then(|old| old.downcast_ref::<Node>());
    let changed = changed_labels(new, old);
    let refused: Vec<_> =
        changed.iter().filter(|label| forbidden_label(label)).map(|label| &**label).collect();
    if operation == Operation::Create {
        return (!refused.is_empty()).then(|| {
            format!(
                "node {node:?} is not allowed to set the following labels: {}",
                refused.join(", ")
            )
        });
    }
    let old = old?;
    let taints = |node: &Node| node.spec.clone().and_then(|spec| spec.taints).unwrap_or_default();
    if taints(new) != taints(old) {
        return Some(format!("node {node:?} is not allowed to modify taints"));
    }
    (!refused.is_empty())
        .then(|| format!("is not allowed to modify labels: {}", refused.join(", ")))
}

/// A node asks for a kubelet's certificates for itself alone.
fn own_certificate(node: &str, object: Option<&dyn Object>) -> Option<String> {
    const KUBELETS: [&str; 2] =
        ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];
    let spec = &object?.downcast_ref::<CertificateSigningRequest>()?.spec;
    if !KUBELETS.contains(&spec.signer_name.as_str()) {
        return None;
    }
    match common_name(&spec.request.0) {
        Some(name) if name.strip_prefix(NODE) == Some(node) => None,
        _ => Some(format!("can only create a node CSR with CN={NODE}{node}")),
    }
}

fn changed_labels(new: &Node, old: Option<&Node>) -> BTreeSet<String> {
    let empty = BTreeMap::new();
    let new = new.metadata.labels.as_ref().unwrap_or(&empty);
    let old = old.and_then(|old| old.metadata.labels.as_ref()).unwrap_or(&empty);
    let keys = new.keys().chain(old.keys());
    keys.filter(|key| new.get(*key) != old.get(*key)).cloned().collect()
}

/// Whether a node may not set this label: it could steer workloads to itself.
fn forbidden_label(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let below = |root: &str| {
        domain == root || domain.strip_suffix(root).is_some_and(|rest| rest.ends_with('.'))
    };
    if below("node-restriction.kubernetes.io") {
        return true;
    }
    (below("kubernetes.io") || below("k8s.io"))
        && !NODE_LABELS.contains(&label)
        && !NODE_LABEL_DOMAINS.iter().any(|domain| below(domain))
}

fn claim_status(
    node: &str,
    object: Option<&dyn Object>,
    old: Option<&dyn Object>,
) -> Option<String> {
    let mut new = object?.downcast_ref::<PersistentVolumeClaim>()?.clone();
    let mut old = old?.downcast_ref::<PersistentVolumeClaim>()?.clone();
    for claim in [&mut new, &mut old] {
        claim.metadata.resource_version = None;
        claim.metadata.managed_fields = None;
        if let Some(status) = &mut claim.status {
            status.capacity = None;
            status.conditions = None;
            status.allocated_resource_statuses = None;
            status.allocated_resources = None;
        }
    }
    (new != old).then(|| {
        format!(
            "node {node:?} is not allowed to update fields other than status.capacity and \
             status.conditions"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::forbidden_label;

    #[test]
    fn nodes_label_themselves_with_what_describes_them() {
        for (label, forbidden) in [
            ("example.com/any", false),
            ("any", false),
            ("kubernetes.io/hostname", false),
            ("node.kubernetes.io/anything", false),
            ("sub.kubelet.kubernetes.io/x", false),
            ("kubernetes.io/role", true),
            ("foo.k8s.io/x", true),
            ("node-role.kubernetes.io/control-plane", true),
            ("x.node-restriction.kubernetes.io/x", true),
            ("notkubernetes.io/x", false),
        ] {
            assert_eq!(forbidden_label(label), forbidden, "{label}");
        }
    }
}
