//! The way to a webhook: one client with its own trust and connections, over the pod network to
//! a Service or over the host's to a URL. Redirects are not followed.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::admissionregistration::v1::{ServiceReference, WebhookClientConfig};
use k8s_openapi::api::core::v1::Service;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service as Tower;

use crate::config::{Dialer, Duplex};
use crate::registry::key;
use crate::server::Server;

/// Bytes of an answer.
const MAX_ANSWER: usize = 3 << 20;
/// Where a Service serves unless it says otherwise.
const HTTPS: i32 = 443;

/// Somebody who is asked.
pub(crate) struct Endpoint {
    url: Result<Uri, String>,
    service: Option<ServiceReference>,
    /// Where the Service was last found.
    address: Arc<Mutex<Option<SocketAddr>>>,
    client: Result<Client<Connector, Full<Bytes>>, String>,
}

impl Endpoint {
    pub(crate) fn new(dialer: &Arc<dyn Dialer>, config: WebhookClientConfig) -> Self {
        let WebhookClientConfig { ca_bundle, service, url } = config;
        let url = match &service {
            Some(service) => service_url(service),
            None => url.unwrap_or_default(),
        };
        let parsed = url.parse::<Uri>().map_err(|error| format!("{url:?}: {error}"));
        let address = Arc::default();
        let tls = trust(ca_bundle.as_ref().map(|bundle| bundle.0.as_slice()).unwrap_or_default());
        let client = tls.map(|tls| {
            let connector = Connector {
                tls: TlsConnector::from(Arc::new(tls)),
                dialer: dialer.clone(),
                address: service.is_some().then(|| Arc::clone(&address)),
            };
            Client::builder(TokioExecutor::new()).build(connector)
        });
        Self { url: parsed, service, address, client }
    }

    /// Sends a question; the answer is what was answered with success.
    pub(crate) async fn post(
        &self,
        server: &Server,
        timeout: Duration,
        body: Value,
    ) -> Result<Bytes, String> {
        let url = self.url.as_ref().map_err(Clone::clone)?;
        let separator = if url.query().is_some() { '&' } else { '?' };
        let url = format!("{url}{separator}timeout={}s", timeout.as_secs());
        let call = self.exchange(server, &url, body);
        let answered = tokio::time::timeout(timeout, call).await;
        answered
            .unwrap_or_else(|_| Err("context deadline exceeded".into()))
            .map_err(|why| format!("Post {url:?}: {why}"))
    }

    async fn exchange(&self, server: &Server, url: &str, body: Value) -> Result<Bytes, String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        if let Some(service) = &self.service {
            let address = resolve(server, service).await?;
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        }
        let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, "kube-apiserver-admission")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let response = client.request(request).await.map_err(|error| root(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body);
        let said: String = said.trim().chars().take(256).collect();
        Err(format!("the server responded with the status code {}: {said}", status.as_u16()))
    }
}

/// The innermost reason, which is the one that helps.
fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn service_url(service: &ServiceReference) -> String {
    let ServiceReference { name, namespace, path, port } = service;
    let path = path.as_deref().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("https://{name}.{namespace}.svc:{}{slash}{path}", port.unwrap_or(HTTPS))
}

/// The address of a Service on the pod network.
async fn resolve(server: &Server, wanted: &ServiceReference) -> Result<SocketAddr, String> {
    let missing = || format!("service {:?} not found", wanted.name);
    let kind = server.registry.kind("", "services").ok_or_else(missing)?;
    let key = key(kind.names(), &wanted.namespace, &wanted.name);
    let entry = server.store.get(&key).await.map_err(|error| error.to_string())?;
    let entry = entry.ok_or_else(missing)?;
    let service: Service =
        serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
    let spec = service.spec.unwrap_or_default();
    let port = wanted.port.unwrap_or(HTTPS);
    let served = spec.ports.into_iter().flatten().any(|served| served.port == port);
    if !served {
        return Err(format!("no service port {port} found for service {:?}", wanted.name));
    }
    let ip: Option<IpAddr> = spec.cluster_ip.as_deref().and_then(|ip| ip.parse().ok());
    let ip = ip.ok_or_else(|| format!("service {:?} has no cluster address", wanted.name))?;
    let port = u16::try_from(port).map_err(|error| error.to_string())?;
    Ok(SocketAddr::new(ip, port))
}

/// Trusts those who are vouched for by the bundle, or by what this host trusts if it is empty.
fn trust(bundle: &[u8]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if bundle.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        let certificate =
            certificate.map_err(|error| format!("unable to load root certificates: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("unable to load root certificates: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Opens connections to one webhook.
#[derive(Clone)]
struct Connector {
    tls: TlsConnector,
    dialer: Arc<dyn Dialer>,
    /// The Service's address, where the webhook is one.
    address: Option<Arc<Mutex<Option<SocketAddr>>>>,
}

impl Tower<Uri> for Connector {
    type Response = Secured;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, std::io::Result<Secured>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let plain: Box<dyn Duplex> = match &this.address {
                Some(address) => {
                    let address = *address.lock().unwrap_or_else(PoisonError::into_inner);
                    let address = address.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
                    this.dialer.dial(address).await?
                }
                None => {
                    let port = url.port_u16().unwrap_or(443);
                    let stream = tokio::net::TcpStream::connect((host.as_str(), port)).await?;
                    Box::new(stream)
                }
            };
            let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
            let stream = this.tls.connect(name, plain).await?;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok(Secured { stream: TokioIo::new(stream), http2 })
        })
    }
}

/// A connection under TLS.
struct Secured {
    stream: TokioIo<TlsStream<Box<dyn Duplex>>>,
    http2: bool,
}

impl Connection for Secured {
    fn connected(&self) -> Connected {
        if self.http2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl Read for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
