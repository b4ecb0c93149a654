//! The way to a conversion webhook: over the pod network to a Service, or over the host's to a URL.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::admissionregistration::v1::{
    self as admissionregistration, ServiceReference,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::WebhookClientConfig;
use serde_json::Value;

use super::webhook::Ask;
use crate::server::Server;
use crate::timeouts;
use crate::webhook::Endpoint;

/// A webhook of a definition.
struct Way {
    /// The kinds that hold this are the server's own.
    server: Weak<Server>,
    endpoint: Endpoint,
}

/// The way to the webhook that `config` names.
pub(super) fn to(server: &Arc<Server>, config: &WebhookClientConfig) -> Box<dyn Ask> {
    let service = config.service.as_ref().map(|service| ServiceReference {
        name: service.name.clone(),
        namespace: service.namespace.clone(),
        path: service.path.clone(),
        port: service.port,
    });
    let config = admissionregistration::WebhookClientConfig {
        ca_bundle: config.ca_bundle.clone(),
        service,
        url: config.url.clone(),
    };
    let endpoint = Endpoint::new(&server.dialer, config);
    Box::new(Way { server: Arc::downgrade(server), endpoint })
}

#[async_trait]
impl Ask for Way {
    async fn ask(&self, review: Value) -> Result<Bytes, String> {
        let server = self.server.upgrade().ok_or("the server is shutting down")?;
        self.endpoint.post(&server, timeouts::CONVERSION, review).await
    }
}
