//! A Kubernetes client without sockets: requests go straight into the filters, under an identity
//! of their own.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use tower::ServiceExt;

use crate::authn::Identity;

/// A client over `router` for a component of the program. Upgrades (exec, port-forward) do not
/// work through it.
pub fn client(router: axum::Router, identity: Identity, default_namespace: &str) -> kube::Client {
    let identity = Arc::new(identity);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(identity.clone());
        async move {
            let response: Result<Response<Body>, Infallible> = router.oneshot(request).await;
            response
        }
    });
    kube::Client::new(service, default_namespace)
}
