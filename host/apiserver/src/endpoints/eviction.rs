//! `eviction`: a deletion that asks whether it is welcome.

use axum::body::Body;
use http::{Response, StatusCode};
use serde::Deserialize;

use super::negotiate::Output;
use super::options::WriteOptions;
use super::{Call, body, respond};
use crate::error::{ApiError, Result};
use crate::registry::{self, DeleteOptions, Kind};

/// `policy/v1 Eviction`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Eviction {
    metadata: Metadata,
    delete_options: Option<DeleteOptions>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

pub(super) async fn create(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = Output::negotiate(&call.headers, &call.params)?;
    let options = WriteOptions::read(&call.params, "CreateOptions")?;
    let json = body::json(call, body).await?;
    let eviction: Eviction = serde_json::from_slice(&json).map_err(|error| {
        let message =
            format!("Eviction in version \"v1\" cannot be handled as a Eviction: json: {error}");
        ApiError::bad_request(message)
    })?;
    let name = &call.target.name;
    if !eviction.metadata.name.is_empty() && eviction.metadata.name != *name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let delete = eviction.delete_options.unwrap_or_default();
    let dry = |values: &Vec<String>| values.iter().any(|value| value == "All");
    let dry_run = options.dry_run || delete.dry_run.as_ref().is_some_and(dry);
    registry::delete(call.write(kind, dry_run), name, &delete).await?;
    respond::success(StatusCode::CREATED, output, None)
}
