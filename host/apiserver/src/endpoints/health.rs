//! `/healthz`, `/livez`, `/readyz`, whole, check by check, and with `?verbose`.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

use crate::error::{ApiError, Result};
use crate::request::Params;
use crate::server::Server;

pub(super) async fn health(server: &Server, params: &Params, path: &str) -> Result<Response<Body>> {
    let mut segments = path.trim_matches('/').splitn(2, '/');
    let endpoint = segments.next().unwrap_or_default();
    let asked = segments.next();
    let store = server.store.revision().await.is_ok();
    let mut checks = vec![("ping", true), ("log", true), ("etcd", store)];
    if endpoint == "readyz" {
        checks.push(("informer-sync", true));
        checks.push(("shutdown", !server.ending.is_cancelled()));
    }
    if let Some(asked) = asked {
        checks.retain(|(name, _)| *name == asked);
        if checks.is_empty() {
            return Err(ApiError::no_such_path());
        }
    }
    checks.retain(|(name, _)| params.all("exclude").all(|excluded| excluded != *name));
    let healthy = checks.iter().all(|(_, healthy)| *healthy);
    let mut text = String::new();
    for (name, healthy) in &checks {
        text += &match healthy {
            true => format!("[+]{name} ok\n"),
            false => format!("[-]{name} failed: reason withheld\n"),
        };
    }
    let (status, text) = match (healthy, params.get("verbose").is_some()) {
        (true, false) => (StatusCode::OK, "ok".to_owned()),
        (true, true) => (StatusCode::OK, format!("{text}{endpoint} check passed\n")),
        (false, _) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{text}{endpoint} check failed\n"))
        }
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    Ok(response)
}
