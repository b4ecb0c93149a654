//! The way to those who serve outside of this server, webhooks and extension API servers: one HTTP
//! client each, with its own trust and connections, over the pod network to a Service or over the
//! host's to a URL. Redirects are not followed. Knows nothing of what is said.

mod relay;
mod trust;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use coracle_store::Range;
use futures::future::BoxFuture;
use http::uri::{InvalidUri, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::admissionregistration::v1::ServiceReference;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tower::Service as Tower;

use crate::config::{Dialer, Duplex};
use crate::error::{ApiError, Result};
use crate::registry::{key, prefix};
use crate::server::Server;

pub(crate) use relay::{is_upgrade, relay};
pub(crate) use trust::Trust;
pub use trust::{ClientCertificate, Unusable};

/// Where a Service serves unless its reference says otherwise.
pub(crate) const HTTPS: i32 = 443;

/// Which Service an EndpointSlice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Somebody who serves.
pub(crate) struct Upstream {
    service: Option<ServiceReference>,
    connector: Connector,
    client: Client<Connector, Body>,
}

/// Whom requests are for.
pub(crate) enum Peer {
    /// Whoever serves for a Service.
    Service(ServiceReference),
    /// Whomever their URLs name on the host's network.
    Host,
    /// Whoever has the address in their URLs on the pod network.
    Pods,
}

/// Where connections to a Service lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the pod network.
    Inside(SocketAddr),
    /// On the host's, by a name.
    Outside(String, u16),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inside(address) => write!(f, "{address}"),
            Self::Outside(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Upstream {
    pub(crate) fn new(
        dialer: &Arc<dyn Dialer>,
        peer: Peer,
        trust: &Trust<'_>,
    ) -> Result<Self, String> {
        let (reach, service) = match peer {
            Peer::Service(service) => (Reach::Service(Arc::default()), Some(service)),
            Peer::Host => (Reach::Host, None),
            Peer::Pods => (Reach::Pods, None),
        };
        let connector = Connector { tls: Arc::new(trust.config()?), dialer: dialer.clone(), reach };
        let client = Client::builder(TokioExecutor::new()).build(connector.clone());
        Ok(Self { service, connector, client })
    }

    /// Sends a request; the answer as soon as its headers are there.
    pub(crate) async fn send(
        &self,
        server: &Server,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, String> {
        self.find(server).await?;
        self.client.request(request).await.map_err(|error| root(&error))
    }

    /// Sends a request on a connection of its own, which the answer may turn into something else.
    pub(crate) async fn upgrade(
        &self,
        server: &Server,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, String> {
        self.find(server).await?;
        let mut connector = self.connector.clone();
        let mut tls = (*connector.tls).clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        connector.tls = Arc::new(tls);
        let url = std::mem::take(request.uri_mut());
        let stream = connector.call(url.clone()).await.map_err(|error| root(&error))?;
        // Whoever is there is asked for a path.
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|error: InvalidUri| error.to_string())?;
        if let Some(Ok(host)) = url.authority().map(|host| HeaderValue::try_from(host.as_str())) {
            request.headers_mut().insert(header::HOST, host);
        }
        let (mut sender, connection) =
            http1::handshake(stream).await.map_err(|error| root(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "an upgraded connection ended early");
            }
        });
        sender.send_request(request).await.map_err(|error| root(&error))
    }

    /// Looks up where the Service is at the moment.
    async fn find(&self, server: &Server) -> Result<(), String> {
        if let (Some(service), Reach::Service(place)) = (&self.service, &self.connector.reach) {
            let found = resolve(server, service).await?;
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        }
        Ok(())
    }
}

/// The URL of a Service, whose path is appended as it is.
pub(crate) fn service_url(service: &ServiceReference, path: &str) -> String {
    let ServiceReference { name, namespace, port, .. } = service;
    format!("https://{name}.{namespace}.svc:{}{path}", port.unwrap_or(HTTPS))
}

/// The innermost reason, which is the one that helps.
fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The Service that a reference names.
pub(crate) async fn find(server: &Server, wanted: &ServiceReference) -> Result<Option<Service>> {
    let Some(kind) = server.registry.kind("", "services") else { return Ok(None) };
    let entry = server.store.get(&key(kind.names(), &wanted.namespace, &wanted.name)).await?;
    let service = entry.map(|entry| serde_json::from_slice(&entry.value));
    service.transpose().map_err(ApiError::internal)
}

/// The EndpointSlices of a Service.
pub(crate) async fn slices(
    server: &Server,
    namespace: &str,
    service: &str,
) -> Result<Vec<EndpointSlice>> {
    let Some(kind) = server.registry.kind("discovery.k8s.io", "endpointslices") else {
        return Ok(vec![]);
    };
    let page = server.store.range(&prefix(kind.names(), namespace), Range::default()).await?;
    let slices = page.entries.iter().filter_map(|entry| {
        let slice: EndpointSlice = serde_json::from_slice(&entry.value).ok()?;
        let labels = slice.metadata.labels.as_ref()?;
        (labels.get(SERVICE_NAME)? == service).then_some(slice)
    });
    Ok(slices.collect())
}

/// Whether an endpoint takes connections.
pub(crate) fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// Where a Service is: `ResolveCluster` of `k8s.io/apiserver/pkg/util/proxy`.
pub(crate) async fn resolve(server: &Server, wanted: &ServiceReference) -> Result<Place, String> {
    let service = find(server, wanted).await.map_err(|error| error.to_string())?;
    let service = service.ok_or_else(|| format!("service {:?} not found", wanted.name))?;
    let spec = service.spec.unwrap_or_default();
    let port = wanted.port.unwrap_or(HTTPS);
    let number = u16::try_from(port).map_err(|error| error.to_string())?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return Ok(Place::Outside(spec.external_name.unwrap_or_default(), number));
    }
    let served = spec.ports.into_iter().flatten().any(|served| served.port == port);
    if !served {
        return Err(format!("no service port {port} found for service {:?}", wanted.name));
    }
    if spec.cluster_ip.as_deref() == Some("None") {
        return Err("cannot route to service with ClusterIP \"None\"".into());
    }
    let ip: Option<IpAddr> = spec.cluster_ip.as_deref().and_then(|ip| ip.parse().ok());
    let ip = ip.ok_or_else(|| format!("service {:?} has no cluster address", wanted.name))?;
    Ok(Place::Inside(SocketAddr::new(ip, number)))
}

/// Where connections lead.
#[derive(Clone)]
enum Reach {
    /// To where the Service was last found.
    Service(Arc<Mutex<Option<Place>>>),
    Host,
    Pods,
}

/// Opens connections to one upstream.
#[derive(Clone)]
struct Connector {
    tls: Arc<ClientConfig>,
    dialer: Arc<dyn Dialer>,
    reach: Reach,
}

impl Connector {
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Duplex>> {
        let place = match &self.reach {
            Reach::Service(place) => {
                let place = place.lock().unwrap_or_else(PoisonError::into_inner).clone();
                place.ok_or(io::ErrorKind::AddrNotAvailable)?
            }
            Reach::Host => Place::Outside(host.to_owned(), port),
            Reach::Pods => {
                let ip: IpAddr = host.parse().map_err(io::Error::other)?;
                Place::Inside(SocketAddr::new(ip, port))
            }
        };
        match place {
            Place::Inside(address) => self.dialer.dial(address).await,
            Place::Outside(host, port) => {
                let stream = tokio::net::TcpStream::connect((host.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl Tower<Uri> for Connector {
    type Response = Opened;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Opened>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let secure = url.scheme() == Some(&Scheme::HTTPS);
            let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
            let plain = this.connect(&host, port).await?;
            if !secure {
                return Ok(Opened { stream: TokioIo::new(plain), http2: false });
            }
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            let stream = TlsConnector::from(this.tls).connect(name, plain).await?;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream: Box<dyn Duplex> = Box::new(stream);
            Ok(Opened { stream: TokioIo::new(stream), http2 })
        })
    }
}

/// A connection, under TLS if its URL says so.
struct Opened {
    stream: TokioIo<Box<dyn Duplex>>,
    http2: bool,
}

impl Connection for Opened {
    fn connected(&self) -> Connected {
        if self.http2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl Read for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Opened {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
