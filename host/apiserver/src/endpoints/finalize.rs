//! `finalize`: who empties a namespace says that he is done.

use axum::body::Body;
use coracle_store::Entry;
use http::{Response, StatusCode};
use k8s_openapi::api::core::v1::Namespace;

use super::decode::decode;
use super::options::WriteOptions;
use super::{Call, body, respond, update::same_object};
use crate::error::{ApiError, Result};
use crate::registry::{self, Kind, Object};

pub(super) async fn update(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let options = WriteOptions::read(&call.params, "UpdateOptions")?;
    let json = body::json(call, body).await?;
    let mut sent = decode(kind, &json, options.field_validation, &call.warnings).await?;
    same_object(call, &mut *sent)?;
    let sent = sent.downcast_ref::<Namespace>().ok_or_else(ApiError::no_such_path)?.clone();
    let mut release = |_: &Entry, old: &dyn Object| -> Result<Box<dyn Object>> {
        let old = old.downcast_ref::<Namespace>().ok_or_else(ApiError::no_such_path)?;
        let mut new = old.clone();
        let finalizers = sent.spec.as_ref().and_then(|spec| spec.finalizers.clone());
        new.spec.get_or_insert_default().finalizers = finalizers;
        new.metadata.resource_version.clone_from(&sent.metadata.resource_version);
        if sent.metadata.uid.is_some() {
            new.metadata.uid.clone_from(&sent.metadata.uid);
        }
        Ok(Box::new(new))
    };
    let write = call.write(kind, options.dry_run);
    let (written, _) = registry::update(write, &call.target.name, None, &mut release).await?;
    respond::object(kind, StatusCode::OK, output, written).await
}
