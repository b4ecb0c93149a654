//! The TLS listener: accepted connections to requests of one service, and their orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use coracle_api::clock;
use coracle_apiserver::{PeerCertificate, ProxyCertificate};
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use crate::pki::Pki;
use crate::timeouts;
use crate::unread::Polite;

/// TLS as the API server offers it.
#[derive(Clone)]
pub(crate) struct Acceptor {
    tls: TlsAcceptor,
    /// Who may call.
    clients: Arc<dyn ClientCertVerifier>,
    /// Who may call for others.
    proxies: Arc<dyn ClientCertVerifier>,
}

/// What the certificate of a connection counts as.
#[derive(Clone, Default)]
struct Peer {
    client: Option<PeerCertificate>,
    proxy: Option<ProxyCertificate>,
}

impl Acceptor {
    fn peer<S>(&self, stream: &TlsStream<S>) -> Peer {
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let Some((own, further)) = certificates.split_first() else { return Peer::default() };
        let now = Duration::from_secs(clock::now().as_second().unsigned_abs());
        let now = UnixTime::since_unix_epoch(now);
        let der: Arc<[u8]> = Arc::from(own.as_ref());
        let of = |verifier: &Arc<dyn ClientCertVerifier>| {
            verifier.verify_client_cert(own, further, now).ok().map(|_| der.clone())
        };
        Peer {
            client: of(&self.clients).map(PeerCertificate),
            proxy: of(&self.proxies).map(ProxyCertificate),
        }
    }
}

/// Anyone may connect; a client certificate counts only if the cluster's authority signed it, or
/// one of `proxies` (PEM) for those who speak for others. HTTP/2 is preferred.
pub(crate) fn acceptor(pki: &Pki, proxies: &str) -> Result<Acceptor> {
    let verifier = |authorities: &[&str]| -> Result<_> {
        let mut roots = rustls::RootCertStore::empty();
        for pem in authorities {
            for authority in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(authority?)?;
            }
        }
        Ok(WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build()?)
    };
    let chain = CertificateDer::pem_slice_iter(pki.server.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(pki.server.key.as_bytes())?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier(&[&pki.ca, proxies])?)
        .with_single_cert(chain, key)
        .context("the server's certificate and key do not fit")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Acceptor {
        tls: TlsAcceptor::from(Arc::new(config)),
        clients: verifier(&[&pki.ca])?,
        proxies: verifier(&[proxies])?,
    })
}

/// Where connections come from: the host's network or the pods'.
pub(crate) trait Accept: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&mut self) -> impl Future<Output = std::io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> std::io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // An answer must not wait for more of it to come.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Accept for coracle_network::Listener {
    type Stream = coracle_network::Stream;

    async fn accept(&mut self) -> std::io::Result<Self::Stream> {
        let accepted = coracle_network::Listener::accept(self).await;
        accepted.map(|accepted| accepted.stream).map_err(std::io::Error::other)
    }
}

/// Accepts connections until `shutdown`, then lets the requests under way end within their grace.
pub(crate) async fn run(
    mut listener: impl Accept,
    acceptor: Acceptor,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    // Out of file descriptors, usually: existing connections must end first.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(timeouts::ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let handshake =
                tokio::time::timeout(timeouts::TLS_HANDSHAKE, acceptor.tls.accept(stream));
            match handshake.await {
                Ok(Ok(stream)) => {
                    let peer = acceptor.peer(&stream);
                    serve(stream, peer, router, watcher).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(timeouts::CONNECTION_DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time and are cut");
    }
}

async fn serve<S>(
    stream: TlsStream<S>,
    Peer { client, proxy }: Peer,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Polite::new(body)));
        let extensions = request.extensions_mut();
        client.clone().map(|client| extensions.insert(client));
        proxy.clone().map(|proxy| extensions.insert(proxy));
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|e| match e {})) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts::HEADER_READ)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .max_concurrent_streams(250);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
}
