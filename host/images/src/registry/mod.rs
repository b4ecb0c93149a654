//! The HTTP side of the image store: the OCI distribution API (`/v2/`) and plain uploads.
//!
//! A repository is named `<namespace>/<name>` and is the `Module` of that name. Who may read a
//! Module may pull it, who may write it may push: every request goes through its sender's own
//! client. Blobs may be fetched only under names that they were pushed to.

mod blobs;
mod catalog;
mod error;
mod manifests;
mod range;
mod repository;
mod sessions;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::request::Parts;
use http::{Extensions, StatusCode, header};
use kube::Client;

use crate::{Images, upload};
pub(crate) use error::RegistryError;
pub(crate) use repository::Repository;
use sessions::Sessions;

/// Gives a request's sender a client of its own, from what authentication left in the request.
type Clients = Arc<dyn Fn(&Extensions) -> Client + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Registry {
    pub(crate) images: Images,
    clients: Clients,
    sessions: Arc<Sessions>,
}

/// The routes `/upload/<namespace>/<name>[:<tag>]` and `/v2/...`. To be mounted behind
/// authentication; `clients` gives the client of a request's sender.
pub fn router(
    images: Images,
    clients: impl Fn(&Extensions) -> Client + Send + Sync + 'static,
) -> Router {
    let registry = Registry { images, clients: Arc::new(clients), sessions: Arc::default() };
    let distribution = Router::new()
        .route("/_catalog", get(catalog::repositories))
        .route("/{namespace}/{name}/tags/list", get(catalog::tags))
        .route(
            "/{namespace}/{name}/manifests/{reference}",
            get(manifests::get).put(manifests::put).delete(manifests::delete),
        )
        .route("/{namespace}/{name}/blobs/{digest}", get(blobs::get).delete(blobs::delete))
        .route("/{namespace}/{name}/blobs/uploads/", post(uploads::start))
        .route(
            "/{namespace}/{name}/blobs/uploads/{session}",
            get(uploads::status)
                .patch(uploads::append)
                .put(uploads::finish)
                .delete(uploads::cancel),
        )
        .route("/{namespace}/{name}/referrers/{digest}", get(no_such_endpoint))
        .fallback(unknown);
    Router::new()
        .route("/upload/{namespace}/{reference}", put(upload::put))
        .route("/v2", get(base))
        .route("/v2/", get(base))
        .nest("/v2", distribution)
        .with_state(registry)
}

/// "This server speaks the distribution API."
async fn base() -> Response {
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/json"),
        ("docker-distribution-api-version", "registry/2.0"),
    ];
    (headers, "{}").into_response()
}

/// Clients then use the specification's way for registries without this list.
async fn no_such_endpoint() -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn unknown() -> RegistryError {
    RegistryError::name_invalid("repositories are named <namespace>/<name>")
}

/// The client of the request's sender.
pub(crate) struct Caller(pub(crate) Client);

impl FromRequestParts<Registry> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        registry: &Registry,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self((registry.clients)(&parts.extensions)))
    }
}
