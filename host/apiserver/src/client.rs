//! A Kubernetes client without sockets: requests go straight into the filters, under an identity
//! of their own.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Request, Response, header};
use tower::ServiceExt;

use crate::authn::Identity;

/// A client over `router` for a component of the program. Upgrades (exec, port-forward) do not
/// work through it.
pub fn client(router: axum::Router, identity: Identity, default_namespace: &str) -> kube::Client {
    let agent = HeaderValue::try_from(agent(&identity.name)).ok();
    let identity = Arc::new(identity);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(identity.clone());
        if let (Some(agent), header::Entry::Vacant(none)) =
            (&agent, request.headers_mut().entry(header::USER_AGENT))
        {
            none.insert(agent.clone());
        }
        async move {
            let response: Result<Response<Body>, Infallible> = router.oneshot(request).await;
            response
        }
    });
    kube::Client::new(service, default_namespace)
}

/// The name by which a component owns fields, made of the one by which it is known.
fn agent(name: &str) -> &str {
    if name.starts_with("system:node:") {
        return "kubelet";
    }
    name.rsplit(':').next().unwrap_or(name)
}
