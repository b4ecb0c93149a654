//! A router behind TLS on loopback, with a certificate of its own, and a network that leads there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::{Extension, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::{Dialer, Duplex, ProxyCertificate, Sockets};

pub(super) struct Listener {
    pub(super) address: SocketAddr,
    /// Who vouches for it, as configurations have that.
    pub(super) bundle: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Answers under these names. Requests over connections with a client certificate that
    /// `authority` (PEM) signed carry it.
    pub(super) async fn new(names: &[&str], authority: Option<&str>, router: Router) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let tls = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let tls = match authority {
            None => tls.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = verifier.allow_unauthenticated().build().unwrap();
                tls.with_client_cert_verifier(verifier)
            }
        };
        let mut tls = tls.with_single_cert(vec![cert.der().clone()], key).unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            // Connections end with their listener.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, mut router) = (acceptor.clone(), router.clone());
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let certificates = stream.get_ref().1.peer_certificates();
                    if let Some(certificate) = certificates.and_then(<[_]>::first) {
                        let certificate = ProxyCertificate(Arc::from(certificate.as_ref()));
                        router = router.layer(Extension(certificate));
                    }
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let service = router
                        .map_request(|request: http::Request<Incoming>| request.map(Body::new));
                    let service = TowerToHyperService::new(service);
                    let stream = TokioIo::new(stream);
                    drop(builder.serve_connection_with_upgrades(stream, service).await);
                });
            }
        });
        Self { address, bundle: BASE64_STANDARD.encode(cert.pem()), task }
    }
}

/// A pod network on which every address is that of one server, and that remembers what was
/// dialled.
pub(super) struct Switchboard {
    pub(super) to: SocketAddr,
    pub(super) dialled: Mutex<Vec<SocketAddr>>,
}

impl Dialer for Switchboard {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, std::io::Result<Box<dyn Duplex>>> {
        self.dialled.lock().unwrap().push(to);
        Sockets.dial(self.to)
    }
}

/// Somebody who vouches for nobody here.
pub(super) fn bundle() -> String {
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).unwrap();
    BASE64_STANDARD.encode(other.cert.pem())
}
