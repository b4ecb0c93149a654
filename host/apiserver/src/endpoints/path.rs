//! Everything that is no resource: discovery, health, version, metrics, the index.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use coracle_api::version;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};

use super::negotiate::Output;
use super::openapi::Foreign;
use super::{discovery, health, respond};
use crate::aggregator::Group;
use crate::error::{ApiError, Result};
use crate::registry::{Kind, prefix};
use crate::request::Params;
use crate::server::Server;

/// Whether the path is the API server's, rather than one that the program adds.
pub(crate) fn is_own(path: &str) -> bool {
    let root = path.split('/').nth(1).unwrap_or_default();
    let roots = [
        "",
        ".well-known",
        "api",
        "apis",
        "healthz",
        "livez",
        "metrics",
        "openapi",
        "openid",
        "readyz",
        "version",
    ];
    roots.contains(&root)
}

/// The `Status` for paths that nobody knows.
pub(crate) fn not_found() -> Json<Value> {
    Json(ApiError::no_such_path().status())
}

pub(crate) async fn path(
    server: &Server,
    params: &Params,
    request: &Parts,
) -> Result<Response<Body>> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    let path = request.uri.path();
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        [] => shown(&index(server).await?),
        ["healthz" | "livez" | "readyz", ..] => health::health(server, params, path).await,
        ["version"] => shown(&build(server)),
        ["metrics"] => metrics(server).await,
        [".well-known", "openid-configuration"] => {
            issuer(&server.authenticator.service_accounts.configuration(), "application/json")
        }
        ["openid", "v1", "jwks"] => {
            let keys = server.authenticator.service_accounts.key_set();
            issuer(&keys, "application/jwk-set+json")
        }
        ["openapi", ..] => openapi(server, params, request, &segments).await,
        ["api" | "apis", ..] => discovery::discover(server, params, request, &segments).await,
        _ => Err(ApiError::no_such_path()),
    }
}

/// What is said of the issuer of service accounts' tokens.
fn issuer(value: &Value, media: &'static str) -> Result<Response<Body>> {
    let body = serde_json::to_vec(value).map_err(ApiError::internal)?;
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Ok(response)
}

async fn openapi(
    server: &Server,
    params: &Params,
    request: &Parts,
    segments: &[&str],
) -> Result<Response<Body>> {
    let extensions = server.aggregator.extensions(&*server.store).await?;
    let foreign: Vec<_> = extensions.iter().map(|extension| Foreign::of(extension)).collect();
    let documents = server.openapi.of(&server.registry.table(), &foreign)?;
    documents.answer(segments, params.get("hash"), &request.headers)
}

/// What is no object of the API has one form.
fn shown(value: &Value) -> Result<Response<Body>> {
    respond::value(StatusCode::OK, Output::READABLE, value)
}

async fn index(server: &Server) -> Result<Value> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .into();
    let groups = server.aggregator.groups(&*server.store, &server.registry.table()).await?;
    for Group { name: group, versions } in groups.iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{}", version.name)));
    }
    paths.sort();
    Ok(json!({ "paths": paths }))
}

fn build(server: &Server) -> Value {
    json!({
        "major": version::MAJOR,
        "minor": version::MINOR,
        "gitVersion": format!("{}+coracle-{}", version::KUBERNETES, server.build),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

async fn metrics(server: &Server) -> Result<Response<Body>> {
    let stored = |kind: &&Arc<dyn Kind>| kind.conversion().is_none() && !kind.rules().observed;
    for kind in server.registry.table().kinds().iter().filter(stored) {
        let names = kind.names();
        let count = server.store.count(&prefix(names, "")).await?;
        server.metrics.stored(names, count);
    }
    let mut response = Response::new(Body::from(server.metrics.text()?));
    let text = HeaderValue::from_static(
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
    );
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    Ok(response)
}
