//! What the API server is told by the program around it.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::audit::Audit;
use crate::authn::{AuthenticationConfiguration, RequestHeader, ServiceAccountKey, StaticToken};
use crate::upstream::ClientCertificate;

/// Everything that the program around it decides for an [`ApiServer`](crate::ApiServer).
pub struct Config {
    /// The program's own version, shown by `/version` beside Kubernetes'.
    pub build: String,
    /// Bearer tokens and whom they stand for.
    pub tokens: Vec<StaticToken>,
    /// How service accounts' tokens are made.
    pub service_accounts: ServiceAccountIssuer,
    /// Others whose tokens count.
    pub authentication: AuthenticationConfiguration,
    /// Who vouches for client certificates, PEM-encoded, as extension API servers are told.
    pub client_authorities: String,
    /// Which proxies in front of the server are believed.
    pub request_header: RequestHeader,
    /// What this server shows to extension API servers, for which it is such a proxy.
    pub proxy_client: Option<ClientCertificate>,
    /// The way to the node agents.
    pub kubelets: Arc<dyn Kubelets>,
    /// The way to Services of the cluster.
    pub dialer: Arc<dyn Dialer>,
    /// Routes that are no part of Kubernetes. Those under `/ui` ask for no identity; the others
    /// find the caller's as an `Arc<Identity>` extension.
    pub extra: Router,
    /// The metrics of the whole program, shown at `/metrics`.
    pub metrics: Arc<Mutex<Registry>>,
    /// Requests that may be under way at once.
    pub limits: Limits,
    /// Where it is written down who asked for what, if anywhere.
    pub audit: Option<Audit>,
    /// What else of the control plane runs in the program.
    pub components: Components,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            build: env!("CARGO_PKG_VERSION").into(),
            tokens: vec![],
            service_accounts: ServiceAccountIssuer::default(),
            authentication: AuthenticationConfiguration::default(),
            client_authorities: String::new(),
            request_header: RequestHeader::default(),
            proxy_client: None,
            kubelets: Arc::new(NoKubelets),
            dialer: Arc::new(Sockets),
            extra: Router::new(),
            metrics: Arc::default(),
            limits: Limits::default(),
            audit: None,
            components: Components::default(),
        }
    }
}

/// The parts of the control plane that run beside the server, as `componentstatuses` shows them.
#[derive(Clone, Debug, Default)]
pub struct Components {
    /// `scheduler`.
    pub scheduler: Running,
    /// `controller-manager`.
    pub controllers: Running,
}

/// Whether a part of the program runs. Clones speak of the same part.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<AtomicBool>);

impl Running {
    /// Whether it does at this moment.
    pub fn is_running(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Does `work`, and says so until it ends, is dropped or panics.
    pub async fn during<T>(self, work: impl Future<Output = T>) -> T {
        struct Ended(Running);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.0.store(false, Ordering::Relaxed);
            }
        }
        self.0.store(true, Ordering::Relaxed);
        let _ended = Ended(self);
        work.await
    }
}

/// Who issues the tokens of service accounts.
pub struct ServiceAccountIssuer {
    /// The issuer's name, which is also the audience of the API server: a URL.
    pub issuer: String,
    /// What tokens are signed with; one that ends with the server if `None`.
    pub key: Option<ServiceAccountKey>,
    /// Where clients find the public key.
    pub keys_url: String,
}

impl Default for ServiceAccountIssuer {
    fn default() -> Self {
        let issuer = "https://kubernetes.default.svc.cluster.local";
        let keys_url = format!("{issuer}/openid/v1/jwks");
        Self { issuer: issuer.into(), key: None, keys_url }
    }
}

/// Bounds on what callers may ask of the server at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that only read, watches not counted.
    pub reading: usize,
    /// Requests that write.
    pub mutating: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of a stored object.
    pub object: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reading: 400, mutating: 200, body: 3 << 20, object: 3 << 19 }
    }
}

/// How requests reach node agents: logs today, exec and proxy later.
pub trait Kubelets: Send + Sync + 'static {
    /// Sends `request`, whose URI is a kubelet's path and query, to the agent of `node`.
    fn call(
        &self,
        node: &str,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, Unreachable>>;
}

/// A node agent that could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// A cluster without node agents.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKubelets;

impl Kubelets for NoKubelets {
    fn call(
        &self,
        node: &str,
        _request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, Unreachable>> {
        let error = Unreachable(format!("no agent is known for node {node:?}"));
        Box::pin(async { Err(error) })
    }
}

/// A connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// How the server reaches what serves inside the cluster: webhooks and API extensions.
pub trait Dialer: Send + Sync + 'static {
    /// Opens a connection to an address on the pod network, which may be a Service's.
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>>;
}

/// A cluster whose network is that of the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sockets;

impl Dialer for Sockets {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let stream: Box<dyn Duplex> = Box::new(TcpStream::connect(to).await?);
            Ok(stream)
        })
    }
}
