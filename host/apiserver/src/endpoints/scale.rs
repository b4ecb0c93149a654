//! The `scale` subresource: `autoscaling/v1 Scale` as a view of an object.

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use coracle_store::Entry;
use http::{Response, StatusCode};
use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::negotiate::{Output, View};
use super::options::WriteOptions;
use super::patch::Patch;
use super::{Call, apply, body, respond};
use crate::error::{ApiError, Cause, Result};
use crate::patch::Schema;
use crate::registry::{self, ApiResource, Change, Kind, Names, Object, Part, key};

/// How scales are called.
pub(super) fn resource() -> ApiResource {
    ApiResource::from(&Names {
        group: "autoscaling",
        version: "v1",
        kind: "Scale",
        plural: "",
        singular: "",
        short: &[],
        categories: &[],
        namespaced: true,
        status: false,
    })
}

fn view(kind: &dyn Kind, object: &dyn Object) -> Result<Scale> {
    let scale = kind.scale(object).ok_or_else(ApiError::no_such_path)?;
    let meta = object.meta();
    let metadata = ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        creation_timestamp: meta.creation_timestamp.clone(),
        ..ObjectMeta::default()
    };
    let selector = Some(scale.selector).filter(|selector| !selector.is_empty());
    Ok(Scale {
        metadata,
        spec: Some(ScaleSpec { replicas: Some(scale.desired) }),
        status: Some(ScaleStatus { replicas: scale.current, selector }),
    })
}

/// `kind` and the object are of the version that is stored.
pub(super) fn answer(call: &Call, kind: &dyn Kind, object: &[u8]) -> Result<Response<Body>> {
    let output = Output::negotiate(&call.headers, &call.params)?;
    let scale = view(kind, &*kind.restore(object)?)?;
    let output = Output { view: View::Object, ..output };
    let value = serde_json::to_vec(&scale).map_err(ApiError::internal)?;
    respond::raw(StatusCode::OK, output, value.into())
}

pub(super) async fn get(call: &Call, kind: &dyn Kind) -> Result<Response<Body>> {
    let kind = kind.hub();
    let names = kind.names();
    let target = &call.target;
    let entry = call.server.store.get(&key(names, &target.namespace, &target.name)).await?;
    let entry =
        entry.ok_or_else(|| ApiError::not_found(&names.group, &names.plural, &target.name))?;
    answer(call, kind, &entry.value)
}

/// What a caller does to a scale.
enum Scaling {
    Replace(Box<Scale>),
    Patch(Patch),
}

struct Rescale<'a> {
    kind: &'a dyn Kind,
    scaling: Scaling,
}

#[async_trait]
impl Change for Rescale<'_> {
    async fn apply(&mut self, _entry: &Entry, old: &dyn Object) -> Result<Box<dyn Object>> {
        let scale = match &self.scaling {
            Scaling::Replace(scale) => Scale::clone(scale),
            Scaling::Patch(patch) => {
                let current = view(self.kind, old)?;
                let current = serde_json::to_value(current).map_err(ApiError::internal)?;
                let schema = Schema::of_kind("autoscaling", "v1", "Scale");
                let patched = patch.apply(current, schema)?;
                serde_json::from_value(patched)
                    .map_err(|error| ApiError::bad_request(format!("cannot read Scale: {error}")))?
            }
        };
        let name = old.meta().name.as_deref().unwrap_or_default();
        let desired = scale.spec.and_then(|spec| spec.replicas).unwrap_or_default();
        if desired < 0 {
            let detail = "must be greater than or equal to 0";
            let cause = Cause::invalid("spec.replicas", desired, detail);
            return Err(ApiError::invalid("autoscaling", "Scale", name, vec![cause]));
        }
        let mut new = old.boxed_clone();
        self.kind.set_scale(&mut *new, desired);
        let meta = new.meta_mut();
        meta.resource_version = scale.metadata.resource_version;
        if let Some(uid) = scale.metadata.uid.filter(|uid| !uid.is_empty()) {
            meta.uid = Some(uid);
        }
        Ok(new)
    }
}

pub(super) async fn update(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let options = WriteOptions::read(&call.params, "UpdateOptions")?;
    let json: Bytes = body::json(call, body).await?;
    let scale: Scale = serde_json::from_slice(&json).map_err(|error| {
        let message =
            format!("Scale in version \"v1\" cannot be handled as a Scale: json: {error}");
        ApiError::bad_request(message)
    })?;
    let name = scale.metadata.name.as_deref().unwrap_or_default();
    if name != call.target.name {
        let message = format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.target.name
        );
        return Err(ApiError::bad_request(message));
    }
    rescale(call, kind, Scaling::Replace(Box::new(scale)), options.dry_run).await
}

pub(super) async fn patch(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    if body::media_type(&call.headers) == apply::MEDIA_TYPE {
        return apply::apply_scale(call, kind, body).await;
    }
    let options = WriteOptions::read_patch(&call.params, false)?;
    let patch = Patch::read(call, body).await?;
    rescale(call, kind, Scaling::Patch(patch), options.dry_run).await
}

async fn rescale(
    call: &Call,
    kind: &dyn Kind,
    scaling: Scaling,
    dry_run: bool,
) -> Result<Response<Body>> {
    let kind = kind.hub();
    let mut change = Rescale { kind, scaling };
    let write = call.write(kind, dry_run);
    let (written, _) =
        registry::update(write, &call.target.name, Some(Part::Main), &mut change).await?;
    answer(call, kind, &written)
}
