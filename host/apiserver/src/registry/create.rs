//! From a decoded object to a stored one.

use bytes::Bytes;
use coracle_api::{clock, dice};
use coracle_store::Error as StoreError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Object, Owners, Write, json, key, managed, metadata};
use crate::admission::{Attributes, Operation};
use crate::error::{ApiError, Reason, Result};

/// How many generated names are tried before the caller has to.
const ATTEMPTS: usize = 8;
/// Random characters at the end of a generated name.
const SUFFIX: usize = 5;
/// Bytes of the given part of a generated name that are kept, so that the whole fits a label.
const BASE: usize = 63 - SUFFIX;

/// Stores a new object; the answer is its encoding.
pub(crate) async fn create(
    write: Write<'_>,
    mut object: Box<dyn Object>,
    owners: Owners,
) -> Result<Bytes> {
    let Write { server, kind, namespace, .. } = write;
    let names = kind.names();
    if kind.rules().terminating {
        let message = "create not allowed while custom resource definition is terminating";
        return Err(ApiError::new(Reason::MethodNotAllowed, message));
    }
    metadata::place(&mut *object, names.namespaced, namespace)?;
    // What is filled in on the way from here is nobody's.
    let owners = match owners {
        Owners::Compared => managed::created(write, &mut *object).await?,
        Owners::Known(owners) => owners,
    };
    let given = object.meta().name.clone().unwrap_or_default();
    let attributes = Attributes { operation: Operation::Create, write, name: &given };
    server.admission.admit(&attributes, &mut *object, None).await?;
    let meta = object.meta_mut();
    meta.creation_timestamp = Some(Time(super::seconds(clock::now())));
    meta.uid = Some(dice::uuid());
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.self_link = None;
    let versioned = meta.resource_version.take().is_some_and(|given| !matches!(&*given, "" | "0"));
    meta.generation = None;
    metadata::omit_empty(meta);
    // What is allocated is held until it is written, or given up.
    let _held = server.allocators.begin_create(write, &mut *object).await?;
    let base = generated(&*object);
    let next = || base.as_ref().map(|base| format!("{base}{}", dice::suffix(SUFFIX)));
    if let Some(name) = next() {
        object.meta_mut().name = Some(name);
    }
    kind.prepare_create(&mut *object);
    let mut attempt = 0;
    loop {
        attempt += 1;
        if let Some(name) = next().filter(|_| attempt > 1) {
            kind.rename(&mut *object, name);
        }
        let mut causes = metadata::validate(kind, &*object);
        causes.extend(kind.validate(&*object));
        causes.extend(kind.validate_create(&*object));
        let name = object.meta().name.clone().unwrap_or_default();
        if !causes.is_empty() {
            return Err(metadata::refused(kind, &name, causes));
        }
        let warnings = kind.warnings(&*object, None);
        warnings.into_iter().for_each(|text| write.warnings.add(text));
        let attributes = Attributes { operation: Operation::Create, write, name: &name };
        server.admission.validate(&attributes, Some(&*object), None).await?;
        if versioned && !write.dry_run {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(ApiError::new(Reason::Unknown, message));
        }
        let key = key(names, namespace, &name);
        let taken = match store(write, &key, &mut *object, owners.as_deref()).await {
            Ok(bytes) => return Ok(bytes),
            Err(Failure::Taken) => ApiError::already_exists(&names.group, &names.plural, &name),
            Err(Failure::Other(error)) => return Err(error),
        };
        if base.is_none() {
            return Err(being_deleted(write, &key, taken).await);
        }
        if attempt == ATTEMPTS {
            let message = format!(
                "{}; the server was not able to generate a unique name for the object",
                taken.message
            );
            return Err(ApiError { message, retry_after: Some(1), ..taken });
        }
    }
}

enum Failure {
    Taken,
    Other(ApiError),
}

async fn store(
    write: Write<'_>,
    key: &str,
    object: &mut dyn Object,
    owners: Option<&[u8]>,
) -> Result<Bytes, Failure> {
    let other = |error: ApiError| Failure::Other(error);
    if write.dry_run {
        let existing = write.server.store.get(key).await.map_err(|e| other(e.into()))?;
        return match existing {
            Some(_) => Err(Failure::Taken),
            None => {
                object.meta_mut().resource_version = None;
                json(object, owners).map_err(|e| other(ApiError::internal(e)))
            }
        };
    }
    let value = metadata::sized(write, object, owners).map_err(other)?;
    match write.server.store.create(key, value).await {
        Ok(entry) => Ok(entry.value.clone()),
        Err(StoreError::Exists(_)) => Err(Failure::Taken),
        Err(error) => Err(other(error.into())),
    }
}

/// The given part of the object's name, if the server has to complete it.
fn generated(object: &dyn Object) -> Option<String> {
    let meta = object.meta();
    if meta.name.as_ref().is_some_and(|name| !name.is_empty()) {
        return None;
    }
    let mut base = meta.generate_name.clone().filter(|base| !base.is_empty())?;
    let mut end = base.len().min(BASE);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    base.truncate(end);
    Some(base)
}

/// Says that the name will be free soon, if it will.
async fn being_deleted(write: Write<'_>, key: &str, taken: ApiError) -> ApiError {
    match write.server.store.get(key).await {
        Ok(Some(entry)) => {
            let facts = super::Facts::of(&entry, write.kind);
            if facts.is_some_and(|facts| facts.terminating) {
                let message = format!("object is being deleted: {}", taken.message);
                return ApiError { message, ..taken };
            }
            taken
        }
        _ => taken,
    }
}
