//! Nodes.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{Node, NodeSpec};

use super::{resources, toleration};

/// The faults of a node.
pub(crate) fn node(node: &Node) -> Vec<Cause> {
    let mut faults = vec![];
    if let Some(spec) = &node.spec {
        let taints = spec.taints.as_deref().unwrap_or_default();
        faults.extend(toleration::taints(taints, "spec.taints"));
        for (at, range) in spec.pod_cidrs.iter().flatten().enumerate() {
            if !is_range(range) {
                let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
                faults.push(Cause::invalid(format!("spec.podCIDRs[{at}]"), range.as_str(), detail));
            }
        }
    }
    if let Some(status) = &node.status {
        faults.extend(resources::list(status.capacity.as_ref(), "status.capacity"));
        faults.extend(resources::list(status.allocatable.as_ref(), "status.allocatable"));
    }
    faults
}

fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let bits = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse().is_ok_and(|length: u8| length <= bits)
}

/// The faults of a node's change: what identifies it is set once.
pub(crate) fn node_update(new: &Node, old: &Node) -> Vec<Cause> {
    let none = NodeSpec::default();
    let (new, old) = (new.spec.as_ref().unwrap_or(&none), old.spec.as_ref().unwrap_or(&none));
    let mut faults = vec![];
    let set = old.pod_cidrs.as_ref().is_some_and(|ranges| !ranges.is_empty());
    if set && new.pod_cidrs != old.pod_cidrs {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        faults.push(Cause::forbidden("spec.podCIDRs", detail));
    }
    if old.provider_id.as_ref().is_some_and(|id| !id.is_empty())
        && new.provider_id != old.provider_id
    {
        let detail = "node updates may not change providerID except from \"\" to valid";
        faults.push(Cause::forbidden("spec.providerID", detail));
    }
    faults
}
