//! Services.

use std::collections::HashSet;
use std::net::IpAddr;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use serde_json::json;

use super::meta::labels;
use super::{all, filled, number, one_of};

const HEADLESS: &str = "None";
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const POLICIES: &[&str] = &["Cluster", "Local"];
/// A day: the longest time for which a client may stay with one endpoint.
const AFFINITY_MAX: i32 = 86_400;

/// The faults of a service.
pub(crate) fn service(service: &Service) -> Vec<Cause> {
    let none = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&none);
    let kind = spec.type_.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let headless = spec.cluster_ip.as_deref() == Some(HEADLESS);
    let mut faults = vec![];
    if ports.is_empty() && !headless && kind != "ExternalName" {
        faults.push(Cause::required("spec.ports", ""));
    }
    match kind {
        "NodePort" | "LoadBalancer" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            faults.push(Cause::invalid("spec.clusterIPs[0]", HEADLESS, &detail));
        }
        "ExternalName" => faults.extend(external_name(spec)),
        _ => {}
    }
    faults.extend(names_and_numbers(ports));
    for (at, each) in ports.iter().enumerate() {
        faults.extend(port(each, kind, &format!("spec.ports[{at}]")));
    }
    faults.extend(labels(spec.selector.as_ref(), "spec.selector"));
    faults.extend(affinity(spec));
    faults.extend(addresses(spec, kind));
    faults.extend(one_of("spec.type", spec.type_.as_deref(), TYPES));
    faults.extend(policies(spec, kind));
    faults
}

fn external_name(spec: &ServiceSpec) -> Vec<Cause> {
    let mut faults = vec![];
    if spec.cluster_ips.as_ref().is_some_and(|ips| !ips.is_empty()) {
        let detail = "may not be set when type is 'ExternalName'";
        faults.push(Cause::forbidden("spec.clusterIPs", detail));
    }
    let name = spec.external_name.as_deref().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        faults.push(Cause::required("spec.externalName", ""));
    } else {
        faults.extend(all("spec.externalName", name, meta::dns_1123_subdomain(name)));
    }
    faults
}

/// What the ports of a service may not have in common.
fn names_and_numbers(ports: &[ServicePort]) -> Vec<Cause> {
    let mut faults = vec![];
    let (mut names, mut numbers, mut nodes) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (at, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{at}]");
        let name = port.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            if ports.len() > 1 {
                faults.push(Cause::required(format!("{path}.name"), ""));
            }
        } else {
            let misnamed = all(&format!("{path}.name"), name, meta::dns_1123_label(name));
            if misnamed.is_empty() && !names.insert(name) {
                faults.push(Cause::duplicate(format!("{path}.name"), name));
            }
            faults.extend(misnamed);
        }
        let protocol = port.protocol.as_deref().unwrap_or_default();
        if !numbers.insert((port.port, protocol)) {
            let value = json!({ "port": port.port, "protocol": protocol });
            faults.push(Cause::duplicate(path.as_str(), value));
        }
        let node = port.node_port.filter(|number| *number != 0);
        if let Some(node) = node.filter(|node| !nodes.insert((*node, protocol))) {
            faults.push(Cause::duplicate(format!("{path}.nodePort"), node));
        }
    }
    faults
}

fn port(port: &ServicePort, kind: &str, path: &str) -> Vec<Cause> {
    let mut faults = number::port(&format!("{path}.port"), port.port);
    faults.extend(one_of(&format!("{path}.protocol"), port.protocol.as_deref(), PROTOCOLS));
    if let Some(target) = &port.target_port {
        faults.extend(number::port_or_name(&format!("{path}.targetPort"), target));
    }
    if let Some(protocol) = port.app_protocol.as_deref() {
        let complaints = meta::qualified_name(protocol);
        faults.extend(all(&format!("{path}.appProtocol"), protocol, complaints));
    }
    if let Some(node) = port.node_port.filter(|number| *number != 0) {
        let path = format!("{path}.nodePort");
        if matches!(kind, "ClusterIP" | "ExternalName") {
            let detail = format!("may not be used when `type` is '{kind}'");
            faults.push(Cause::forbidden(path, &detail));
        } else {
            faults.extend(number::port(&path, node));
        }
    }
    faults
}

fn affinity(spec: &ServiceSpec) -> Vec<Cause> {
    let affinity = spec.session_affinity.as_deref();
    let mut faults: Vec<_> =
        one_of("spec.sessionAffinity", affinity, &["ClientIP", "None"]).into_iter().collect();
    if affinity == Some("ClientIP") {
        let config = spec.session_affinity_config.as_ref();
        let seconds = config.and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
        let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        match seconds {
            None => faults.push(Cause::required(path, "when session affinity type is ClientIP")),
            Some(seconds) if !(1..=AFFINITY_MAX).contains(&seconds) => {
                let detail = format!("must be greater than 0 and less than {AFFINITY_MAX}");
                faults.push(Cause::invalid(path, seconds, &detail));
            }
            Some(_) => {}
        }
    }
    faults
}

fn addresses(spec: &ServiceSpec, kind: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let ips = spec.cluster_ips.as_deref().unwrap_or_default();
    if kind != "ExternalName" {
        if filled(spec.cluster_ip.as_ref()) && spec.cluster_ip.as_ref() != ips.first() {
            let detail = "first value must match `clusterIP`";
            faults.push(Cause::invalid("spec.clusterIPs[0]", json!(ips), detail));
        }
        for (at, ip) in ips.iter().enumerate().filter(|(_, ip)| *ip != HEADLESS) {
            faults.extend(all(&format!("spec.clusterIPs[{at}]"), ip, meta::ip(ip)));
        }
        if ips.len() > 1 && ips.iter().any(|ip| ip == HEADLESS) {
            let detail = "'None' must be the first and only value";
            faults.push(Cause::invalid("spec.clusterIPs", json!(ips), detail));
        }
        faults.extend(families(spec));
    }
    for (at, ip) in spec.external_ips.iter().flatten().enumerate() {
        let path = format!("spec.externalIPs[{at}]");
        faults.extend(all(&path, ip, meta::ip(ip)));
        if ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            let detail = "may not be unspecified (0.0.0.0 or ::)";
            faults.push(Cause::invalid(path, ip.as_str(), detail));
        }
    }
    faults
}

/// The cluster is single-stack IPv4. Headless services without a selector may say what they like.
fn families(spec: &ServiceSpec) -> Vec<Cause> {
    let families = spec.ip_families.as_deref().unwrap_or_default();
    let policy = spec.ip_family_policy.as_deref();
    let mut faults = vec![];
    let selects = spec.selector.as_ref().is_some_and(|selector| !selector.is_empty());
    let free = spec.cluster_ip.as_deref() == Some(HEADLESS) && !selects;
    for (at, family) in families.iter().enumerate() {
        let path = format!("spec.ipFamilies[{at}]");
        match family.as_str() {
            "IPv4" => {}
            "IPv6" if free => {}
            "IPv6" => {
                faults.push(Cause::invalid(
                    path.as_str(),
                    "IPv6",
                    "not configured on this cluster",
                ));
            }
            other => {
                faults.push(Cause::not_supported(path.as_str(), other, &["IPv4", "IPv6"]));
            }
        }
        if families[..at].contains(family) {
            faults.push(Cause::duplicate(path, family.as_str()));
        }
    }
    let known = &["SingleStack", "PreferDualStack", "RequireDualStack"];
    if let Some(policy) = policy {
        faults.extend(one_of("spec.ipFamilyPolicy", Some(policy), known));
        if policy == "RequireDualStack" && !free {
            let detail = "this cluster is not configured for dual-stack services";
            faults.push(Cause::invalid("spec.ipFamilyPolicy", policy, detail));
        }
    }
    faults
}

fn policies(spec: &ServiceSpec, kind: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let exposed = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()));
    let external = spec.external_traffic_policy.as_deref().filter(|policy| !policy.is_empty());
    match external {
        Some(policy) if !exposed => {
            let detail = "may only be set for externally-accessible services";
            faults.push(Cause::invalid("spec.externalTrafficPolicy", policy, detail));
        }
        Some(policy) => faults.extend(one_of("spec.externalTrafficPolicy", Some(policy), POLICIES)),
        None => {}
    }
    if let Some(policy) = spec.internal_traffic_policy.as_deref() {
        faults.extend(one_of("spec.internalTrafficPolicy", Some(policy), POLICIES));
    }
    faults
}

/// The faults of a service's change: its address stays.
pub(crate) fn service_update(new: &Service, old: &Service) -> Vec<Cause> {
    let none = ServiceSpec::default();
    let (new, old) = (new.spec.as_ref().unwrap_or(&none), old.spec.as_ref().unwrap_or(&none));
    let has_address = |spec: &ServiceSpec| spec.type_.as_deref() != Some("ExternalName");
    if has_address(new)
        && has_address(old)
        && filled(old.cluster_ip.as_ref())
        && new.cluster_ip != old.cluster_ip
    {
        let value = json!(new.cluster_ips);
        return vec![Cause::invalid("spec.clusterIPs[0]", value, "may not change once set")];
    }
    vec![]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::Value;

    fn of(spec: Value) -> Service {
        let mut service: Service = object(json!({ "spec": spec }));
        service.default_fields();
        service.prepare_create();
        service
    }

    fn faults(spec: Value) -> Vec<String> {
        lines(service(&of(spec)))
    }

    #[test]
    fn good() {
        for spec in [
            json!({"ports": [{"port": 80}], "selector": {"a": "b"}}),
            json!({"ports": [{"port": 80, "nodePort": 30080}], "type": "NodePort"}),
            json!({"clusterIP": "None"}),
            json!({"type": "ExternalName", "externalName": "example.com."}),
            json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}]}),
        ] {
            assert_eq!(faults(spec.clone()), Vec::<String>::new(), "{spec}");
        }
    }

    #[test]
    fn bad() {
        for (spec, expected) in [
            (json!({}), "spec.ports: Required value"),
            (
                json!({"ports": [{"port": 80, "nodePort": 30080}]}),
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
            (
                json!({"ports": [{"port": 0, "targetPort": 1}]}),
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                json!({"ports": [{"port": 1}, {"name": "b", "port": 2}]}),
                "spec.ports[0].name: Required value",
            ),
            (json!({"type": "ExternalName"}), "spec.externalName: Required value"),
            (
                json!({"type": "X", "ports": [{"port": 1}]}),
                "spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ),
            (
                json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 1}]}),
                "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
            ),
            (
                json!({"ports": [{"port": 1}], "sessionAffinity": "x"}),
                "spec.sessionAffinity: Unsupported value: \"x\": supported values: \"ClientIP\", \"None\"",
            ),
            (
                json!({"ports": [{"port": 1}], "ipFamilies": ["IPv6"]}),
                "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
            ),
        ] {
            let found = faults(spec.clone());
            assert!(found.contains(&expected.to_owned()), "{spec}: {found:?}");
        }
    }

    #[test]
    fn addresses_stay() {
        let at = |ip: &str| of(json!({"ports": [{"port": 1}], "clusterIP": ip}));
        assert_eq!(service_update(&at("10.96.0.1"), &at("10.96.0.1")), []);
        assert_eq!(
            lines(service_update(&at("10.96.0.2"), &at("10.96.0.1"))),
            ["spec.clusterIPs[0]: Invalid value: [\"10.96.0.2\"]: may not change once set"]
        );
    }
}
