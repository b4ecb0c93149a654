//! Endpoints and EndpointSlices.

use std::collections::HashSet;
use std::net::IpAddr;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::{all, number, one_of};

const PROTOCOLS: &[&str] = &["TCP", "UDP", "SCTP"];
const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;

/// The faults of Endpoints.
pub(crate) fn endpoints(endpoints: &Endpoints) -> Vec<Cause> {
    let subsets = endpoints.subsets.as_deref().unwrap_or_default().iter().enumerate();
    subsets.flat_map(|(at, each)| subset(each, &format!("subsets[{at}]"))).collect()
}

fn subset(subset: &EndpointSubset, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let ready = subset.addresses.as_deref().unwrap_or_default();
    let not_ready = subset.not_ready_addresses.as_deref().unwrap_or_default();
    if ready.is_empty() && not_ready.is_empty() {
        let detail = "must specify `addresses` or `notReadyAddresses`";
        faults.push(Cause::required(path, detail));
    }
    for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
        for (at, each) in addresses.iter().enumerate() {
            faults.extend(address(each, &format!("{path}.{field}[{at}]")));
        }
    }
    let ports = subset.ports.as_deref().unwrap_or_default();
    for (at, each) in ports.iter().enumerate() {
        faults.extend(port(each, ports.len() > 1, &format!("{path}.ports[{at}]")));
    }
    faults
}

fn address(address: &EndpointAddress, path: &str) -> Vec<Cause> {
    let mut faults = all(&format!("{path}.ip"), &address.ip, meta::ip(&address.ip));
    if let Some(name) = address.hostname.as_deref().filter(|name| !name.is_empty()) {
        faults.extend(all(&format!("{path}.hostname"), name, meta::dns_1123_label(name)));
    }
    if faults.is_empty() {
        faults.extend(not_special(&address.ip, &format!("{path}.ip")));
    }
    faults
}

/// Addresses that mean the machine itself are not for others to be sent to.
fn not_special(text: &str, path: &str) -> Vec<Cause> {
    let Ok(ip) = text.parse::<IpAddr>() else { return vec![] };
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let complaints = [
        (ip.is_unspecified(), "may not be unspecified (0.0.0.0 or ::)"),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (
            ip.is_multicast() && matches!(ip, IpAddr::V4(ip) if ip.octets()[..3] == [224, 0, 0]),
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    ];
    let bad = complaints.into_iter().filter(|(bad, _)| *bad);
    bad.map(|(_, complaint)| Cause::invalid(path, text, complaint)).collect()
}

fn port(port: &EndpointPort, named: bool, path: &str) -> Vec<Cause> {
    let name = port.name.as_deref().unwrap_or_default();
    let mut faults = vec![];
    if name.is_empty() {
        if named {
            faults.push(Cause::required(format!("{path}.name"), ""));
        }
    } else {
        faults.extend(all(&format!("{path}.name"), name, meta::dns_1123_label(name)));
    }
    faults.extend(number::port(&format!("{path}.port"), port.port));
    faults.extend(one_of(&format!("{path}.protocol"), port.protocol.as_deref(), PROTOCOLS));
    if let Some(protocol) = &port.app_protocol {
        let complaints = meta::qualified_name(protocol);
        faults.extend(all(&format!("{path}.appProtocol"), protocol, complaints));
    }
    faults
}

/// The faults of an EndpointSlice.
pub(crate) fn endpointslice(slice: &EndpointSlice) -> Vec<Cause> {
    let kind = slice.address_type.as_str();
    let mut faults: Vec<_> =
        one_of("addressType", Some(kind), &["FQDN", "IPv4", "IPv6"]).into_iter().collect();
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    if endpoints.len() > MAX_ENDPOINTS {
        faults.push(Cause::too_many("endpoints", endpoints.len(), MAX_ENDPOINTS));
        return faults;
    }
    for (at, each) in endpoints.iter().enumerate() {
        faults.extend(endpoint(each, kind, &format!("endpoints[{at}]")));
    }
    let ports = slice.ports.as_deref().unwrap_or_default();
    if ports.len() > MAX_PORTS {
        faults.push(Cause::too_many("ports", ports.len(), MAX_PORTS));
        return faults;
    }
    let mut names = HashSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = format!("ports[{at}]");
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            faults.extend(all(&format!("{path}.name"), name, meta::dns_1123_label(name)));
        }
        if !names.insert(name) {
            faults.push(Cause::duplicate(format!("{path}.name"), name));
        }
        if let Some(number) = port.port {
            faults.extend(number::port(&format!("{path}.port"), number));
        }
        faults.extend(one_of(&format!("{path}.protocol"), port.protocol.as_deref(), PROTOCOLS));
    }
    faults
}

fn endpoint(endpoint: &Endpoint, kind: &str, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let addresses = &endpoint.addresses;
    let of_addresses = format!("{path}.addresses");
    if addresses.is_empty() {
        faults.push(Cause::required(of_addresses, "must contain at least 1 address"));
    } else if addresses.len() > MAX_ADDRESSES {
        faults.push(Cause::too_many(of_addresses, addresses.len(), MAX_ADDRESSES));
    }
    for (at, address) in addresses.iter().enumerate() {
        let path = format!("{path}.addresses[{at}]");
        let parsed = address.parse::<IpAddr>();
        match kind {
            "IPv4" if !matches!(parsed, Ok(IpAddr::V4(_))) => {
                faults.push(Cause::invalid(path, address.as_str(), "must be an IPv4 address"));
            }
            "IPv6" if !matches!(parsed, Ok(IpAddr::V6(_))) => {
                faults.push(Cause::invalid(path, address.as_str(), "must be an IPv6 address"));
            }
            "IPv4" | "IPv6" => faults.extend(not_special(address, &path)),
            _ => faults.extend(all(&path, address, meta::dns_1123_subdomain(address))),
        }
    }
    let node = endpoint.node_name.as_deref();
    let names = [("nodeName", node), ("hostname", endpoint.hostname.as_deref())];
    for (field, name) in names {
        let Some(name) = name else { continue };
        let complaints = if field == "hostname" {
            meta::dns_1123_label(name)
        } else {
            meta::dns_1123_subdomain(name)
        };
        faults.extend(all(&format!("{path}.{field}"), name, complaints));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::json;

    #[test]
    fn of_services() {
        let good = object(json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}],
            "ports": [{"port": 80, "protocol": "TCP"}]}]}));
        assert_eq!(endpoints(&good), []);
        let bad = object(json!({"subsets": [{}, {"addresses": [{"ip": "127.0.0.1"}],
            "ports": [{"port": 0, "protocol": "TCP"}, {"port": 1, "name": "a", "protocol": "X"}]}]}));
        assert_eq!(
            lines(endpoints(&bad)),
            [
                "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
                "subsets[1].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                "subsets[1].ports[0].name: Required value",
                "subsets[1].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "subsets[1].ports[1].protocol: Unsupported value: \"X\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
            ]
        );
    }

    #[test]
    fn in_slices() {
        let bad = object(json!({"addressType": "IPv4",
            "endpoints": [{"addresses": []}, {"addresses": ["::1"]}],
            "ports": [{"name": "", "protocol": "TCP"}, {"name": "", "protocol": "TCP"}]}));
        assert_eq!(
            lines(endpointslice(&bad)),
            [
                "endpoints[0].addresses: Required value: must contain at least 1 address",
                "endpoints[1].addresses[0]: Invalid value: \"::1\": must be an IPv4 address",
                "ports[1].name: Duplicate value: \"\"",
            ]
        );
    }
}
