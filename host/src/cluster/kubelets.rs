//! The way from the API server to node agents of the same process.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use axum::Router;
use axum::body::Body;
use coracle_apiserver::{Kubelets, Unreachable};
use futures::future::BoxFuture;
use http::{Request, Response};
use tower::ServiceExt;

/// The agents' routers by the names of their nodes.
#[derive(Default)]
pub(crate) struct InProcess(RwLock<HashMap<String, Router>>);

impl InProcess {
    /// Makes an agent reachable.
    pub(crate) fn insert(&self, node: &str, router: Router) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), router);
    }
}

impl Kubelets for InProcess {
    fn call(
        &self,
        node: &str,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, Unreachable>> {
        let agents = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let agent = agents
            .get(node)
            .cloned()
            .ok_or_else(|| Unreachable(format!("node {node:?} is not run by this program")));
        Box::pin(async move { Ok(agent?.oneshot(request).await.unwrap_or_else(|e| match e {})) })
    }
}
