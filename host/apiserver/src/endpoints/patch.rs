//! An object changed by a patch, tried again on newer states until it fits.

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use coracle_schema::managed::cut;
use coracle_store::Entry;
use http::{Response, StatusCode};
use serde_json::Value;

use super::decode::{complete, strict};
use super::options::{FieldValidation, WriteOptions};
use super::{Call, apply, body, respond, update};
use crate::error::{ApiError, Cause, Result};
use crate::patch::{self, Format, Schema};
use crate::registry::{self, Change, Decoded, Kind, Object, Part};

/// A patch as it was sent.
pub(super) struct Patch {
    format: Format,
    bytes: Bytes,
}

const ACCEPTED: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    apply::MEDIA_TYPE,
];

impl Patch {
    pub(super) async fn read(call: &Call, body: Body) -> Result<Self> {
        let format = match body::media_type(&call.headers) {
            "application/json-patch+json" => Format::Json,
            "application/merge-patch+json" => Format::Merge,
            "application/strategic-merge-patch+json" => Format::Strategic,
            _ => return Err(body::unsupported(ACCEPTED)),
        };
        Ok(Self { format, bytes: body::read(call, body).await? })
    }

    /// Whether the word is anywhere in it.
    fn mentions(&self, word: &str) -> bool {
        memchr::memmem::find(&self.bytes, word.as_bytes()).is_some()
    }

    /// `current` with the patch applied. The schema tells what the lists in it are merged by.
    pub(super) fn apply(&self, current: Value, schema: Option<Schema>) -> Result<Value> {
        Ok(patch::apply(self.format, current, &self.bytes, schema)?)
    }
}

/// An object to which a patch is applied.
pub(super) struct Patching<'a> {
    call: &'a Call,
    kind: &'a dyn Kind,
    patch: Patch,
    validation: FieldValidation,
}

impl<'a> Patching<'a> {
    pub(super) async fn read(
        call: &'a Call,
        kind: &'a dyn Kind,
        options: &WriteOptions,
        body: Body,
    ) -> Result<Self> {
        let patch = Patch::read(call, body).await?;
        Ok(Self { call, kind, patch, validation: options.field_validation })
    }
}

#[async_trait]
impl Change for Patching<'_> {
    async fn apply(&mut self, entry: &Entry, old: &dyn Object) -> Result<Box<dyn Object>> {
        // Few patches are about the owners of fields; the others need not see the list.
        let stored = match cut(&entry.value) {
            (rest, Some(_)) if !self.patch.mentions("managedFields") => {
                Bytes::from(rest.into_owned())
            }
            _ => entry.value.clone(),
        };
        let current = self.kind.shown(stored).await?;
        let current = serde_json::from_slice(&current).map_err(ApiError::internal)?;
        let schema = [self.kind, self.kind.hub()].into_iter().find_map(|kind| {
            let names = kind.names();
            Schema::of_kind(&names.group, &names.version, &names.kind)
        });
        let patched = self.patch.apply(current, schema)?;
        let json = serde_json::to_vec(&patched).map_err(ApiError::internal)?;
        let invalid = |why: &str| {
            let value = String::from_utf8_lossy(&json).into_owned();
            ApiError::invalid("", "", "", vec![Cause::invalid("patch", value, why)])
        };
        let Decoded { object, complaints } =
            self.kind.decode(&json).map_err(|error| invalid(&ApiError::from(error).message))?;
        match self.validation {
            FieldValidation::Strict if !complaints.is_empty() => {
                return Err(invalid(&strict(&complaints)));
            }
            FieldValidation::Warn => {
                complaints.into_iter().for_each(|text| self.call.warnings.add(text));
            }
            FieldValidation::Strict | FieldValidation::Ignore => {}
        }
        let mut object = complete(self.kind, object).await?;
        let meta = object.meta_mut();
        // A patch that takes the identity away means the object that it was applied to.
        let before = old.meta();
        if meta.name.is_none() {
            meta.name.clone_from(&before.name);
        }
        update::same_object(self.call, &mut *object)?;
        self.kind.allows(&*object, Some(old))?;
        Ok(object)
    }
}

pub(super) async fn patch(
    call: &Call,
    kind: &dyn Kind,
    part: Option<Part>,
    body: Body,
) -> Result<Response<Body>> {
    if body::media_type(&call.headers) == apply::MEDIA_TYPE {
        return apply::apply(call, kind, part, body).await;
    }
    let output = call.output(kind.names())?;
    let options = WriteOptions::read_patch(&call.params, false)?;
    let mut patching = Patching::read(call, kind, &options, body).await?;
    let write = call.write(kind, options.dry_run);
    let name = &call.target.name;
    let (written, _) = registry::update(write, name, part, &mut patching).await?;
    respond::object(kind, StatusCode::OK, output, written).await
}
