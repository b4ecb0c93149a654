//! Asking a webhook: a JSON document is sent, and what is answered with success comes back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use serde_json::Value;

use crate::config::Dialer;
use crate::server::Server;
use crate::upstream::{Peer, Trust, Upstream, service_url};

/// Bytes of an answer.
const MAX_ANSWER: usize = 3 << 20;

/// Somebody who is asked.
pub(crate) struct Endpoint {
    url: Result<Uri, String>,
    upstream: Result<Upstream, String>,
}

impl Endpoint {
    pub(crate) fn new(dialer: &Arc<dyn Dialer>, config: WebhookClientConfig) -> Self {
        let WebhookClientConfig { ca_bundle, service, url } = config;
        let url = match &service {
            Some(service) => {
                let path = service.path.as_deref().unwrap_or_default();
                let slash = if path.starts_with('/') { "" } else { "/" };
                service_url(service, &format!("{slash}{path}"))
            }
            None => url.unwrap_or_default(),
        };
        let parsed = url.parse::<Uri>().map_err(|error| format!("{url:?}: {error}"));
        let bundle = ca_bundle.unwrap_or_default();
        let peer = service.map_or(Peer::Host, Peer::Service);
        let trust = Trust { bundle: &bundle.0, anyone: false, shown: None };
        Self { url: parsed, upstream: Upstream::new(dialer, peer, &trust) }
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
        let upstream = self.upstream.as_ref().map_err(Clone::clone)?;
        let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, "kube-apiserver-admission")
            .body(Body::from(body))
            .map_err(|error| error.to_string())?;
        let response = upstream.send(server, request).await?;
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
