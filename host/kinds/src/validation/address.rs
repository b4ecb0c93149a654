//! Addresses of Services and the ranges that they come from.

use std::net::IpAddr;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use serde_json::json;

use super::{all, immutable};

/// The name of an IPAddress: the address.
pub(crate) fn ip_address_name(name: &str) -> Vec<String> {
    match name.parse::<IpAddr>() {
        Err(_) => meta::ip(name),
        Ok(ip) if ip.to_string() != name => {
            vec![format!("must be in canonical form ({:?})", ip.to_string())]
        }
        Ok(_) => vec![],
    }
}

/// The faults of an IPAddress.
pub(crate) fn ip_address(address: &IPAddress) -> Vec<Cause> {
    let parent = &address.spec.parent_ref;
    let path = "spec.parentRef";
    let mut faults = vec![];
    if let Some(group) = parent.group.as_deref().filter(|group| !group.is_empty()) {
        faults.extend(all(&format!("{path}.group"), group, meta::dns_1123_subdomain(group)));
    }
    for (field, text) in [("resource", &parent.resource), ("name", &parent.name)] {
        let path = format!("{path}.{field}");
        if text.is_empty() {
            faults.push(Cause::required(path, ""));
        } else {
            faults.extend(all(&path, text, meta::path_segment(text)));
        }
    }
    if let Some(namespace) = parent.namespace.as_deref() {
        faults.extend(all(&format!("{path}.namespace"), namespace, meta::path_segment(namespace)));
    }
    faults
}

/// The faults of an IPAddress's change.
pub(crate) fn ip_address_update(new: &IPAddress, old: &IPAddress) -> Vec<Cause> {
    immutable("spec.parentRef", &new.spec.parent_ref, &old.spec.parent_ref)
}

fn ranges(range: &ServiceCIDR) -> &[String] {
    range.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default()
}

/// The faults of a ServiceCIDR.
pub(crate) fn service_cidr(range: &ServiceCIDR) -> Vec<Cause> {
    let path = "spec.cidrs";
    let cidrs = ranges(range);
    match cidrs.len() {
        0 => return vec![Cause::required(path, "at least one CIDR required")],
        1 | 2 => {}
        _ => {
            let detail = "may only hold up to 2 values";
            return vec![Cause::invalid(path, json!({ "CIDRs": cidrs }), detail)];
        }
    }
    let mut faults = vec![];
    for (at, text) in cidrs.iter().enumerate() {
        let path = format!("{path}[{at}]");
        faults.extend(all(&path, text, meta::cidr(text)));
        if let Some((ip, bits)) = meta::network(text)
            && host_bits(ip, bits)
        {
            let detail = "must not have bits set beyond the prefix length";
            faults.push(Cause::invalid(path, text.as_str(), detail));
        }
    }
    let family = |text: &String| meta::network(text).map(|(ip, _)| ip.is_ipv4());
    if let [first, second] = cidrs
        && family(first).is_some()
        && family(first) == family(second)
    {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and \
                      2001:db8::/64";
        faults.push(Cause::invalid(path, json!(cidrs), detail));
    }
    faults
}

/// Whether an address says more than its prefix.
fn host_bits(ip: IpAddr, bits: u8) -> bool {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).checked_shl(bits.into()).unwrap_or(0) != 0,
        IpAddr::V6(ip) => u128::from(ip).checked_shl(bits.into()).unwrap_or(0) != 0,
    }
}

/// The faults of a ServiceCIDR's change: a range stays, another family may join it.
pub(crate) fn service_cidr_update(new: &ServiceCIDR, old: &ServiceCIDR) -> Vec<Cause> {
    let (new, old) = (ranges(new), ranges(old));
    let grown = old.len() == 1 && new.len() == 2;
    if new.len() != old.len() && !grown {
        return vec![Cause::invalid("spec.cidrs", json!(new), "field is immutable")];
    }
    let both = new.iter().zip(old).enumerate();
    let faults = both.map(|(at, (new, old))| immutable(&format!("spec.cidrs[{at}]"), new, old));
    faults.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;

    #[test]
    fn addresses() {
        assert!(ip_address_name("10.0.0.1").is_empty());
        assert_eq!(ip_address_name("2001:DB8::1"), ["must be in canonical form (\"2001:db8::1\")"]);
        assert_eq!(ip_address_name("x").len(), 1);
        let bad = object(json!({"spec": {"parentRef": {"resource": "services", "group": "A"}}}));
        let found = lines(ip_address(&bad));
        assert!(found[0].starts_with("spec.parentRef.group: Invalid value: \"A\""));
        assert_eq!(found[1], "spec.parentRef.name: Required value");
    }

    #[test]
    fn service_ranges() {
        let of = |cidrs: &[&str]| object::<ServiceCIDR>(json!({"spec": {"cidrs": cidrs}}));
        assert_eq!(service_cidr(&of(&["10.0.0.0/8", "2001:db8::/64"])), []);
        for (cidrs, expected) in [
            (&[][..], "spec.cidrs: Required value: at least one CIDR required"),
            (
                &["10.0.0.1/8"],
                "spec.cidrs[0]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length",
            ),
            (
                &["x"],
                "spec.cidrs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ),
            (
                &["10.0.0.0/8", "11.0.0.0/8"],
                "spec.cidrs: Invalid value: [\"10.0.0.0/8\",\"11.0.0.0/8\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ),
        ] {
            assert_eq!(lines(service_cidr(&of(cidrs))), [expected]);
        }
        let one = of(&["10.0.0.0/8"]);
        assert_eq!(service_cidr_update(&of(&["10.0.0.0/8", "2001:db8::/64"]), &one), []);
        assert_eq!(
            lines(service_cidr_update(&of(&["11.0.0.0/8"]), &one)),
            ["spec.cidrs[0]: Invalid value: \"11.0.0.0/8\": field is immutable"]
        );
        assert_eq!(service_cidr_update(&of(&[]), &one).len(), 1);
    }
}
