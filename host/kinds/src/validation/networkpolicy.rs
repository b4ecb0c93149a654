//! Network policies.

use std::net::IpAddr;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::number;
use super::selector::label_selector;

const PROTOCOLS: &[&str] = &["TCP", "UDP", "SCTP"];
const TYPES: &[&str] = &["Ingress", "Egress"];

/// The faults of a NetworkPolicy.
pub(crate) fn network_policy(policy: &NetworkPolicy) -> Vec<Cause> {
    let Some(spec) = &policy.spec else { return vec![] };
    let mut faults = vec![];
    if let Some(selector) = &spec.pod_selector {
        faults.extend(label_selector(selector, "spec.podSelector"));
    }
    for (at, rule) in spec.ingress.iter().flatten().enumerate() {
        let path = format!("spec.ingress[{at}]");
        faults.extend(ports(rule.ports.as_deref(), &path));
        faults.extend(peers(rule.from.as_deref(), &format!("{path}.from")));
    }
    for (at, rule) in spec.egress.iter().flatten().enumerate() {
        let path = format!("spec.egress[{at}]");
        faults.extend(ports(rule.ports.as_deref(), &path));
        faults.extend(peers(rule.to.as_deref(), &format!("{path}.to")));
    }
    let types = spec.policy_types.as_deref().unwrap_or_default();
    if types.len() > TYPES.len() {
        let detail = "may not specify more than two policyTypes";
        faults.push(Cause::invalid("spec.policyTypes", json!(types), detail));
        return faults;
    }
    for (at, kind) in types.iter().enumerate().filter(|(_, kind)| !TYPES.contains(&kind.as_str())) {
        faults.push(Cause::not_supported(format!("spec.policyTypes[{at}]"), kind, TYPES));
    }
    faults
}

fn ports(ports: Option<&[NetworkPolicyPort]>, path: &str) -> Vec<Cause> {
    let ports = ports.unwrap_or_default().iter().enumerate();
    ports.flat_map(|(at, each)| port(each, &format!("{path}.ports[{at}]"))).collect()
}

fn port(port: &NetworkPolicyPort, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if let Some(protocol) = port.protocol.as_deref().filter(|text| !PROTOCOLS.contains(text)) {
        faults.push(Cause::not_supported(format!("{path}.protocol"), protocol, PROTOCOLS));
    }
    let of_end = format!("{path}.endPort");
    let mut refuse_end = |detail: &str| {
        faults.extend(port.end_port.map(|end| Cause::invalid(of_end.as_str(), end, detail)));
    };
    match &port.port {
        None => refuse_end("may not be specified when `port` is not specified"),
        Some(IntOrString::String(_)) => {
            refuse_end("may not be specified when `port` is non-numeric");
        }
        Some(IntOrString::Int(first)) => {
            if port.end_port.is_some_and(|end| end < *first) {
                refuse_end("must be greater than or equal to `port`");
            }
            faults.extend(port.end_port.into_iter().flat_map(|end| number::port(&of_end, end)));
        }
    }
    if let Some(given) = &port.port {
        faults.extend(number::port_or_name(&format!("{path}.port"), given));
    }
    faults
}

fn peers(peers: Option<&[NetworkPolicyPeer]>, path: &str) -> Vec<Cause> {
    let peers = peers.unwrap_or_default().iter().enumerate();
    peers.flat_map(|(at, each)| peer(each, &format!("{path}[{at}]"))).collect()
}

fn peer(peer: &NetworkPolicyPeer, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let selectors =
        [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)];
    let mut selected = false;
    for (field, selector) in selectors {
        if let Some(selector) = selector {
            selected = true;
            faults.extend(label_selector(selector, &format!("{path}.{field}")));
        }
    }
    if let Some(block) = &peer.ip_block {
        faults.extend(ip_block(block, &format!("{path}.ipBlock")));
    }
    if !selected && peer.ip_block.is_none() {
        faults.push(Cause::required(path, "must specify a peer"));
    } else if selected && peer.ip_block.is_some() {
        faults.push(Cause::forbidden(path, "may not specify both ipBlock and another peer"));
    }
    faults
}

fn ip_block(block: &IPBlock, path: &str) -> Vec<Cause> {
    let of_cidr = format!("{path}.cidr");
    if block.cidr.is_empty() {
        return vec![Cause::required(of_cidr, "")];
    }
    let Some(whole) = meta::network(&block.cidr) else {
        return super::all(&of_cidr, &block.cidr, meta::cidr(&block.cidr));
    };
    let mut faults = vec![];
    for (at, text) in block.except.iter().flatten().enumerate() {
        let path = format!("{path}.except[{at}]");
        match meta::network(text) {
            None => faults.extend(super::all(&path, text, meta::cidr(text))),
            Some(part) if !is_part(part, whole) => {
                let detail = "must be a strict subset of `cidr`";
                faults.push(Cause::invalid(path, text.as_str(), detail));
            }
            Some(_) => {}
        }
    }
    faults
}

/// Whether a range lies within another and is smaller.
fn is_part((ip, bits): (IpAddr, u8), (whole, of): (IpAddr, u8)) -> bool {
    let same = match (ip, whole) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (u32::from(a) ^ u32::from(b)).checked_shr(32 - u32::from(of)).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (u128::from(a) ^ u128::from(b)).checked_shr(128 - u32::from(of)).unwrap_or(0) == 0
        }
        _ => false,
    };
    same && bits > of
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    fn from(rule: Value) -> Vec<String> {
        lines(network_policy(&object(json!({"spec": {"podSelector": {}, "ingress": [rule]}}))))
    }

    #[test]
    fn good() {
        assert_eq!(
            from(json!({"from": [{"podSelector": {"matchLabels": {"app": "frontend"}}},
                {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                {"ipBlock": {"cidr": "0.0.0.0/0"}}],
                "ports": [{"port": 6379, "protocol": "TCP", "endPort": 6380}, {"port": "http"}]})),
            Vec::<String>::new()
        );
    }

    #[test]
    fn bad() {
        for (rule, expected) in [
            (json!({"from": [{}]}), "from[0]: Required value: must specify a peer"),
            (
                json!({"from": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]}),
                "from[0]: Forbidden: may not specify both ipBlock and another peer",
            ),
            (
                json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}),
                "from[0].ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
            ),
            (
                json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}),
                "from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            ),
            (
                json!({"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]}),
                "from[0].ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ),
            (
                json!({"ports": [{"protocol": "X"}]}),
                "ports[0].protocol: Unsupported value: \"X\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
            ),
            (
                json!({"ports": [{"port": 0}]}),
                "ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                json!({"ports": [{"endPort": 2}]}),
                "ports[0].endPort: Invalid value: 2: may not be specified when `port` is not specified",
            ),
            (
                json!({"ports": [{"port": 3, "endPort": 2}]}),
                "ports[0].endPort: Invalid value: 2: must be greater than or equal to `port`",
            ),
            (
                json!({"ports": [{"port": "a", "endPort": 2}]}),
                "ports[0].endPort: Invalid value: 2: may not be specified when `port` is non-numeric",
            ),
        ] {
            assert_eq!(from(rule.clone()), [format!("spec.ingress[0].{expected}")], "{rule}");
        }
        let types = json!({"spec": {"policyTypes": ["Ingress", "X"]}});
        assert_eq!(
            lines(network_policy(&object(types))),
            [
                "spec.policyTypes[1]: Unsupported value: \"X\": supported values: \"Ingress\", \"Egress\""
            ]
        );
    }
}
