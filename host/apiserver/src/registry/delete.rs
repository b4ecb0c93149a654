//! What becomes of an object that shall go: gone at once, or marked and left to its finalizers and
//! its grace period (`k8s.io/apiserver/pkg/registry/rest/delete.go`, `.../generic/registry`).

use bytes::Bytes;
use coracle_api::clock;
use coracle_schema::managed::owners_in;
use coracle_store::Error as StoreError;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::{Kind, Object, Write, encode, json, key};
use crate::admission::{Attributes, Operation};
use crate::apiextensions;
use crate::error::{ApiError, Result};
use crate::registry::update::held;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
const ATTEMPTS: usize = 16;

/// `metav1.DeleteOptions`, as far as they reach the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) propagation_policy: Option<String>,
    pub(crate) dry_run: Option<Vec<String>>,
}

/// `metav1.Preconditions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

/// What became of the object.
pub(crate) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Box<dyn Object>, Bytes),
    /// It is marked, and goes when nothing holds it any longer.
    Pending(Bytes),
}

/// What a deletion does to an object.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is on its way already.
    Wait,
    /// The changed object is written.
    Mark,
    /// It goes, with its present state as the last.
    Remove,
}

/// Deletes the object `name`.
pub(crate) async fn delete(
    write: Write<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted> {
    let Write { server, kind, namespace, .. } = write;
    let names = kind.names();
    let key = key(names, namespace, name);
    for _ in 0..ATTEMPTS {
        let Some(entry) = server.store.get(&key).await? else {
            return Err(ApiError::not_found(&names.group, &names.plural, name));
        };
        let mut object = kind.restored(&entry.value).await?;
        let owners = owners_in(&entry.value);
        preconditions(write, name, &*object, options)?;
        let attributes = Attributes { operation: Operation::Delete, write, name };
        server.admission.validate(&attributes, None, Some(&*object)).await?;
        let step = step(kind, &mut *object, options, super::seconds(clock::now()));
        if step == Step::Wait {
            return Ok(Deleted::Pending(entry.value.clone()));
        }
        if write.dry_run {
            let bytes = json(&mut *object, owners).map_err(ApiError::internal)?;
            return Ok(match step {
                Step::Remove => Deleted::Gone(object, bytes),
                Step::Wait | Step::Mark => Deleted::Pending(bytes),
            });
        }
        let value = encode(&mut *object, owners).map_err(ApiError::internal)?;
        let stored = entry.reopened();
        if step == Step::Mark && stored.head == value.head && stored.tail == value.tail {
            return Ok(Deleted::Pending(entry.value.clone()));
        }
        let done = match step {
            Step::Remove => server.store.delete(&key, value, entry.modified).await,
            Step::Wait | Step::Mark => server.store.update(&key, value, entry.modified).await,
        };
        match done {
            Ok(entry) if step == Step::Remove => {
                return Ok(Deleted::Gone(object, entry.value.clone()));
            }
            Ok(entry) => return Ok(Deleted::Pending(entry.value.clone())),
            Err(StoreError::Conflict { .. } | StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let why = "the object has been modified; please try again";
    Err(ApiError::conflict(&names.group, &names.plural, name, why))
}

fn preconditions(
    write: Write<'_>,
    name: &str,
    object: &dyn Object,
    options: &DeleteOptions,
) -> Result<()> {
    let Some(expected) = &options.preconditions else { return Ok(()) };
    let names = write.kind.names();
    let meta = object.meta();
    let own = meta.uid.as_deref().unwrap_or_default();
    if let Some(uid) = expected.uid.as_deref().filter(|uid| *uid != own) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({own}). The \
             object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict(&names.group, &names.plural, name, &why));
    }
    let own = meta.resource_version.as_deref().unwrap_or_default();
    if let Some(version) = expected.resource_version.as_deref().filter(|version| *version != own) {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the \
             ResourceVersion in record ({own}). The object might have been modified"
        );
        return Err(ApiError::conflict(&names.group, &names.plural, name, &why));
    }
    Ok(())
}

/// Changes the object into what the deletion makes of it, and says what to do with that.
fn step(kind: &dyn Kind, object: &mut dyn Object, options: &DeleteOptions, now: Timestamp) -> Step {
    if let Some(namespace) = object.downcast_mut::<Namespace>() {
        return namespace_step(namespace, options, now);
    }
    if let Some(definition) = object.downcast_mut::<CustomResourceDefinition>()
        && definition.metadata.deletion_timestamp.is_none()
    {
        apiextensions::hold(definition);
    }
    let meta = object.meta();
    let pending = match (&meta.deletion_timestamp, meta.deletion_grace_period_seconds) {
        (Some(at), Some(grace)) => Some((at.0, grace)),
        _ => None,
    };
    let grace = match pending {
        // Only a shorter grace period than the pending one changes anything.
        Some((at, pending)) => {
            let asked = options.grace_period_seconds.map(|asked| asked.max(0));
            match asked.filter(|asked| *asked < pending) {
                Some(asked) => {
                    let begun = at - SignedDuration::from_secs(pending);
                    let meta = object.meta_mut();
                    meta.deletion_timestamp = Some(Time(begun + SignedDuration::from_secs(asked)));
                    meta.deletion_grace_period_seconds = Some(asked);
                    asked
                }
                None if pending > 0 => return Step::Wait,
                None => 0,
            }
        }
        None => match (kind.grace(object), options.grace_period_seconds) {
            (0, _) => 0,
            (own, asked) => {
                let grace = asked.map_or(own, |asked| if asked < 0 { 1 } else { asked });
                mark(object, now + SignedDuration::from_secs(grace), grace);
                grace
            }
        },
    };
    dependents(object, options);
    if held(object) {
        if pending.is_none() && object.meta().deletion_timestamp.is_none() {
            mark(object, now, 0);
        }
        return Step::Mark;
    }
    if grace > 0 { Step::Mark } else { Step::Remove }
}

/// Marks an object as being deleted. Its generation counts the change of its destiny.
fn mark(object: &mut dyn Object, at: Timestamp, grace: i64) {
    let meta = object.meta_mut();
    meta.deletion_timestamp = Some(Time(at));
    meta.deletion_grace_period_seconds = Some(grace);
    meta.generation = meta.generation.map(|generation| generation + 1);
}

/// A namespace goes when its content is gone: `spec.finalizers` stands for that.
fn namespace_step(namespace: &mut Namespace, options: &DeleteOptions, now: Timestamp) -> Step {
    if namespace.metadata.deletion_timestamp.is_none() {
        namespace.metadata.deletion_timestamp = Some(Time(now));
        namespace.status.get_or_insert_default().phase = Some("Terminating".into());
        dependents(namespace, options);
        return Step::Mark;
    }
    if held(namespace) { Step::Wait } else { Step::Remove }
}

/// Lets the garbage collector know what to do with the object's dependents first.
fn dependents(object: &mut dyn Object, options: &DeleteOptions) {
    let wanted = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(true), _) | (None, Some("Orphan")) => Some(ORPHAN),
        (None, Some("Foreground")) => Some(FOREGROUND),
        (Some(false), _) | (None, Some(_)) => None,
        // What the object itself says holds.
        (None, None) => return,
    };
    let finalizers = object.meta_mut().finalizers.get_or_insert_default();
    finalizers.retain(|finalizer| {
        finalizer != ORPHAN && finalizer != FOREGROUND || Some(finalizer.as_str()) == wanted
    });
    if let Some(wanted) = wanted
        && !finalizers.iter().any(|finalizer| finalizer == wanted)
    {
        finalizers.push(wanted.to_owned());
    }
    if finalizers.is_empty() {
        object.meta_mut().finalizers = None;
    }
}
