//! From a changed object to a stored one: read, change, check, write, and again if somebody was
//! faster.

use async_trait::async_trait;
use bytes::Bytes;
use coracle_schema::managed::owners_in;
use coracle_store::{Entry, Error as StoreError, Revision, Value};
use k8s_openapi::api::core::v1::Namespace;

use super::{Kind, Object, Owners, Part, Write, create, encode, json, key, managed, metadata};
use crate::admission::{Attributes, Operation};
use crate::error::{ApiError, Cause, Result};

/// How often a change is tried against ever newer states.
const ATTEMPTS: usize = 16;

/// What the caller was told to do better.
const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// What a caller does to an object. May run several times, each time on a newer state.
#[async_trait]
pub(crate) trait Change: Send {
    /// The object as it shall be. Its `resourceVersion` is the one that it must still have, or
    /// empty.
    async fn apply(&mut self, entry: &Entry, old: &dyn Object) -> Result<Box<dyn Object>>;

    /// The object to be created if there is none; `None` makes that an error. `usual` says whether
    /// updates create such objects.
    async fn create(&mut self, _usual: bool) -> Result<Option<Box<dyn Object>>> {
        Ok(None)
    }

    /// The owners of the fields of what was made last.
    fn owners(&mut self) -> Owners {
        Owners::Compared
    }
}

#[async_trait]
impl<F: FnMut(&Entry, &dyn Object) -> Result<Box<dyn Object>> + Send> Change for F {
    async fn apply(&mut self, entry: &Entry, old: &dyn Object) -> Result<Box<dyn Object>> {
        self(entry, old)
    }
}

/// Changes the object `name`. With no `part` it is done through a subresource of which the kind, or
/// the change itself, knows what it may touch. The answer is the encoding, and whether the object
/// was created.
pub(crate) async fn update(
    write: Write<'_>,
    name: &str,
    part: Option<Part>,
    change: &mut dyn Change,
) -> Result<(Bytes, bool)> {
    let Write { server, kind, namespace, .. } = write;
    let names = kind.names();
    let key = key(names, namespace, name);
    for _ in 0..ATTEMPTS {
        let Some(entry) = server.store.get(&key).await? else {
            let new = match part {
                Some(Part::Main) => change.create(kind.rules().create_on_update).await?,
                _ => None,
            };
            let Some(new) = new else {
                return Err(ApiError::not_found(&names.group, &names.plural, name));
            };
            return Ok((create(write, new, change.owners()).await?, true));
        };
        let old = kind.restored(&entry.value).await?;
        let mut new = change.apply(&entry, &*old).await?;
        expect_version(kind, name, &mut *new, &entry)?;
        let owners = match change.owners() {
            Owners::Compared => managed::updated(write, &entry, &mut *new).await?,
            Owners::Known(owners) => owners,
        };
        let attributes = Attributes { operation: Operation::Update, write, name };
        server.admission.admit(&attributes, &mut *new, Some(&*old)).await?;
        let held = server.allocators.begin_update(write, &mut *new, &*old).await?;
        check(write, name, part, &mut *new, &*old)?;
        if part == Some(Part::Main) {
            let warnings = kind.warnings(&*new, Some(&*old));
            warnings.into_iter().for_each(|text| write.warnings.add(text));
        }
        server.admission.validate(&attributes, Some(&*new), Some(&*old)).await?;
        let written = put(write, &entry, &mut *new, &*old, owners.as_deref()).await;
        drop(held);
        if let Some(bytes) = written? {
            return Ok((bytes, false));
        }
    }
    Err(ApiError::conflict(&names.group, &names.plural, name, MODIFIED))
}

/// Checks the revision that the caller builds on, if he gives one.
fn expect_version(kind: &dyn Kind, name: &str, new: &mut dyn Object, entry: &Entry) -> Result<()> {
    let names = kind.names();
    match new.meta().resource_version.as_deref().unwrap_or_default() {
        "" | "0" if kind.rules().unconditional_update => {
            new.meta_mut().resource_version = Some(entry.modified.to_string());
            Ok(())
        }
        "" | "0" => {
            let cause = Cause::new(
                crate::CauseReason::FieldValueInvalid,
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update".into(),
            );
            Err(ApiError::invalid(&names.group, &names.kind, name, vec![cause]))
        }
        given => match given.parse::<Revision>() {
            Ok(revision) if revision == entry.modified => Ok(()),
            Ok(_) => Err(ApiError::conflict(&names.group, &names.plural, name, MODIFIED)),
            Err(_) => {
                let cause = Cause::invalid("metadata.resourceVersion", given, "must be a number");
                Err(ApiError::invalid(&names.group, &names.kind, name, vec![cause]))
            }
        },
    }
}

/// Brings back what may not be touched, and refuses what may not be changed.
fn check(
    write: Write<'_>,
    name: &str,
    part: Option<Part>,
    new: &mut dyn Object,
    old: &dyn Object,
) -> Result<()> {
    let Write { kind, subresource, .. } = write;
    let names = kind.names();
    let conflicting = new.meta().uid.as_deref().filter(|uid| !uid.is_empty());
    if let Some(uid) = conflicting.filter(|uid| Some(*uid) != old.meta().uid.as_deref()) {
        let own = old.meta().uid.as_deref().unwrap_or_default();
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}");
        return Err(ApiError::conflict(&names.group, &names.plural, name, &why));
    }
    metadata::place(new, names.namespaced, old.meta().namespace.as_deref().unwrap_or_default())?;
    new.meta_mut().generation = old.meta().generation;
    let further = match part {
        Some(part) => {
            kind.prepare_update(new, old, part);
            vec![]
        }
        None => kind.prepare_subresource(new, old, subresource),
    };
    metadata::carry_over(new.meta_mut(), old.meta());
    let mut causes = metadata::validate(kind, new);
    causes.extend(metadata::validate_update(new.meta(), old.meta()));
    causes.extend(further);
    causes.extend(part.map(|part| kind.validate_change(new, old, part)).unwrap_or_default());
    if causes.is_empty() { Ok(()) } else { Err(metadata::refused(kind, name, causes)) }
}

/// Writes the new state, or removes the object if nothing holds it any longer. A state that is
/// like the old one is not written. `None` if somebody was faster.
async fn put(
    write: Write<'_>,
    entry: &Entry,
    new: &mut dyn Object,
    old: &dyn Object,
    owners: Option<&[u8]>,
) -> Result<Option<Bytes>> {
    if write.dry_run {
        return Ok(Some(json(new, owners).map_err(ApiError::internal)?));
    }
    let value = metadata::sized(write, new, owners)?;
    let store = &write.server.store;
    let stored = entry.reopened();
    let written = if released(new, old) {
        store.delete(&entry.key, value, entry.modified).await
    } else if same(&stored, &value) || only_later(&stored, &value, entry, new, owners)? {
        return Ok(Some(entry.value.clone()));
    } else {
        let value = if write.kind.rules().lazy_updates { value.lazy() } else { value };
        store.update(&entry.key, value, entry.modified).await
    };
    match written {
        Ok(written) => Ok(Some(written.value.clone())),
        Err(StoreError::Conflict { .. } | StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn same(one: &Value, other: &Value) -> bool {
    one.head == other.head && one.tail == other.tail
}

/// Whether nothing is new but the times at which owners last changed something.
fn only_later(
    stored: &Value,
    value: &Value,
    entry: &Entry,
    new: &mut dyn Object,
    owners: Option<&[u8]>,
) -> Result<bool> {
    let (Some(before), Some(owners)) = (owners_in(&entry.value), owners) else { return Ok(false) };
    // Times are all of one length.
    if stored.head.len() != value.head.len() || before.len() != owners.len() || before == owners {
        return Ok(false);
    }
    let like = encode(new, Some(before)).map_err(ApiError::internal)?;
    Ok(same(stored, &like) && managed::differ_in_times_only(owners, before))
}

/// Whether an object that is being deleted has lost the last thing that held it.
fn released(new: &dyn Object, old: &dyn Object) -> bool {
    let deleting = old.meta().deletion_timestamp.is_some()
        && old.meta().deletion_grace_period_seconds.is_none_or(|grace| grace == 0);
    deleting && !held(new)
}

/// Whether finalizers hold the object.
pub(crate) fn held(object: &dyn Object) -> bool {
    let own = object.meta().finalizers.as_ref().is_some_and(|f| !f.is_empty());
    let content = object.downcast_ref::<Namespace>().is_some_and(|namespace| {
        let spec = namespace.spec.as_ref();
        spec.and_then(|spec| spec.finalizers.as_ref()).is_some_and(|f| !f.is_empty())
    });
    own || content
}
