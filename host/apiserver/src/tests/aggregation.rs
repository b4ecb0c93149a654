//! Groups that another server serves. The other server is one of ours, in which the group is
//! defined, and which believes the first one because of its certificate.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use super::listener::{Listener, Switchboard};
use super::{Answer, Server};
use crate::{ClientCertificate, Config, Identity, ProxyCertificate, RequestHeader};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const APISERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const ROOT: &str = "/apis/wardle.example.com/v1alpha1";
const FLUNDERS: &str = "/apis/wardle.example.com/v1alpha1/namespaces/default/flunders";
const NAME: &str = "v1alpha1.wardle.example.com";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn definition(group: &str, plural: &str, kind: &str, versions: &[&str]) -> Value {
    let schema = json!({ "type": "object", "properties": {
        "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } });
    let versions: Vec<_> = versions
        .iter()
        .enumerate()
        .map(|(at, name)| {
            json!({ "name": name, "served": true, "storage": at == 0,
                "schema": { "openAPIV3Schema": schema } })
        })
        .collect();
    json!({
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": { "group": group, "scope": "Namespaced", "versions": versions,
            "names": { "plural": plural, "kind": kind } },
    })
}

fn flunder(name: &str) -> Value {
    json!({ "apiVersion": "wardle.example.com/v1alpha1", "kind": "Flunder",
        "metadata": { "name": name }, "spec": { "reference": "a" } })
}

/// An authority for proxies' certificates, and one of those.
struct FrontProxy {
    authority: String,
    client: ClientCertificate,
}

impl FrontProxy {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::from_ca_cert_pem(&authority, key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "front-proxy-client");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        let client = ClientCertificate::read(&certificate, &key.serialize_pem()).unwrap();
        Self { authority, client }
    }
}

/// A server that aggregates, and the extension that its Services lead to.
struct Aggregating {
    server: Server,
    extension: Server,
    listener: Option<Listener>,
    bundle: String,
    /// The headers of all requests that came to the extension.
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    chores: tokio::task::JoinHandle<()>,
}

impl Drop for Aggregating {
    fn drop(&mut self) {
        self.chores.abort();
    }
}

impl Aggregating {
    async fn new() -> Self {
        let proxy = FrontProxy::new();
        let extension = Server::with(Config::default()).await;
        let flunders = definition("wardle.example.com", "flunders", "Flunder", &["v1alpha1"]);
        extension.post(CRDS, flunders).await.is(201);
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let (heard, own) = (seen.clone(), extension.router.clone());
        let router = Router::new()
            .route(&format!("{ROOT}/echo/x/exec"), get(echo))
            .fallback_service(tower::service_fn(move |request: Request<Body>| {
                heard.lock().unwrap().push(request.headers().clone());
                own.clone().oneshot(request)
            }));
        let names = ["api.default.svc"];
        let listener = Listener::new(&names, Some(&proxy.authority), router).await;
        let dialer = Switchboard { to: listener.address, dialled: Mutex::default() };
        let config = Config {
            dialer: Arc::new(dialer),
            client_authorities: proxy.authority.clone(),
            request_header: RequestHeader {
                authorities: proxy.authority.clone(),
                ..RequestHeader::default()
            },
            proxy_client: Some(proxy.client),
            ..Config::default()
        };
        let server = Server::with(config).await;
        let api = server.api.clone();
        let chores = tokio::spawn(async move { api.run().await });
        let bundle = listener.bundle.clone();
        Self { server, extension, listener: Some(listener), bundle, seen, chores }
    }

    /// The same, with the extension registered and found.
    async fn available() -> Self {
        let own = Self::new().await;
        own.server.post(APISERVICES, own.registration()).await.is(201);
        own.server.post(SERVICES, service()).await.is(201);
        own.server.post(SLICES, slice(true)).await.is(201);
        own.condition("True", "Passed").await;
        own
    }

    fn registration(&self) -> Value {
        json!({ "metadata": { "name": NAME }, "spec": {
            "group": "wardle.example.com", "version": "v1alpha1",
            "groupPriorityMinimum": 2000, "versionPriority": 200,
            "service": { "namespace": "default", "name": "api" }, "caBundle": self.bundle } })
    }

    /// Waits for the condition and returns its message.
    async fn condition(&self, status: &str, reason: &str) -> String {
        let path = format!("{APISERVICES}/{NAME}");
        let fits = |object: &Value| {
            let condition = &object["status"]["conditions"][0];
            condition["status"] == status && condition["reason"] == reason
        };
        let object = self.server.eventually(&path, fits).await;
        object["status"]["conditions"][0]["message"].as_str().unwrap().to_owned()
    }

    /// The headers of the last request that came to the extension for `path`.
    fn heard(&self) -> HeaderMap {
        let seen = self.seen.lock().unwrap();
        let asked = |headers: &&HeaderMap| headers["x-remote-user"] != "system:kube-aggregator";
        seen.iter().rev().find(asked).unwrap().clone()
    }
}

impl Server {
    /// What a path answers once it `fits`.
    async fn eventually(&self, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..1000 {
            let answer = self.accept(path, AGGREGATED_OR_PLAIN).await;
            last = serde_json::from_slice(&answer.bytes).unwrap_or_default();
            if fits(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} stays {last}");
    }
}

const AGGREGATED_OR_PLAIN: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

fn service() -> Value {
    json!({ "metadata": { "name": "api" }, "spec": { "ports": [{ "port": 443 }] } })
}

fn slice(ready: bool) -> Value {
    json!({ "metadata": { "name": "api", "labels": { "kubernetes.io/service-name": "api" } },
        "addressType": "IPv4", "ports": [{ "name": "", "port": 443 }],
        "endpoints": [{ "addresses": ["10.1.2.3"], "conditions": { "ready": ready } }] })
}

/// Becomes something else that says everything back.
async fn echo(mut request: Request<Body>) -> Response<Body> {
    assert_eq!(request.headers()["x-remote-user"], "tester");
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    let response = response.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "echo");
    response.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn requests_go_to_who_serves_their_group() {
    let own = Aggregating::available().await;
    let server = &own.server;
    let made = server.post(FLUNDERS, flunder("a")).await.is(201);
    assert_eq!(made["spec"]["reference"], "a");
    assert_eq!(own.extension.get(&format!("{FLUNDERS}/a")).await.is(200), made);
    assert_eq!(server.get(FLUNDERS).await.is(200)["items"].as_array().unwrap().len(), 1);
    let message = server.get(&format!("{FLUNDERS}/b")).await.fails(404, "NotFound");
    assert_eq!(message, "flunders.wardle.example.com \"b\" not found");
    let patch = json!({ "spec": { "reference": "b" } });
    server.patch(&format!("{FLUNDERS}/a"), "merge-patch", patch).await.is(200);
    assert_eq!(server.get(ROOT).await.is(200)["resources"][0]["name"], "flunders");
    // Events come as they happen.
    let watch = format!("{FLUNDERS}?watch=true&resourceVersion=0");
    let request = server.request(Method::GET, &watch).body(Body::empty()).unwrap();
    let mut events = server.router.clone().oneshot(request).await.unwrap().into_body();
    let mut next = async || -> Value {
        let frame = events.frame().await.unwrap().unwrap();
        serde_json::from_slice(&frame.into_data().unwrap()).unwrap()
    };
    assert_eq!(next().await["object"]["metadata"]["name"], "a");
    server.delete(&format!("{FLUNDERS}/a")).await.is(200);
    assert_eq!(next().await["type"], "DELETED");
    // What is gone is gone at once.
    server.delete(&format!("{APISERVICES}/{NAME}")).await.is(200);
    server.get(FLUNDERS).await.fails(404, "NotFound");
    server.get(ROOT).await.fails(404, "NotFound");
}

#[tokio::test]
async fn the_extension_hears_who_asks() {
    let own = Aggregating::available().await;
    let jane = Identity {
        uid: "17".into(),
        extra: vec![("example.com/scope".into(), vec!["x".into()])],
        ..Identity::new("jane", &["system:masters", "devs"])
    };
    let request = Request::get(FLUNDERS)
        .extension(Arc::new(jane))
        .header("X-Remote-User", "root")
        .header("X-Remote-Extra-Other", "y")
        .header(header::AUTHORIZATION, "Bearer secret")
        .body(Body::empty())
        .unwrap();
    own.server.send(request).await.is(200);
    let heard = own.heard();
    let all = |name: &str| -> Vec<String> {
        heard.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(all("x-remote-user"), ["jane"]);
    assert_eq!(all("x-remote-uid"), ["17"]);
    assert_eq!(all("x-remote-group"), ["system:masters", "devs"]);
    assert_eq!(all("x-remote-extra-example.com%2fscope"), ["x"]);
    assert!(all("x-remote-extra-other").is_empty() && all("authorization").is_empty());
    // Whoever is impersonated asks.
    let request = own.server.request(Method::GET, FLUNDERS).header("Impersonate-User", "bob");
    let request = request.header("Impersonate-Group", "system:masters");
    own.server.send(request.body(Body::empty()).unwrap()).await.is(200);
    assert_eq!(own.heard()["x-remote-user"], "bob");
    assert!(own.heard().get("impersonate-user").is_none());
    // Who may not ask is not passed on.
    let asked = own.seen.lock().unwrap().len();
    let nobody = Identity::new("nobody", &[]);
    own.server.as_user(&nobody, Method::GET, FLUNDERS, None).await.fails(403, "Forbidden");
    assert_eq!(own.seen.lock().unwrap().len(), asked);
}

#[tokio::test]
async fn conditions_say_what_is_missing() {
    let mut own = Aggregating::new().await;
    let server = &own.server;
    server.post(APISERVICES, own.registration()).await.is(201);
    assert_eq!(
        own.condition("False", "ServiceNotFound").await,
        "service/api in \"default\" is not present"
    );
    let unavailable: Answer = server.get(FLUNDERS).await;
    assert_eq!((unavailable.status.as_u16(), &*unavailable.text()), (503, "service unavailable\n"));
    let mut other = service();
    other["spec"]["ports"][0]["port"] = json!(444);
    server.post(SERVICES, other).await.is(201);
    assert_eq!(
        own.condition("False", "ServicePortError").await,
        "service/api in \"default\" is not listening on port 443"
    );
    server.delete(&format!("{SERVICES}/api")).await.is(200);
    server.post(SERVICES, service()).await.is(201);
    assert_eq!(
        own.condition("False", "EndpointsNotFound").await,
        "cannot find endpointslices for service/api in \"default\""
    );
    server.post(SLICES, slice(false)).await.is(201);
    assert_eq!(
        own.condition("False", "MissingEndpoints").await,
        "endpointslices for service/api in \"default\" have no addresses with port name \"\""
    );
    let path = format!("{SLICES}/api");
    let ready = json!({ "endpoints": [{ "addresses": ["10.1.2.3"] }] });
    server.patch(&path, "merge-patch", ready).await.is(200);
    assert_eq!(own.condition("True", "Passed").await, "all checks passed");
    server.get(FLUNDERS).await.is(200);
    // Somebody whom nobody vouches for answers, but is told nothing.
    let other = json!({ "spec": { "caBundle": super::listener::bundle() } });
    server.patch(&format!("{APISERVICES}/{NAME}"), "merge-patch", other).await.is(200);
    let mut answer = server.get(FLUNDERS).await;
    for _ in 0..1000 {
        if answer.text() != "service unavailable\n" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = server.get(FLUNDERS).await;
    }
    let start = "error trying to reach service: ";
    assert!(answer.status == 503 && answer.text().starts_with(start), "{answer:?}");
    drop(own.listener.take());
    server.patch(&path, "merge-patch", json!({ "metadata": { "labels": { "a": "b" } } })).await;
    let message = own.condition("False", "FailedDiscoveryCheck").await;
    assert!(message.starts_with("failing or missing response from https://10."), "{message}");
}

#[tokio::test]
async fn clients_find_what_others_serve() {
    let mut own = Aggregating::available().await;
    let server = &own.server;
    let groups = server.get("/apis").await.is(200);
    let names: Vec<_> = groups["groups"].as_array().unwrap().iter().map(|g| &g["name"]).collect();
    assert_eq!(names[0], "apiregistration.k8s.io");
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    // As far before others as its APIService says.
    assert!(at("apps") < at("wardle.example.com") && at("wardle.example.com") < at("coracle.dev"));
    let group = server.get("/apis/wardle.example.com").await.is(200);
    assert_eq!(group["preferredVersion"]["groupVersion"], "wardle.example.com/v1alpha1");
    let of = |list: &Value| -> Value {
        let items = list["items"].as_array().unwrap();
        let own = items.iter().find(|item| item["metadata"]["name"] == "wardle.example.com");
        own.unwrap()["versions"][0].clone()
    };
    let version = of(&server.accept("/apis", AGGREGATED).await.is(200));
    assert_eq!(version["freshness"], "Current");
    let same = of(&own.extension.accept("/apis", AGGREGATED).await.is(200));
    assert_eq!(version["resources"], same["resources"]);
    let v2 = server.get("/openapi/v2").await.is(200);
    assert!(v2["paths"][format!("{ROOT}/namespaces/{{namespace}}/flunders")].is_object());
    assert!(v2["definitions"]["com.example.wardle.v1alpha1.Flunder"].is_object());
    let index = server.get("/openapi/v3").await.is(200);
    let url = &index["paths"]["apis/wardle.example.com/v1alpha1"]["serverRelativeURL"];
    let v3 = server.get(url.as_str().unwrap()).await.is(200);
    assert!(v3["components"]["schemas"]["com.example.wardle.v1alpha1.Flunder"].is_object());
    let paths = server.get("/").await.is(200);
    assert!(paths["paths"].as_array().unwrap().contains(&json!(ROOT)));
    drop(own.listener.take());
    server.patch(&format!("{SLICES}/api"), "merge-patch", json!({ "endpoints": [] })).await.is(200);
    own.condition("False", "MissingEndpoints").await;
    let stale = server.eventually("/apis", |list| of(list)["freshness"] == "Stale").await;
    assert_eq!(of(&stale)["resources"], same["resources"]);
    server.delete(&format!("{APISERVICES}/{NAME}")).await.is(200);
    server.get("/apis/wardle.example.com").await.fails(404, "NotFound");
    let v2 = server.get("/openapi/v2").await.is(200);
    assert!(v2["paths"][format!("{ROOT}/namespaces/{{namespace}}/flunders")].is_null());
}

#[tokio::test]
async fn connections_that_become_something_else_are_passed_on() {
    let own = Aggregating::available().await;
    let identity = Arc::new(Identity::master("tester"));
    let router = own.server.router.clone().layer(axum::Extension(identity));
    let front = Listener::new(&["localhost"], None, router).await;
    let trusting = rustls_client(&front.bundle);
    let stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = trusting.connect(name, stream).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get(format!("{ROOT}/echo/x/exec"))
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "echo")
        .body(Body::empty())
        .unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(answer.headers()[header::UPGRADE], "echo");
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
}

fn rustls_client(bundle: &str) -> tokio_rustls::TlsConnector {
    use base64::Engine;
    use rustls::pki_types::pem::PemObject;
    let pem = base64::prelude::BASE64_STANDARD.decode(bundle).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn defined_kinds_register_themselves() {
    let own = Aggregating::new().await;
    let server = &own.server;
    let taken = json!({ "metadata": { "name": "v2.example.com" }, "spec": {
        "group": "example.com", "version": "v2", "groupPriorityMinimum": 5, "versionPriority": 5 } });
    server.post(APISERVICES, taken).await.is(201);
    let widgets = definition("example.com", "widgets", "Widget", &["v1", "v2", "v3"]);
    server.post(CRDS, widgets).await.is(201);
    let path = |version: &str| format!("{APISERVICES}/{version}.example.com");
    let there = |object: &Value| object["kind"] == "APIService";
    let gone = |object: &Value| object["code"] == 404;
    let made = server.eventually(&path("v1"), there).await;
    assert_eq!(made["spec"]["groupPriorityMinimum"], 1000);
    assert_eq!(made["spec"]["versionPriority"], 100);
    let label = "kube-aggregator.kubernetes.io/automanaged";
    assert_eq!(made["metadata"]["labels"][label], "true");
    assert_eq!(made["status"]["conditions"][0]["reason"], "Local");
    server.eventually(&path("v3"), there).await;
    // What has been changed is put right, what somebody else has made is not touched.
    let changed = json!({ "spec": { "versionPriority": 7 } });
    server.patch(&path("v1"), "merge-patch", changed).await.is(200);
    server.eventually(&path("v1"), |object| object["spec"]["versionPriority"] == 100).await;
    assert_eq!(server.get(&path("v2")).await.is(200)["spec"]["versionPriority"], 5);
    let fewer = json!([{ "op": "remove", "path": "/spec/versions/2" }]);
    let definition = format!("{CRDS}/widgets.example.com");
    server.patch(&definition, "json-patch", fewer).await.is(200);
    server.eventually(&path("v3"), gone).await;
    server.delete(&path("v1")).await.is(200);
    server.eventually(&path("v1"), there).await;
    server.delete(&definition).await.is(200);
    server.eventually(&path("v1"), gone).await;
    server.get(&path("v2")).await.is(200);
}

#[tokio::test]
async fn extensions_learn_whom_to_believe() {
    let own = Aggregating::new().await;
    let namespace = json!({ "metadata": { "name": "kube-system" } });
    own.server.post("/api/v1/namespaces", namespace).await.is(201);
    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let there = |object: &Value| object["kind"] == "ConfigMap";
    let made = own.server.eventually(path, there).await;
    assert_eq!(made["data"]["requestheader-username-headers"], "[\"X-Remote-User\"]");
    assert_eq!(made["data"]["requestheader-allowed-names"], "[\"front-proxy-client\"]");
    assert!(made["data"]["client-ca-file"].as_str().unwrap().starts_with("-----BEGIN"));
    own.server.delete(path).await.is(200);
    own.server.eventually(path, there).await;
}

#[tokio::test]
async fn a_proxy_in_front_speaks_for_its_callers() {
    let server = Server::new().await;
    let whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let ask = |certificate: Option<ProxyCertificate>| {
        let mut request = Request::post(whoami)
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-Remote-User", "jane")
            .header("X-Remote-Group", "system:masters");
        if let Some(certificate) = certificate {
            request = request.extension(certificate);
        }
        request.body(Body::from("{}")).unwrap()
    };
    server.send(ask(None)).await.fails(401, "Unauthorized");
    let proxy = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        ProxyCertificate(Arc::from(params.self_signed(&key).unwrap().der().as_ref()))
    };
    server.send(ask(Some(proxy("somebody")))).await.fails(401, "Unauthorized");
    let review = server.send(ask(Some(proxy("front-proxy-client")))).await.is(201);
    let user = &review["status"]["userInfo"];
    assert_eq!(user["username"], "jane");
    assert_eq!(user["groups"], json!(["system:masters", "system:authenticated"]));
}
