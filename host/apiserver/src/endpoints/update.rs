//! An object, or what of it a subresource is about, replaced by what the caller sends.

use async_trait::async_trait;
use axum::body::Body;
use coracle_store::Entry;
use http::{Response, StatusCode};

use super::decode::decode;
use super::options::WriteOptions;
use super::{Call, body, respond};
use crate::error::{ApiError, Result};
use crate::registry::{self, Change, Kind, Object, Part};

/// An object that takes the place of another.
pub(super) struct Replace<'a> {
    kind: &'a dyn Kind,
    object: Box<dyn Object>,
}

impl<'a> Replace<'a> {
    pub(super) async fn read(
        call: &Call,
        kind: &'a dyn Kind,
        options: &WriteOptions,
        body: Body,
    ) -> Result<Self> {
        let json = body::json(call, body).await?;
        let mut object = decode(kind, &json, options.field_validation, &call.warnings).await?;
        same_object(call, &mut *object)?;
        Ok(Self { kind, object })
    }
}

#[async_trait]
impl Change for Replace<'_> {
    async fn apply(&mut self, _entry: &Entry, old: &dyn Object) -> Result<Box<dyn Object>> {
        self.kind.allows(&*self.object, Some(old))?;
        Ok(self.object.boxed_clone())
    }

    async fn create(&mut self, usual: bool) -> Result<Option<Box<dyn Object>>> {
        if !usual {
            return Ok(None);
        }
        self.kind.allows(&*self.object, None)?;
        Ok(Some(self.object.boxed_clone()))
    }
}

pub(super) async fn update(
    call: &Call,
    kind: &dyn Kind,
    part: Option<Part>,
    body: Body,
) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let options = WriteOptions::read(&call.params, "UpdateOptions")?;
    let mut replace = Replace::read(call, kind, &options, body).await?;
    let name = &call.target.name;
    let write = call.write(kind, options.dry_run);
    let (written, created) = registry::update(write, name, part, &mut replace).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    respond::object(kind, status, output, written).await
}

/// Refuses a body that speaks of another object than the path.
pub(super) fn same_object(call: &Call, object: &mut dyn Object) -> Result<()> {
    let target = &call.target;
    let meta = object.meta();
    let name = meta.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            target.name
        )));
    }
    if name != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    if !target.namespace.is_empty() && !namespace.is_empty() && namespace != target.namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the \
             request ({})",
            target.namespace
        )));
    }
    Ok(())
}
