//! One object: its stored bytes, as they are.

use axum::body::Body;
use http::{Response, StatusCode};

use super::{Call, options, respond};
use crate::error::{ApiError, Result};
use crate::registry::{Kind, key};

pub(super) async fn get(call: &Call, kind: &dyn Kind) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let target = &call.target;
    if let Some(asked) = options::version(&call.params)? {
        let current = call.server.store.revision().await?;
        if asked > current {
            return Err(ApiError::future(asked, current));
        }
    }
    let names = kind.hub().names();
    let entry = call.server.store.get(&key(names, &target.namespace, &target.name)).await?;
    let entry =
        entry.ok_or_else(|| ApiError::not_found(&names.group, &names.plural, &target.name))?;
    respond::object(kind, StatusCode::OK, output, entry.value.clone()).await
}
