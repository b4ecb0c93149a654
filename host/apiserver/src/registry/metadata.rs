//! The rules for `metadata` that every kind shares: `k8s.io/apiserver/pkg/registry/rest`.

use coracle_kinds::validation;
use coracle_store::Value;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Kind, Object, Write, encode};
use crate::error::{ApiError, Cause, CauseReason, Result};

/// Puts a new object into the namespace of its request.
pub(crate) fn place(object: &mut dyn Object, namespaced: bool, namespace: &str) -> Result<()> {
    let meta = object.meta_mut();
    if !namespaced {
        meta.namespace = None;
        return Ok(());
    }
    match meta.namespace.as_deref() {
        None | Some("") => meta.namespace = Some(namespace.to_owned()),
        Some(own) if own == namespace => {}
        Some(_) => {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
    }
    Ok(())
}

/// The faults of an object's metadata.
pub(crate) fn validate(kind: &dyn Kind, object: &dyn Object) -> Vec<Cause> {
    let names = kind.names();
    let any_finalizer = kind.rules().any_finalizer;
    let name_rule = |name: &str| kind.validate_name(name);
    validation::object_meta(object.meta(), names.namespaced, any_finalizer, &name_rule)
}

/// The error for an object with these faults. What cannot be read at all makes it a bad request.
pub(crate) fn refused(kind: &dyn Kind, name: &str, causes: Vec<Cause>) -> ApiError {
    let names = kind.names();
    match causes.iter().find(|cause| cause.reason == CauseReason::Malformed) {
        None => ApiError::invalid(&names.group, &names.kind, name, causes),
        Some(malformed) => {
            let (version, kind) = (&names.version, &names.kind);
            ApiError::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {}",
                malformed.message
            ))
        }
    }
}

/// Brings back what an update may not touch.
pub(crate) fn carry_over(new: &mut ObjectMeta, old: &ObjectMeta) {
    if new.uid.as_ref().is_none_or(String::is_empty) {
        new.uid.clone_from(&old.uid);
    }
    new.creation_timestamp.clone_from(&old.creation_timestamp);
    if old.deletion_timestamp.is_some() {
        new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    }
    if old.deletion_grace_period_seconds.is_some() && new.deletion_grace_period_seconds.is_none() {
        new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    }
    new.self_link = None;
    omit_empty(new);
}

/// Leaves out what says nothing, as Go does when it writes metadata.
pub(crate) fn omit_empty(meta: &mut ObjectMeta) {
    meta.finalizers.take_if(|list| list.is_empty());
    meta.owner_references.take_if(|list| list.is_empty());
    meta.annotations.take_if(|map| map.is_empty());
    meta.labels.take_if(|map| map.is_empty());
}

/// The faults of a change of metadata.
pub(crate) fn validate_update(new: &ObjectMeta, old: &ObjectMeta) -> Vec<Cause> {
    let mut causes = vec![];
    let mut immutable = |field: &str, new: Option<&String>, old: Option<&String>| {
        if new.is_some_and(|new| Some(new) != old && !new.is_empty()) {
            let value = new.map_or("", String::as_str);
            causes.push(Cause::invalid(format!("metadata.{field}"), value, "field is immutable"));
        }
    };
    immutable("name", new.name.as_ref(), old.name.as_ref());
    immutable("namespace", new.namespace.as_ref(), old.namespace.as_ref());
    immutable("uid", new.uid.as_ref(), old.uid.as_ref());
    if new.deletion_timestamp != old.deletion_timestamp {
        let value = new.deletion_timestamp.as_ref().map(|time| time.0.to_string());
        causes.push(Cause::invalid("metadata.deletionTimestamp", value, "field is immutable"));
    }
    if new.deletion_grace_period_seconds != old.deletion_grace_period_seconds {
        let value = new.deletion_grace_period_seconds;
        let field = "metadata.deletionGracePeriodSeconds";
        causes.push(Cause::invalid(field, value, "field is immutable"));
    }
    if old.deletion_timestamp.is_some() {
        let kept = old.finalizers.as_deref().unwrap_or_default();
        let added: Vec<&String> =
            new.finalizers.iter().flatten().filter(|finalizer| !kept.contains(finalizer)).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new \
                 finalizers {added:?}"
            );
            causes.push(Cause::forbidden("metadata.finalizers", &detail));
        }
    }
    causes
}

/// The encoding of an object that is small enough to be stored, if need be without the owners of
/// its fields.
pub(crate) fn sized(
    write: Write<'_>,
    object: &mut dyn Object,
    owners: Option<&[u8]>,
) -> Result<Value> {
    let limit = write.server.limits.object;
    let value = encode(object, owners).map_err(ApiError::internal)?;
    match fits(&value, limit) {
        Ok(()) => Ok(value),
        Err(refused) => {
            if owners.is_none() {
                return Err(refused);
            }
            let value = encode(object, None).map_err(ApiError::internal)?;
            fits(&value, limit).map(|()| value)
        }
    }
}

/// Refuses what is too large to be stored.
fn fits(value: &Value, limit: usize) -> Result<()> {
    let size = value.head.len() + value.tail.as_ref().map_or(0, bytes::Bytes::len);
    if size > limit {
        let why = format!("the object has {size} bytes, at most {limit} can be stored");
        return Err(ApiError::too_large(why));
    }
    Ok(())
}
