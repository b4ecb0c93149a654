//! What hangs on objects of a kind: one table for routing and discovery.

use crate::registry::{ApiResource, Kind};

/// One subresource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subresource<'a> {
    pub(crate) name: &'static str,
    /// The kind of its bodies, with group and version where they are not those of the object.
    pub(crate) kind: &'a str,
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) verbs: &'static [&'static str],
}

const CREATED: &[&str] = &["create"];
/// Whatever a request's method may be.
const PASSED_ON: &[&str] = &["create", "delete", "get", "patch", "update"];
const CHANGED: &[&str] = &["get", "patch", "update"];

/// The subresources of `kind`, in alphabetical order.
pub(crate) fn of(kind: &dyn Kind) -> Vec<Subresource<'_>> {
    let names = kind.names();
    let ApiResource { kind: own, group, version, .. } = names;
    let mut found = vec![];
    if &**group == "certificates.k8s.io" && &*names.plural == "certificatesigningrequests" {
        found.push(Subresource { name: "approval", kind: own, group, version, verbs: CHANGED });
    }
    if group.is_empty() && &*names.plural == "pods" {
        found.push(Subresource {
            name: "binding",
            kind: "Binding",
            group,
            version,
            verbs: CREATED,
        });
        let name = "ephemeralcontainers";
        found.push(Subresource { name, kind: own, group, version, verbs: CHANGED });
        let (kind, group, version) = ("Eviction", "policy", "v1");
        found.push(Subresource { name: "eviction", kind, group, version, verbs: CREATED });
    }
    if group.is_empty() && &*names.plural == "namespaces" {
        found.push(Subresource { name: "finalize", kind: own, group, version, verbs: &["update"] });
    }
    if group.is_empty() && &*names.plural == "pods" {
        found.push(Subresource { name: "log", kind: own, group, version, verbs: &["get"] });
    }
    let options = match (&**group, &*names.plural) {
        ("", "nodes") => Some("NodeProxyOptions"),
        ("", "pods") => Some("PodProxyOptions"),
        ("", "services") => Some("ServiceProxyOptions"),
        _ => None,
    };
    if let Some(kind) = options {
        found.push(Subresource { name: "proxy", kind, group, version, verbs: PASSED_ON });
    }
    if kind.rules().scalable {
        let (kind, group, version) = ("Scale", "autoscaling", "v1");
        found.push(Subresource { name: "scale", kind, group, version, verbs: CHANGED });
    }
    if group.is_empty() && &*names.plural == "serviceaccounts" {
        let (kind, group, version) = ("TokenRequest", "authentication.k8s.io", "v1");
        found.push(Subresource { name: "token", kind, group, version, verbs: CREATED });
    }
    if names.status {
        found.push(Subresource { name: "status", kind: own, group, version, verbs: CHANGED });
    }
    found
}
