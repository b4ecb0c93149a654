//! Bare hyper, with and without TLS: what any server pays before it does its work.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::load::{Target, connector};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    // `/<number>` is answered with so many bytes.
    if let Some(size) = request.uri().path().get(1..).and_then(|size| size.parse().ok()) {
        return Ok(Response::new(Full::new(vec![b'x'; size].into())));
    }
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(if body.is_empty() {
        Bytes::from_static(b"hello\n")
    } else {
        body
    })))
}

/// A server that sends a request's body back, or as many bytes as its path says, in a process of this one's threads.
pub(crate) async fn serve(tls: bool) -> Result<Target> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (acceptor, connector) = if tls {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)?;
        (Some(TlsAcceptor::from(Arc::new(config))), Some(connector(&signed.cert.pem())?))
    } else {
        (None, None)
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = match acceptor {
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => {
                            builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await
                        }
                        Err(_) => Ok(()),
                    },
                    None => {
                        builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await
                    }
                };
                Ok::<_, Infallible>(())
            });
        }
    });
    Ok(Target { address, token: String::new(), tls: connector })
}
