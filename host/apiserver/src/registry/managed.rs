//! The owners of an object's fields on its way through a write: `metadata.managedFields`.
//!
//! Objects in memory are without the list: it is long, and only writes care for it. It goes from
//! text to text beside them, and is not even read by a write that changes nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use coracle_api::clock;
use coracle_schema::managed::{self, Managed, Owner, cut};
use coracle_schema::tree::Map;
use coracle_schema::{FieldSet, Schema, Tree};
use coracle_store::Entry;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

use super::{ApiResource, Kind, Object, Table, Write};
use crate::error::{ApiError, Result};

/// How many rounds of conversions one write may need.
const ROUNDS: usize = 32;

/// The owners that a write leaves.
#[derive(Clone, Debug, Default)]
pub(crate) enum Owners {
    /// To be found by comparing the object with what was there before.
    #[default]
    Compared,
    /// The list as it shall be, if there is one.
    Known(Option<Bytes>),
}

/// The owners of a new object. Takes the list that came with it.
pub(super) async fn created(write: Write<'_>, object: &mut dyn Object) -> Result<Option<Bytes>> {
    let given = object.meta_mut().managed_fields.take();
    let Some(manager) = write.manager else { return Ok(None) };
    let json = shown(write, object).await?;
    let new = parse(&json)?;
    let owner = Owner { name: manager, now: clock::now() };
    let given = written(given)?;
    let base = given.as_deref().and_then(|given| Managed::read(given).ok());
    let found = Settled::of(write).run(|rules| match &base {
        Some(base) if !base.is_empty() => {
            let mut managed = base.clone();
            rules.update(&mut managed, &Tree::Map(Map::default()), &new, owner);
            managed
        }
        _ => rules.create(&new, owner),
    });
    Ok(text(&found.await))
}

/// The owners of a changed object. Takes the list that came with it.
pub(super) async fn updated(
    write: Write<'_>,
    entry: &Entry,
    new: &mut dyn Object,
) -> Result<Option<Bytes>> {
    let given = new.meta_mut().managed_fields.take();
    let (live, list) = cut(&entry.value);
    let live_list = list.map(|list| entry.value.slice_ref(list));
    let Some(manager) = write.manager else { return Ok(live_list) };
    // Through a subresource nobody can change the list itself.
    let given = if write.subresource.is_empty() { given } else { None };
    if is_reset(given.as_deref()) {
        return Ok(None);
    }
    let given = written(given)?.filter(|given| Some(given) != live_list.as_ref());
    let given = given.as_deref().and_then(|given| Managed::read(given).ok());
    let given = given.filter(|given| !given.is_empty());
    if given.is_none() && live_list.is_none() {
        // Nobody has kept count so far; only an apply begins to.
        return Ok(None);
    }
    let live = match write.served.conversion() {
        None => Bytes::from(live.into_owned()),
        Some(_) => write.served.shown(Bytes::from(live.into_owned())).await?,
    };
    let json = shown(write, new).await?;
    let (old, new) = (parse(&live)?, parse(&json)?);
    if given.is_none() && old == new {
        return Ok(live_list);
    }
    let base = match &given {
        Some(given) => given.clone(),
        None => live_list
            .as_deref()
            .map(Managed::read)
            .transpose()
            .unwrap_or_default()
            .unwrap_or_default(),
    };
    if base.is_empty() {
        return Ok(None);
    }
    let owner = Owner { name: manager, now: clock::now() };
    let found = Settled::of(write).run(|rules| {
        let mut managed = base.clone();
        rules.update(&mut managed, &old, &new, owner);
        managed
    });
    Ok(text(&found.await))
}

/// Whether two lists say the same but for the times.
pub(super) fn differ_in_times_only(one: &[u8], other: &[u8]) -> bool {
    let (Ok(one), Ok(other)) = (Managed::read(one), Managed::read(other)) else { return false };
    one.with_times_of(&other).is_some()
}

/// The list as text; nothing if nobody owns anything.
pub(crate) fn text(managed: &Managed<'_>) -> Option<Bytes> {
    (!managed.is_empty()).then(|| managed.write().into())
}

/// An object in the version that the caller speaks, without its list of owners.
async fn shown(write: Write<'_>, object: &dyn Object) -> Result<Bytes> {
    Ok(write.served.shown(object.json().map_err(ApiError::internal)?.into()).await?)
}

fn parse(json: &[u8]) -> Result<Tree<'_>> {
    Tree::parse(json).map_err(ApiError::internal)
}

/// An empty list, or one with nothing but an empty entry, asks for the list to be forgotten.
fn is_reset(given: Option<&[ManagedFieldsEntry]>) -> bool {
    match given {
        Some([]) => true,
        Some([only]) => *only == ManagedFieldsEntry::default(),
        _ => false,
    }
}

fn written(given: Option<Vec<ManagedFieldsEntry>>) -> Result<Option<Bytes>> {
    let given = given.filter(|given| !given.is_empty());
    given
        .map(|given| serde_json::to_vec(&given).map(Bytes::from).map_err(ApiError::internal))
        .transpose()
}

/// Work on owners, with the conversions that it turns out to need. Conversions may take their
/// time, and the work is pure: it is done again when what it asked for is there.
pub(crate) struct Settled<'w> {
    write: Write<'w>,
    schema: Schema,
    api_version: String,
    reset: FieldSet<'static>,
    table: Arc<Table>,
    known: HashMap<Asked, Option<Bytes>>,
}

/// An object, its version, and the one to be.
type Asked = (Vec<u8>, String, String);

impl<'w> Settled<'w> {
    pub(crate) fn of(write: Write<'w>) -> Self {
        Self {
            write,
            schema: write.served.fields(),
            api_version: write.served.names().api_version(),
            reset: write.served.reset_fields(write.subresource),
            table: write.server.registry.table(),
            known: HashMap::new(),
        }
    }

    /// The schema of the version that the caller speaks.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(crate) async fn run<T>(mut self, mut work: impl FnMut(managed::Rules<'_>) -> T) -> T {
        let mut round = 0;
        loop {
            round += 1;
            let (done, asked) = self.attempt(&mut work);
            if asked.is_empty() || round == ROUNDS {
                return done;
            }
            for asked in asked {
                let converted = self.convert(&asked).await;
                self.known.insert(asked, converted);
            }
        }
    }

    fn attempt<T>(&self, work: &mut impl FnMut(managed::Rules<'_>) -> T) -> (T, Vec<Asked>) {
        let versions = Versions { settled: self, asked: RefCell::default() };
        let done = work(managed::Rules {
            schema: &self.schema,
            api_version: &self.api_version,
            subresource: self.write.subresource,
            reset: &self.reset,
            versions: &versions,
        });
        (done, versions.asked.into_inner())
    }

    /// The same kind in another version, if it is served.
    fn version(&self, version: &str) -> Option<&Arc<dyn Kind>> {
        let own = self.write.kind.names();
        let same = |names: &ApiResource| {
            names.group == own.group && names.plural == own.plural && names.api_version() == version
        };
        self.table.kinds().iter().find(|kind| same(kind.names()))
    }

    async fn convert(&self, (json, from, to): &Asked) -> Option<Bytes> {
        let (from, to) = (self.version(from)?, self.version(to)?);
        let stored = match from.conversion() {
            None => Bytes::from(json.clone()),
            Some(conversion) => {
                let object = from.decode(json).ok()?.object;
                let object = conversion.to_hub(object).await.ok()?;
                Bytes::from(object.json().ok()?)
            }
        };
        to.shown(stored).await.ok()
    }
}

struct Versions<'s, 'w> {
    settled: &'s Settled<'w>,
    asked: RefCell<Vec<Asked>>,
}

impl managed::Versions for Versions<'_, '_> {
    fn schema(&self, version: &str) -> Option<Schema> {
        self.settled.version(version).map(|kind| kind.fields())
    }

    fn convert(&self, value: &Tree<'_>, from: &str, to: &str) -> Option<Tree<'static>> {
        let asked = (serde_json::to_vec(value).ok()?, from.to_owned(), to.to_owned());
        match self.settled.known.get(&asked) {
            Some(converted) => Tree::parse(converted.as_deref()?).ok().map(Tree::into_owned),
            None => {
                self.asked.borrow_mut().push(asked);
                None
            }
        }
    }
}

/// The name of a client as its `User-Agent` has it: what stands before the first slash, without
/// what cannot be printed, and not too long.
pub(crate) fn manager_of(agent: &str) -> String {
    let mut name = String::new();
    let word = agent.split('/').next().unwrap_or_default();
    for c in word.chars().filter(|c| is_printable(*c)) {
        if name.len() + c.len_utf8() > MAX_MANAGER {
            break;
        }
        name.push(c);
    }
    name
}

/// Bytes that the name of a manager may have.
pub(crate) const MAX_MANAGER: usize = 128;

/// Whether a character may stand in the name of a manager.
pub(crate) fn is_printable(c: char) -> bool {
    !c.is_control() && (!c.is_whitespace() || c == ' ')
}
