//! A new object.

use axum::body::Body;
use http::{Response, StatusCode};

use super::decode::decode;
use super::options::WriteOptions;
use super::{Call, body, respond};
use crate::error::Result;
use crate::registry::{self, Kind, Owners};

pub(super) async fn create(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let options = WriteOptions::read(&call.params, "CreateOptions")?;
    let json = body::json(call, body).await?;
    let object = decode(kind, &json, options.field_validation, &call.warnings).await?;
    kind.allows(&*object, None)?;
    let written =
        registry::create(call.write(kind, options.dry_run), object, Owners::Compared).await?;
    respond::object(kind, StatusCode::CREATED, output, written).await
}
