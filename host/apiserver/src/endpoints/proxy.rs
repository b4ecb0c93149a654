//! `proxy`: whatever is asked of a pod, a Service or a node, passed on to it. Services and pods are
//! found by their addresses on the pod network, nodes are their agents' HTTP interface.

use std::net::IpAddr;

use axum::body::Body;
use coracle_api::dice;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use k8s_openapi::api::admissionregistration::v1::ServiceReference;
use k8s_openapi::api::core::v1::Pod;

use crate::error::{ApiError, Reason, Result};
use crate::registry::{ApiResource, Kind, key};
use crate::request::Target;
use crate::server::Server;
use crate::upstream::{self, is_ready, is_upgrade, relay};

/// The port of nodes' agents.
const KUBELET: &str = "10250";

/// Whether a request is for something behind an object, rather than for the object.
pub(crate) fn is_proxied(names: &ApiResource, target: &Target) -> bool {
    target.subresource == "proxy"
        && names.group.is_empty()
        && matches!(&*names.plural, "nodes" | "pods" | "services")
}

/// Passes a request on.
pub(crate) async fn proxy(
    server: &Server,
    kind: &dyn Kind,
    target: &Target,
    mut request: Request<Body>,
) -> Result<Response<Body>> {
    let plural = &*kind.names().plural;
    if target.name.is_empty() || (plural == "nodes") != target.namespace.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let invalid = || {
        let resource = plural.trim_end_matches('s');
        ApiError::bad_request(format!("invalid {resource} request {:?}", target.name))
    };
    let asked = Asked::read(&target.name).ok_or_else(invalid)?;
    let path = request.uri().path();
    // `/api/v1/namespaces/<namespace>/pods/<name>/proxy`, and what follows.
    let rest = behind(path, if target.namespace.is_empty() { 5 } else { 7 });
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if rest.is_empty() && reads && !is_upgrade(request.headers()) {
        return moved(&format!("{path}/{query}"));
    }
    let rest = if rest.is_empty() { "/" } else { rest };
    let onward = format!("{rest}{query}");
    if plural == "nodes" {
        *request.uri_mut() = onward.parse().map_err(|_| invalid())?;
        return node(server, kind, &asked, request).await;
    }
    let host = match plural {
        "pods" => pod(server, kind, &target.namespace, &asked).await?,
        _ => endpoint(server, kind, target, &asked).await?,
    };
    let scheme = if asked.scheme.is_empty() { "http" } else { asked.scheme };
    let url: Uri = format!("{scheme}://{host}{onward}").parse().map_err(|_| invalid())?;
    // Whoever is there is told by which name he was asked for.
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    if let Some(Ok(host)) = authority.map(HeaderValue::try_from) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    let upstream = server.pods.as_ref().map_err(ApiError::internal)?;
    relay(server, upstream, url, request).await.map_err(|why| unavailable(unreachable(&why)))
}

/// What the name in the path asks for: `name`, `name:port` or `scheme:name:port`.
struct Asked<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

impl<'a> Asked<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let parts: Vec<_> = text.split(':').collect();
        let asked = match *parts.as_slice() {
            [name] => Self { scheme: "", name, port: "" },
            [name, port] => Self { scheme: "", name, port },
            [scheme, name, port] => Self { scheme, name, port },
            _ => return None,
        };
        (matches!(asked.scheme, "" | "http" | "https") && !asked.name.is_empty()).then_some(asked)
    }
}

/// A path without its first segments.
fn behind(path: &str, segments: usize) -> &str {
    let mut rest = path;
    for _ in 0..segments {
        rest = rest.trim_start_matches('/');
        rest = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).map_or("", |(_, r)| r);
    }
    rest
}

/// Documents refer to each other by paths, which only make sense from a folder.
fn moved(to: &str) -> Result<Response<Body>> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let to = HeaderValue::try_from(to).map_err(ApiError::internal)?;
    response.headers_mut().insert(header::LOCATION, to);
    Ok(response)
}

fn unreachable(why: &str) -> String {
    format!("error trying to reach service: {why}")
}

fn unavailable(why: String) -> ApiError {
    ApiError::new(Reason::ServiceUnavailable, why)
}

/// An address that may be asked: of the pod network, and not of whoever asks.
fn host(address: &str, port: &str) -> Result<String> {
    let refused = || ApiError::bad_request("address not allowed");
    let ip: IpAddr = address.parse().map_err(|_| refused())?;
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return Err(refused());
    }
    let ip = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    Ok(if port.is_empty() { ip } else { format!("{ip}:{port}") })
}

/// Where a pod serves: `pod.ResourceLocation`.
async fn pod(
    server: &Server,
    kind: &dyn Kind,
    namespace: &str,
    asked: &Asked<'_>,
) -> Result<String> {
    let names = kind.names();
    let entry = server.store.get(&key(names, namespace, asked.name)).await?;
    let entry =
        entry.ok_or_else(|| ApiError::not_found(&names.group, &names.plural, asked.name))?;
    let pod: Pod = serde_json::from_slice(&entry.value).map_err(ApiError::internal)?;
    let status = pod.status.unwrap_or_default();
    let first = status.pod_ips.into_iter().flatten().next().map(|ip| ip.ip);
    let address = first.or(status.pod_ip).unwrap_or_default();
    if !asked.port.is_empty() {
        return host(&address, asked.port);
    }
    let containers = pod.spec.map(|spec| spec.containers).unwrap_or_default();
    let mut ports = containers.iter().filter_map(|own| own.ports.as_ref()?.first());
    let port = ports.next().map(|port| port.container_port.to_string());
    host(&address, &port.unwrap_or_default())
}

/// Where one of a Service's endpoints serves: `service.ResourceLocation`.
async fn endpoint(
    server: &Server,
    kind: &dyn Kind,
    target: &Target,
    asked: &Asked<'_>,
) -> Result<String> {
    let names = kind.names();
    let reference = ServiceReference {
        namespace: target.namespace.clone(),
        name: asked.name.to_owned(),
        ..ServiceReference::default()
    };
    let service = upstream::find(server, &reference).await?;
    let service =
        service.ok_or_else(|| ApiError::not_found(&names.group, &names.plural, asked.name))?;
    let mut port = asked.port.to_owned();
    if let Ok(number) = asked.port.parse::<i32>() {
        let spec = service.spec.unwrap_or_default();
        let known = spec.ports.into_iter().flatten().find(|port| port.port == number);
        let name = asked.name;
        let missing = || format!("no service port {number} found for service {name:?}");
        port = known.ok_or_else(|| unavailable(missing()))?.name.unwrap_or_default();
    }
    let slices = upstream::slices(server, &target.namespace, asked.name).await?;
    let mut hosts = vec![];
    for slice in &slices {
        let ports = slice.ports.iter().flatten();
        let mut fitting =
            ports.filter(|own| own.name.as_deref().unwrap_or_default() == port).take(1);
        let Some(number) = fitting.next().and_then(|own| own.port) else { continue };
        for endpoint in slice.endpoints.iter().flatten().filter(|own| is_ready(own)) {
            hosts.extend(endpoint.addresses.first().map(|address| (address, number)));
        }
    }
    if hosts.is_empty() {
        let name = if slices.is_empty() { asked.name } else { &target.name };
        return Err(unavailable(format!("no endpoints available for service {name:?}")));
    }
    let (address, number) = hosts.swap_remove(dice::below(hosts.len()));
    host(address, &number.to_string())
}

/// Asks a node's agent.
async fn node(
    server: &Server,
    kind: &dyn Kind,
    asked: &Asked<'_>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let names = kind.names();
    if server.store.get(&key(names, "", asked.name)).await?.is_none() {
        return Err(ApiError::not_found(&names.group, &names.plural, asked.name));
    }
    if !matches!(asked.port, "" | KUBELET) {
        let why = format!("node {:?} serves on port {KUBELET} only", asked.name);
        return Err(unavailable(unreachable(&why)));
    }
    let answer = server.kubelets.call(asked.name, request).await;
    answer.map_err(|error| unavailable(unreachable(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_scheme_and_port() {
        for (text, expected) in [
            ("a", Some(("", "a", ""))),
            ("a:80", Some(("", "a", "80"))),
            ("https:a:", Some(("https", "a", ""))),
            ("http:a:web", Some(("http", "a", "web"))),
            ("ftp:a:21", None),
            (":80", None),
            ("a:b:c:d", None),
        ] {
            let read = Asked::read(text).map(|asked| (asked.scheme, asked.name, asked.port));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn what_follows_is_left_as_it_is() {
        for (path, segments, rest) in [
            ("/api/v1/namespaces/a/pods/b/proxy", 7, ""),
            ("/api/v1/namespaces/a/pods/b/proxy/", 7, "/"),
            ("/api/v1/namespaces/a/pods/b/proxy//x%2Fy/", 7, "//x%2Fy/"),
            ("/api/v1/nodes/n/proxy/pods", 5, "/pods"),
        ] {
            assert_eq!(behind(path, segments), rest, "{path}");
        }
    }

    #[test]
    fn only_addresses_of_others_are_asked() {
        assert_eq!(host("10.0.0.1", "80").unwrap(), "10.0.0.1:80");
        assert_eq!(host("fd00::1", "").unwrap(), "[fd00::1]");
        for address in ["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "::1", ""] {
            assert_eq!(host(address, "80").unwrap_err().message, "address not allowed");
        }
    }
}
