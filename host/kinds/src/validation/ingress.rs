//! Ingresses and their classes.

use std::net::IpAddr;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressClass, IngressClassParametersReference,
    IngressRule, IngressServiceBackend, IngressTLS,
};
use serde_json::json;

use super::{all, immutable, number};

/// The older way to name an Ingress's class.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const MAX_CONTROLLER: usize = 250;
const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
/// What a path that is compared part by part may not have in it, or at its end.
const BAD_SEQUENCES: &[&str] = &["//", "/./", "/../", "%2f", "%2F"];
const BAD_SUFFIXES: &[&str] = &["/..", "/."];
const SCOPES: &[&str] = &["Cluster", "Namespace"];

/// The faults of an Ingress.
pub(crate) fn ingress(ingress: &Ingress) -> Vec<Cause> {
    let spec = ingress.spec.clone().unwrap_or_default();
    let rules = spec.rules.as_deref().unwrap_or_default();
    let mut faults = vec![];
    if rules.is_empty() && spec.default_backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        faults.push(Cause::invalid("spec", json!(spec.rules), detail));
    }
    if let Some(default) = &spec.default_backend {
        faults.extend(backend(default, "spec.defaultBackend"));
    }
    for (at, each) in rules.iter().enumerate() {
        faults.extend(rule(each, &format!("spec.rules[{at}]")));
    }
    for (at, each) in spec.tls.iter().flatten().enumerate() {
        faults.extend(tls(each, &format!("spec.tls[{at}]")));
    }
    if let Some(class) = &spec.ingress_class_name {
        faults.extend(all("spec.ingressClassName", class, meta::dns_1123_subdomain(class)));
    }
    faults
}

/// The faults of a new Ingress that an older one may have.
pub(crate) fn ingress_create(ingress: &Ingress) -> Option<Cause> {
    let annotated = ingress.metadata.annotations.as_ref()?.get(CLASS_ANNOTATION)?;
    let class = ingress.spec.as_ref()?.ingress_class_name.as_ref()?;
    let detail = "must match `ingressClassName` when both are specified";
    let path = format!("annotations.{CLASS_ANNOTATION}");
    (annotated != class).then(|| Cause::invalid(path, annotated.as_str(), detail))
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn host(host: &str, path: &str) -> Vec<Cause> {
    let complaints = if host.contains('*') {
        meta::wildcard_dns_1123_subdomain(host)
    } else {
        meta::dns_1123_subdomain(host)
    };
    all(path, host, complaints)
}

fn tls(tls: &IngressTLS, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, name) in tls.hosts.iter().flatten().enumerate() {
        faults.extend(host(name, &format!("{path}.hosts[{at}]")));
    }
    if let Some(secret) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) {
        faults.extend(all(&format!("{path}.secretName"), secret, meta::dns_1123_subdomain(secret)));
    }
    faults
}

fn rule(rule: &IngressRule, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if let Some(name) = rule.host.as_deref().filter(|name| !name.is_empty()) {
        let path = format!("{path}.host");
        if is_ip(name) {
            let detail = "must be a DNS name, not an IP address";
            faults.push(Cause::invalid(path.as_str(), name, detail));
        }
        faults.extend(host(name, &path));
    }
    let Some(http) = &rule.http else { return faults };
    let path = format!("{path}.http.paths");
    if http.paths.is_empty() {
        faults.push(Cause::required(path.as_str(), ""));
    }
    for (at, each) in http.paths.iter().enumerate() {
        faults.extend(http_path(each, &format!("{path}[{at}]")));
    }
    faults
}

fn http_path(rule: &HTTPIngressPath, path: &str) -> Vec<Cause> {
    let text = rule.path.as_deref().unwrap_or_default();
    let of_path = format!("{path}.path");
    let mut faults = vec![];
    let mut refuse = |detail: &str| faults.push(Cause::invalid(of_path.as_str(), text, detail));
    match rule.path_type.as_str() {
        "" => {
            let path = format!("{path}.pathType");
            return vec![Cause::required(path, "pathType must be specified")];
        }
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                refuse("must be an absolute path");
            }
            for bad in BAD_SEQUENCES.iter().filter(|bad| text.contains(**bad)) {
                refuse(&format!("must not contain '{bad}'"));
            }
            for bad in BAD_SUFFIXES.iter().filter(|bad| text.ends_with(**bad)) {
                refuse(&format!("cannot end with '{bad}'"));
            }
        }
        "ImplementationSpecific" if !text.is_empty() && !text.starts_with('/') => {
            refuse("must be an absolute path");
        }
        "ImplementationSpecific" => {}
        other => {
            faults.push(Cause::not_supported(format!("{path}.pathType"), other, PATH_TYPES));
        }
    }
    faults.extend(backend(&rule.backend, &format!("{path}.backend")));
    faults
}

fn backend(backend: &IngressBackend, path: &str) -> Vec<Cause> {
    match (&backend.resource, &backend.service) {
        (Some(_), Some(_)) => {
            let detail = "cannot set both resource and service backends";
            vec![Cause::invalid(path, "", detail)]
        }
        (Some(resource), None) => object_reference(resource, &format!("{path}.resource")),
        (None, Some(service)) => service_backend(service, path),
        (None, None) => {
            vec![Cause::invalid(path, "", "resource or service backend is required")]
        }
    }
}

fn service_backend(service: &IngressServiceBackend, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let of_name = format!("{path}.service.name");
    if service.name.is_empty() {
        faults.push(Cause::required(of_name, ""));
    } else {
        // Services may be named by any label since names of that kind were relaxed.
        faults.extend(all(&of_name, &service.name, meta::dns_1123_label(&service.name)));
    }
    let port = service.port.clone().unwrap_or_default();
    let name = port.name.as_deref().unwrap_or_default();
    let of_port = format!("{path}.service.port");
    match (name, port.number.unwrap_or(0)) {
        ("", 0) => faults.push(Cause::required(path, "port name or number is required")),
        ("", number) => faults.extend(number::port(&format!("{of_port}.number"), number)),
        (name, 0) => faults.extend(all(&format!("{of_port}.name"), name, meta::port_name(name))),
        _ => faults.push(Cause::invalid(path, "", "cannot set both port name & port number")),
    }
    faults
}

fn object_reference(reference: &TypedLocalObjectReference, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if let Some(group) = reference.api_group.as_deref() {
        faults.extend(all(&format!("{path}.apiGroup"), group, meta::dns_1123_subdomain(group)));
    }
    for (field, text) in [("kind", &reference.kind), ("name", &reference.name)] {
        let path = format!("{path}.{field}");
        if text.is_empty() {
            faults.push(Cause::required(path, ""));
        } else {
            faults.extend(all(&path, text, meta::path_segment(text)));
        }
    }
    faults
}

/// The faults of an Ingress's status.
pub(crate) fn ingress_status(ingress: &Ingress) -> Vec<Cause> {
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let points = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let mut faults = vec![];
    for (at, point) in points.iter().enumerate() {
        let path = format!("status.loadBalancer.ingress[{at}]");
        if let Some(ip) = point.ip.as_deref().filter(|ip| !ip.is_empty()) {
            faults.extend(all(&format!("{path}.ip"), ip, meta::ip(ip)));
        }
        if let Some(name) = point.hostname.as_deref().filter(|name| !name.is_empty()) {
            let path = format!("{path}.hostname");
            faults.extend(all(&path, name, meta::dns_1123_subdomain(name)));
            if is_ip(name) {
                let detail = "must be a DNS name, not an IP address";
                faults.push(Cause::invalid(path, name, detail));
            }
        }
    }
    faults
}

/// The faults of an IngressClass.
pub(crate) fn ingress_class(class: &IngressClass) -> Vec<Cause> {
    let spec = class.spec.clone().unwrap_or_default();
    let controller = spec.controller.as_deref().unwrap_or_default();
    let path = "spec.controller";
    let mut faults = vec![];
    if controller.is_empty() {
        faults.push(Cause::required(path, ""));
    } else {
        if controller.len() > MAX_CONTROLLER {
            faults.push(Cause::too_long(path, MAX_CONTROLLER));
        }
        faults.extend(domain_prefixed(controller, path));
    }
    if let Some(reference) = &spec.parameters {
        faults.extend(class_parameters(reference, "spec.parameters"));
    }
    faults
}

/// A path behind a domain, as in `acme.io/foo`.
fn domain_prefixed(text: &str, path: &str) -> Vec<Cause> {
    let parts = text.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty());
    let Some((host, rest)) = parts else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return vec![Cause::invalid(path, text, detail)];
    };
    let mut faults = all(path, host, meta::dns_1123_subdomain(host));
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !rest.bytes().all(inner) {
        let detail =
            "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        faults.push(Cause::invalid(path, rest, detail));
    }
    faults
}

fn class_parameters(reference: &IngressClassParametersReference, path: &str) -> Vec<Cause> {
    let object = TypedLocalObjectReference {
        api_group: reference.api_group.clone(),
        kind: reference.kind.clone(),
        name: reference.name.clone(),
    };
    let mut faults = object_reference(&object, path);
    let of_namespace = format!("{path}.namespace");
    match (reference.scope.as_deref(), reference.namespace.as_deref()) {
        (None, _) => faults.push(Cause::required(format!("{path}.scope"), "")),
        (Some("Namespace"), None) => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            faults.push(Cause::required(of_namespace, detail));
        }
        (Some("Namespace"), Some(namespace)) => {
            faults.extend(all(&of_namespace, namespace, meta::dns_1123_label(namespace)));
        }
        (Some("Cluster"), Some(_)) => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            faults.push(Cause::forbidden(of_namespace, detail));
        }
        (Some("Cluster"), None) => {}
        (Some(other), _) => {
            faults.push(Cause::not_supported(format!("{path}.scope"), other, SCOPES));
        }
    }
    faults
}

/// The faults of an IngressClass's change.
pub(crate) fn ingress_class_update(new: &IngressClass, old: &IngressClass) -> Vec<Cause> {
    let controller = |class: &IngressClass| {
        class.spec.as_ref().and_then(|spec| spec.controller.clone()).unwrap_or_default()
    };
    immutable("spec.controller", &controller(new), &controller(old))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    fn service() -> Value {
        json!({"service": {"name": "web", "port": {"number": 80}}})
    }

    fn of_path(path: Value) -> Vec<String> {
        let mut whole = json!({"path": "/", "pathType": "Prefix", "backend": service()});
        json_patch::merge(&mut whole, &path);
        let spec = json!({"rules": [{"host": "a.b", "http": {"paths": [whole]}}]});
        lines(ingress(&object(json!({ "spec": spec }))))
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            (json!({}), &[][..]),
            (json!({"pathType": "ImplementationSpecific", "path": null}), &[]),
            (json!({"pathType": null}), &["pathType: Required value: pathType must be specified"]),
            (
                json!({"pathType": "X"}),
                &[
                    "pathType: Unsupported value: \"X\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\"",
                ],
            ),
            (
                json!({"path": "a//b/.."}),
                &[
                    "path: Invalid value: \"a//b/..\": must be an absolute path",
                    "path: Invalid value: \"a//b/..\": must not contain '//'",
                    "path: Invalid value: \"a//b/..\": cannot end with '/..'",
                ],
            ),
            (
                json!({"backend": {"service": null}}),
                &["backend: Invalid value: \"\": resource or service backend is required"],
            ),
            (
                json!({"backend": {"service": {"name": "", "port": {"name": "http"}}}}),
                &[
                    "backend.service.name: Required value",
                    "backend: Invalid value: \"\": cannot set both port name & port number",
                ],
            ),
            (
                json!({"backend": {"service": {"port": {"number": null}}}}),
                &["backend: Required value: port name or number is required"],
            ),
            (
                json!({"backend": {"service": {"port": {"number": 70000}}}}),
                &[
                    "backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                json!({"backend": {"service": null, "resource": {"kind": "", "name": "a/b"}}}),
                &[
                    "backend.resource.kind: Required value",
                    "backend.resource.name: Invalid value: \"a/b\": may not contain '/'",
                ],
            ),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|line| format!("spec.rules[0].http.paths[0].{line}")).collect();
            assert_eq!(of_path(path.clone()), expected, "{path}");
        }
    }

    #[test]
    fn hosts_and_secrets() {
        let of = |spec: Value| lines(ingress(&object(json!({ "spec": spec }))));
        assert_eq!(
            of(json!({})),
            ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]
        );
        assert_eq!(
            of(json!({"defaultBackend": service(), "tls": [{"hosts": ["*.a.b"]}]})).len(),
            0
        );
        let bad = of(json!({"defaultBackend": service(), "ingressClassName": "A",
            "rules": [{"host": "10.0.0.1"}, {"host": "*"}],
            "tls": [{"hosts": ["A"], "secretName": "B"}]}));
        let paths: Vec<_> = bad.iter().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "spec.rules[0].host",
                "spec.rules[1].host",
                "spec.tls[0].hosts[0]",
                "spec.tls[0].secretName",
                "spec.ingressClassName"
            ]
        );
        let status = object(
            json!({"status": {"loadBalancer": {"ingress": [{"ip": "x"}, {"hostname": "::1"}]}}}),
        );
        assert_eq!(lines(ingress_status(&status)).len(), 3);
        let both = object(json!({"metadata": {"annotations": {CLASS_ANNOTATION: "a"}},
            "spec": {"ingressClassName": "b"}}));
        assert_eq!(
            lines(ingress_create(&both).into_iter().collect()),
            [
                "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified"
            ]
        );
    }

    #[test]
    fn classes() {
        let of = |spec: Value| lines(ingress_class(&object(json!({ "spec": spec }))));
        assert_eq!(of(json!({"controller": "a.b/c"})), Vec::<String>::new());
        assert_eq!(of(json!({})), ["spec.controller: Required value"]);
        assert_eq!(
            of(json!({"controller": "a"})),
            [
                "spec.controller: Invalid value: \"a\": must be a domain-prefixed path (such as \"acme.io/foo\")"
            ]
        );
        let with = |more: Value| {
            let mut parameters = json!({"kind": "K", "name": "n"});
            json_patch::merge(&mut parameters, &more);
            of(json!({"controller": "a/c", "parameters": parameters}))
        };
        assert_eq!(with(json!({"scope": "Cluster"})), Vec::<String>::new());
        assert_eq!(with(json!({})), ["spec.parameters.scope: Required value"]);
        assert_eq!(
            with(json!({"scope": "Namespace"})),
            ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"]
        );
        assert_eq!(
            with(json!({"scope": "Cluster", "namespace": "a"})),
            ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]
        );
    }
}
