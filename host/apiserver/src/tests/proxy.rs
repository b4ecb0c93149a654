//! Requests for what is behind pods, Services and nodes.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use serde_json::json;

use super::listener::{Listener, Switchboard};
use super::{PODS, Server};
use crate::{Config, Identity, Kubelets, Unreachable};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// Says what it was asked.
async fn say(request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let secret = parts.headers.contains_key(header::AUTHORIZATION);
    let said = format!("{} {} {secret} {}", parts.method, parts.uri, body.len());
    Response::new(Body::from(said))
}

struct Agent;

impl Kubelets for Agent {
    fn call(
        &self,
        node: &str,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, Unreachable>> {
        let node = node.to_owned();
        Box::pin(async move {
            if node == "lost" {
                return Err(Unreachable("gone".into()));
            }
            Ok(say(request).await)
        })
    }
}

/// A server on whose pod network everything is one server that says what it was asked.
async fn server(to: std::net::SocketAddr) -> (Server, Arc<Switchboard>) {
    let dialer = Arc::new(Switchboard { to, dialled: Mutex::default() });
    let config = Config { dialer: dialer.clone(), kubelets: Arc::new(Agent), ..Config::default() };
    let server = Server::with(config).await;
    let ports = json!([{ "name": "web", "port": 80 }, { "name": "tls", "port": 443 }]);
    let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": ports } });
    server.post(SERVICES, service).await.is(201);
    (server, dialer)
}

async fn with_endpoints(server: &Server) {
    let slice = json!({
        "metadata": { "name": "s", "labels": { "kubernetes.io/service-name": "s" } },
        "addressType": "IPv4",
        "ports": [{ "name": "web", "port": 8080 }, { "name": "tls", "port": 8443 }],
        "endpoints": [
            { "addresses": ["10.1.2.4"], "conditions": { "ready": false } },
            { "addresses": ["10.1.2.3"], "conditions": { "ready": true } },
        ],
    });
    server.post(SLICES, slice).await.is(201);
}

async fn plain() -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(say);
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

#[tokio::test]
async fn services_are_reached_through_the_server() {
    let (address, task) = plain().await;
    let (server, dialer) = server(address).await;
    let message = server.get(&format!("{SERVICES}/s:web/proxy/")).await;
    let message = message.fails(503, "ServiceUnavailable");
    assert_eq!(message, "no endpoints available for service \"s\"");
    with_endpoints(&server).await;
    for name in ["s:web", "s:80", "http:s:80", "http:s:web"] {
        let path = format!("{SERVICES}/{name}/proxy/a%2Fb/?c=d&watch=1");
        let request = server.request(Method::GET, &path);
        let request = request.header(header::AUTHORIZATION, "Bearer secret");
        let answer = server.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.text(), "GET /a%2Fb/?c=d&watch=1 false 0", "{name}");
    }
    let path = format!("{SERVICES}/s:web/proxy/x");
    let posted = server.body(Method::POST, &path, "text/plain", "12345".into()).await;
    assert_eq!(posted.text(), "POST /x false 5");
    let put = server.body(Method::PUT, &path, "text/plain", "12345".into()).await;
    assert_eq!(put.text(), "PUT /x false 5");
    assert_eq!(server.delete(&path).await.text(), "DELETE /x false 0");
    let dialled = dialer.dialled.lock().unwrap().clone();
    assert!(dialled.iter().all(|to| to.to_string() == "10.1.2.3:8080"), "{dialled:?}");
    // Documents refer to each other from a folder.
    let moved = server.get(&format!("{SERVICES}/s:web/proxy?a=b")).await;
    assert_eq!(moved.status, 301);
    assert_eq!(moved.headers[header::LOCATION], format!("{SERVICES}/s:web/proxy/?a=b"));
    for (name, code, reason, expected) in [
        ("s:81", 503, "ServiceUnavailable", "no service port 81 found for service \"s\""),
        ("s:ssh", 503, "ServiceUnavailable", "no endpoints available for service \"s:ssh\""),
        ("t", 404, "NotFound", "services \"t\" not found"),
        ("ftp:s:80", 400, "BadRequest", "invalid service request \"ftp:s:80\""),
    ] {
        let message = server.get(&format!("{SERVICES}/{name}/proxy/")).await.fails(code, reason);
        assert_eq!(message, expected);
    }
    let jane = Identity::new("jane", &[]);
    let message = server.as_user(&jane, Method::GET, &path, None).await.fails(403, "Forbidden");
    let cannot = "User \"jane\" cannot get resource \"services/proxy\" in API group \"\"";
    assert!(message.contains(cannot), "{message}");
    task.abort();
}

#[tokio::test]
async fn whoever_speaks_tls_is_reached_by_it() {
    let router = Router::new().fallback(say);
    let listener = Listener::new(&["nobody.example.com"], None, router).await;
    let (server, _) = server(listener.address).await;
    with_endpoints(&server).await;
    let answer = server.get(&format!("{SERVICES}/https:s:tls/proxy/x")).await;
    assert!(answer.text().ends_with("/x false 0"), "{}", answer.text());
}

#[tokio::test]
async fn pods_are_reached_by_their_addresses() {
    let (address, task) = plain().await;
    let (server, dialer) = server(address).await;
    server.pod("p", None).await;
    let path = format!("{PODS}/p/proxy/x");
    assert_eq!(server.get(&path).await.fails(400, "BadRequest"), "address not allowed");
    let placed = json!({ "status": { "podIP": "10.1.2.9", "podIPs": [{ "ip": "10.1.2.9" }] } });
    server.patch(&format!("{PODS}/p/status"), "merge-patch", placed).await.is(200);
    assert_eq!(server.get(&path).await.text(), "GET /x false 0");
    assert_eq!(server.get(&format!("{PODS}/p:81/proxy/x")).await.text(), "GET /x false 0");
    let dialled: Vec<_> = dialer.dialled.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(dialled, ["10.1.2.9:80", "10.1.2.9:81"]);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let message = server.get(&format!("{PODS}/p:82/proxy/x")).await;
    let message = message.fails(503, "ServiceUnavailable");
    assert!(message.starts_with("error trying to reach service: "), "{message}");
}

#[tokio::test]
async fn nodes_are_asked_through_their_agents() {
    let (server, _) = server(([127, 0, 0, 1], 1).into()).await;
    for name in ["n", "lost"] {
        let node = json!({ "metadata": { "name": name } });
        server.post("/api/v1/nodes", node).await.is(201);
    }
    let ask = async |path: &str| server.get(&format!("/api/v1/nodes/{path}")).await;
    assert_eq!(ask("n/proxy/pods?a=b").await.text(), "GET /pods?a=b false 0");
    assert_eq!(ask("n:10250/proxy/metrics/x").await.text(), "GET /metrics/x false 0");
    assert_eq!(ask("m/proxy/pods").await.fails(404, "NotFound"), "nodes \"m\" not found");
    let lost = ask("lost/proxy/pods").await.fails(503, "ServiceUnavailable");
    assert_eq!(lost, "error trying to reach service: gone");
}
