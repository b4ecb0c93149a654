//! A webhook: a server with TLS that the API server calls with reviews.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

/// What answers a review: given the path and the review's `request`, the `response` without its uid.
type Handler = dyn Fn(&str, &Value) -> Value + Send + Sync;

/// A running webhook. It ends with the test's runtime.
pub(crate) struct Hook {
    address: String,
    ca: String,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    /// Serves reviews on a port of loopback; under `/slow` an answer takes three seconds.
    pub(crate) async fn serve(
        handler: impl Fn(&str, &Value) -> Value + Send + Sync + 'static,
    ) -> Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let certificate =
            rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der())
                    .map_err(anyhow::Error::msg)?,
            )?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, all): (Arc<Handler>, _) = (Arc::new(handler), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, handler, seen) = (acceptor.clone(), handler.clone(), all.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(move |request| {
                        answer(request, handler.clone(), seen.clone())
                    });
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, ca: STANDARD.encode(certificate.pem()), seen })
    }

    /// The `clientConfig` that calls this webhook at `path`.
    pub(crate) fn client(&self, path: &str) -> Value {
        json!({"url": format!("https://{}{path}", self.address), "caBundle": self.ca})
    }

    /// The requests of all reviews so far.
    pub(crate) fn seen(&self) -> Vec<Value> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

async fn answer(
    request: Request<Incoming>,
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Value>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/slow" {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let bytes = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut review: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let request = review["request"].take();
    let mut response = handler(&path, &request);
    response["uid"] = request["uid"].clone();
    if let Ok(mut seen) = seen.lock() {
        seen.push(request);
    }
    let review =
        json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response});
    let mut response = Response::new(Full::from(review.to_string()));
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// An answer that lets the request pass.
pub(crate) fn allow() -> Value {
    json!({"allowed": true})
}

/// An answer that refuses it.
pub(crate) fn deny(message: &str) -> Value {
    json!({"allowed": false, "status": {"message": message}})
}

/// An answer that lets it pass changed by a JSON patch.
pub(crate) fn patch(operations: &Value) -> Value {
    json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(operations.to_string())})
}
