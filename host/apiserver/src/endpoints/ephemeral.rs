//! `ephemeralcontainers`: containers put into a pod that runs, to look at the others.

use async_trait::async_trait;
use axum::body::Body;
use coracle_kinds::validation;
use coracle_store::Entry;
use http::{Response, StatusCode};
use k8s_openapi::api::core::v1::Pod;

use super::options::WriteOptions;
use super::patch::Patching;
use super::update::Replace;
use super::{Call, respond};
use crate::error::{ApiError, Result};
use crate::registry::{self, Change, Kind, Object};
use crate::request::Verb;

/// Takes nothing but the ephemeral containers of what a change makes.
struct Attach<'a>(Box<dyn Change + 'a>);

#[async_trait]
impl Change for Attach<'_> {
    async fn apply(&mut self, entry: &Entry, old: &dyn Object) -> Result<Box<dyn Object>> {
        let sent = self.0.apply(entry, old).await?;
        let pods = sent.downcast_ref::<Pod>().zip(old.downcast_ref::<Pod>());
        let (sent, old) = pods.ok_or_else(ApiError::no_such_path)?;
        let mut new = old.clone();
        let wanted = sent.spec.as_ref().and_then(|spec| spec.ephemeral_containers.clone());
        new.spec.get_or_insert_default().ephemeral_containers = wanted;
        new.metadata.resource_version.clone_from(&sent.metadata.resource_version);
        if sent.metadata.uid.is_some() {
            new.metadata.uid.clone_from(&sent.metadata.uid);
        }
        let causes = validation::ephemeral_containers(&new, old);
        if causes.is_empty() {
            return Ok(Box::new(new));
        }
        let name = new.metadata.name.as_deref().unwrap_or_default();
        Err(ApiError::invalid("", "Pod", name, causes))
    }
}

/// Changes the ephemeral containers of a pod by a whole pod or by a patch.
pub(super) async fn change(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let by_patch = call.verb == Verb::Patch;
    let options = if by_patch { "PatchOptions" } else { "UpdateOptions" };
    let options = WriteOptions::read(&call.params, options)?;
    let change: Box<dyn Change + '_> = if by_patch {
        Box::new(Patching::read(call, kind, &options, body).await?)
    } else {
        Box::new(Replace::read(call, kind, &options, body).await?)
    };
    let write = call.write(kind, options.dry_run);
    let name = &call.target.name;
    let (written, _) = registry::update(write, name, None, &mut Attach(change)).await?;
    respond::object(kind, StatusCode::OK, output, written).await
}
