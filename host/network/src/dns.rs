//! Cluster names: which one a text can mean, and what each asks for. Pure.
//!
//! The forms are those of Kubernetes' DNS specification:
//! `<service>.<namespace>.svc.<domain>`, `<host>.<service>.<namespace>.svc.<domain>`,
//! `<address with dashes>.<namespace>.pod.<domain>`; a pod searches its own namespace's services,
//! then all services, then the domain.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Identity;

/// With this many dots or more a name is tried as it is before the search path is.
const NDOTS: usize = 5;

/// The longest name that DNS knows.
const MAX_NAME: usize = 253;

/// What a full name in the cluster's domain asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// A service.
    Service {
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        service: &'a str,
    },
    /// One endpoint of a service, by host name or by its address with dashes.
    Endpoint {
        /// The service's namespace.
        namespace: &'a str,
        /// The service's name.
        service: &'a str,
        /// The endpoint's host name.
        host: &'a str,
    },
    /// A pod, by its address.
    Pod(IpAddr),
}

/// Whether `name` has the form of a DNS name.
pub fn is_valid(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.len() <= MAX_NAME && name.split('.').all(label)
}

/// Whether the full name `name` lies in `domain`.
pub fn is_in(name: &str, domain: &str) -> bool {
    strip_suffix(name, domain).is_some()
}

/// The addresses of a name that needs no lookup: an address itself, or `localhost`.
pub fn literal(name: &str) -> Option<Vec<IpAddr>> {
    if let Ok(ip) = name.parse() {
        return Some(vec![ip]);
    }
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost").then(|| vec![Ipv4Addr::LOCALHOST.into()])
}

/// Whether `name` is what a pod calls itself: its host name, bare or in full under its subdomain.
pub fn is_own_name(name: &str, pod: &Identity, domain: &str) -> bool {
    let name = name.trim_end_matches('.');
    let full = pod
        .subdomain
        .as_ref()
        .map(|subdomain| format!("{}.{subdomain}.{}.svc.{domain}", pod.hostname, pod.namespace));
    !pod.hostname.is_empty()
        && (name.eq_ignore_ascii_case(&pod.hostname)
            || full.is_some_and(|full| name.eq_ignore_ascii_case(&full)))
}

/// The full names (lower case, without final dot) that `name` can mean to a pod of `namespace`,
/// in the order in which they are tried.
pub fn candidates(name: &str, namespace: &str, domain: &str) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    if let Some(full) = name.strip_suffix('.') {
        return if is_valid(full) { vec![full.to_owned()] } else { Vec::new() };
    }
    if !is_valid(&name) {
        return Vec::new();
    }
    let mut names = vec![
        format!("{name}.{namespace}.svc.{domain}"),
        format!("{name}.svc.{domain}"),
        format!("{name}.{domain}"),
    ];
    let as_it_is = if name.matches('.').count() >= NDOTS { 0 } else { names.len() };
    names.insert(as_it_is, name);
    names
}

/// What the full name `name` asks of `domain`; nothing if it is not of a known form.
pub fn question<'a>(name: &'a str, domain: &str) -> Option<Question<'a>> {
    let rest = strip_suffix(name, domain)?;
    if let Some(rest) = strip_suffix(rest, "svc") {
        let mut labels = rest.rsplit('.');
        let namespace = labels.next()?;
        let service = labels.next()?;
        return match (labels.next(), labels.next()) {
            (None, _) => Some(Question::Service { namespace, service }),
            (Some(host), None) => Some(Question::Endpoint { namespace, service, host }),
            _ => None,
        };
    }
    let (dashed, namespace) = strip_suffix(rest, "pod")?.split_once('.')?;
    if namespace.contains('.') {
        return None;
    }
    undash(dashed).map(Question::Pod)
}

/// An address as a label: `10-244-0-7`.
pub(crate) fn dash(ip: IpAddr) -> String {
    ip.to_string().replace(['.', ':'], "-")
}

fn undash(label: &str) -> Option<IpAddr> {
    let v4 = label.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::V4);
    v4.or_else(|_| label.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::V6)).ok()
}

/// `name` without `.suffix`.
fn strip_suffix<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    let cut = name.len().checked_sub(suffix.len())?;
    let (head, tail) = (name.get(..cut)?, name.get(cut..)?);
    if tail.eq_ignore_ascii_case(suffix) { head.strip_suffix('.') } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "cluster.local";

    fn service<'a>(namespace: &'a str, service: &'a str) -> Option<Question<'a>> {
        Some(Question::Service { namespace, service })
    }

    #[test]
    fn searches_in_order() {
        assert_eq!(
            candidates("Web", "shop", DOMAIN),
            ["web.shop.svc.cluster.local", "web.svc.cluster.local", "web.cluster.local", "web"]
        );
        assert_eq!(
            candidates("web-0.nginx.default.svc.cluster.local", "shop", DOMAIN)[0],
            "web-0.nginx.default.svc.cluster.local"
        );
        assert_eq!(candidates("example.org.", "shop", DOMAIN), ["example.org"]);
        for bad in ["", ".", "a..b", "a b", &"x".repeat(64), &"a.".repeat(130)] {
            assert_eq!(candidates(bad, "shop", DOMAIN), Vec::<String>::new(), "{bad:?}");
        }
    }

    #[test]
    fn asks_for_services_endpoints_and_pods() {
        assert_eq!(question("web.shop.svc.cluster.local", DOMAIN), service("shop", "web"));
        assert_eq!(
            question("web-0.nginx.default.svc.cluster.local", DOMAIN),
            Some(Question::Endpoint { namespace: "default", service: "nginx", host: "web-0" })
        );
        assert_eq!(
            question("10-244-1-7.shop.pod.cluster.local", DOMAIN),
            Some(Question::Pod([10, 244, 1, 7].into()))
        );
        assert_eq!(
            question("fd00--7.shop.pod.cluster.local", DOMAIN),
            Some(Question::Pod("fd00::7".parse().unwrap()))
        );
        for other in [
            "example.org",
            "cluster.local",
            "svc.cluster.local",
            "web.svc.cluster.local",
            "a.b.c.d.svc.cluster.local",
            "web.pod.cluster.local",
            "x.y.10-0-0-1.shop.pod.cluster.local",
            "webcluster.local",
        ] {
            assert_eq!(question(other, DOMAIN), None, "{other}");
        }
    }

    #[test]
    fn knows_its_own_names() {
        let pod = Identity {
            namespace: "shop".into(),
            hostname: "web-0".into(),
            subdomain: Some("nginx".into()),
            ..Identity::default()
        };
        for own in ["web-0", "WEB-0", "web-0.nginx.shop.svc.cluster.local."] {
            assert!(is_own_name(own, &pod, DOMAIN), "{own}");
        }
        assert!(!is_own_name("web-1", &pod, DOMAIN));
        assert!(!is_own_name("", &Identity::default(), DOMAIN));
    }

    #[test]
    fn needs_no_lookup_for_addresses() {
        assert_eq!(literal("10.0.0.1"), Some(vec![[10, 0, 0, 1].into()]));
        assert_eq!(literal("::1"), Some(vec![Ipv6Addr::LOCALHOST.into()]));
        assert_eq!(literal("localhost"), Some(vec![Ipv4Addr::LOCALHOST.into()]));
        assert_eq!(literal("web"), None);
    }
}
