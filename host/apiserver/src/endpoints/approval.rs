//! `approval`: whether a request for a certificate is granted. Touches the conditions and nothing
//! else.

use async_trait::async_trait;
use axum::body::Body;
use coracle_kinds::strategy::date_conditions;
use coracle_kinds::validation::{Setting, certificate_signing_request_update};
use coracle_store::Entry;
use http::{Response, StatusCode};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::options::WriteOptions;
use super::patch::Patching;
use super::update::Replace;
use super::{Call, respond};
use crate::error::{ApiError, Result};
use crate::registry::{self, Change, Kind, Object};

/// A change of the whole object of which the conditions are taken.
struct Approve<C>(C);

#[async_trait]
impl<C: Change> Change for Approve<C> {
    async fn apply(&mut self, entry: &Entry, old: &dyn Object) -> Result<Box<dyn Object>> {
        let sent = self.0.apply(entry, old).await?;
        let (Some(old), Some(sent)) = (
            old.downcast_ref::<CertificateSigningRequest>(),
            sent.downcast_ref::<CertificateSigningRequest>(),
        ) else {
            return Err(ApiError::no_such_path());
        };
        let mut new = old.clone();
        let conditions = sent.status.as_ref().and_then(|status| status.conditions.clone());
        new.status.get_or_insert_default().conditions = conditions;
        date_conditions(&mut new, old);
        let causes = certificate_signing_request_update(&new, old, Setting::Approval);
        if !causes.is_empty() {
            let name = old.metadata.name.as_deref().unwrap_or_default();
            let kind = "CertificateSigningRequest";
            return Err(ApiError::invalid("certificates.k8s.io", kind, name, causes));
        }
        new.metadata.resource_version.clone_from(&sent.metadata.resource_version);
        if sent.metadata.uid.is_some() {
            new.metadata.uid.clone_from(&sent.metadata.uid);
        }
        Ok(Box::new(new))
    }
}

pub(super) async fn update(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let options = WriteOptions::read(&call.params, "UpdateOptions")?;
    let replace = Replace::read(call, kind, &options, body).await?;
    approve(call, kind, replace, options.dry_run).await
}

pub(super) async fn patch(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let options = WriteOptions::read(&call.params, "PatchOptions")?;
    let patching = Patching::read(call, kind, &options, body).await?;
    approve(call, kind, patching, options.dry_run).await
}

async fn approve(
    call: &Call,
    kind: &dyn Kind,
    change: impl Change,
    dry_run: bool,
) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let write = call.write(kind, dry_run);
    let mut change = Approve(change);
    let (written, _) = registry::update(write, &call.target.name, None, &mut change).await?;
    respond::object(kind, StatusCode::OK, output, written).await
}
