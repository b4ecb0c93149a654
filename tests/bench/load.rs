//! A closed-loop HTTP load: so many connections, each with one request under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::table::Figures;

/// Where a load goes.
#[derive(Clone)]
pub(crate) struct Target {
    /// `127.0.0.1:<port>`.
    pub(crate) address: String,
    /// Bearer token; empty for none.
    pub(crate) token: String,
    /// TLS with this authority, or plain text.
    pub(crate) tls: Option<TlsConnector>,
}

/// Trusts the authority of the PEM text `ca`.
pub(crate) fn connector(ca: &str) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let config =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

type Sender = http1::SendRequest<Full<Bytes>>;

impl Target {
    pub(crate) async fn connect(&self) -> Result<Sender> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let sender = match &self.tls {
            Some(tls) => {
                let name = ServerName::try_from("localhost")?;
                let stream = tls.connect(name, stream).await?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
            None => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        Ok(sender)
    }

    pub(crate) fn request(&self, request: &Made) -> Result<Request<Full<Bytes>>> {
        let content = match request.method {
            "PATCH" => "application/apply-patch+yaml",
            _ => "application/json",
        };
        let mut builder = Request::builder()
            .method(request.method)
            .uri(&request.path)
            .header("host", &self.address)
            .header("content-type", content)
            .header("accept", request.accept);
        if !self.token.is_empty() {
            builder = builder.header("authorization", format!("Bearer {}", self.token));
        }
        Ok(builder.body(Full::new(request.body.clone()))?)
    }
}

/// One request of a load.
pub(crate) struct Made {
    /// The method.
    pub(crate) method: &'static str,
    /// The path and query.
    pub(crate) path: String,
    /// The body; empty for none.
    pub(crate) body: Bytes,
    /// The media type of the answer.
    pub(crate) accept: &'static str,
}

/// A request for what stands at `path`.
pub(crate) fn get(path: impl Into<String>) -> Made {
    Made { method: "GET", path: path.into(), body: Bytes::new(), accept: "application/json" }
}

/// Keeps `connections` busy for `time` with what `make` makes of a running number.
pub(crate) async fn run(
    target: &Target,
    connections: usize,
    time: Duration,
    make: impl Fn(usize) -> Made + Clone + Send + Sync + 'static,
) -> Result<Figures> {
    let counter = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (target, make, counter) = (target.clone(), make.clone(), counter.clone());
        tasks.spawn(async move {
            let mut sender = target.connect().await?;
            let mut latencies = vec![];
            while start.elapsed() < time {
                let request = target.request(&make(counter.fetch_add(1, Ordering::Relaxed)))?;
                let began = Instant::now();
                sender.ready().await?;
                let response = sender.send_request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
                latencies.push(began.elapsed());
            }
            Ok(latencies)
        });
    }
    let mut latencies = vec![];
    while let Some(joined) = tasks.join_next().await {
        latencies.extend(joined.context("a connection's task")??);
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    Ok(Figures { count: latencies.len(), elapsed, latencies })
}
