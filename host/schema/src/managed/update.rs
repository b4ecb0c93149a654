//! What a write does to the owners of fields.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;

use super::{Conflicts, Entry, Managed, Operation};
use crate::fieldset::FieldSet;
use crate::schema::Schema;
use crate::tree::Tree;
use crate::typed::{self, Comparison};

/// How many owners by update are told apart.
const MAX_UPDATERS: usize = 10;
/// What the oldest of too many become.
const ANCIENT: &str = "ancient-changes";

/// Fields that nobody owns.
static UNOWNED: LazyLock<FieldSet<'static>> = LazyLock::new(|| {
    FieldSet::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

/// Brings objects into the other versions of their kind: each owner's fields are those of the
/// version that it wrote.
pub trait Versions {
    /// The schema of a version; nothing if the kind has no such version (any longer).
    fn schema(&self, version: &str) -> Option<Schema>;

    /// An object in another version.
    fn convert(&self, value: &Tree<'_>, from: &str, to: &str) -> Option<Tree<'static>>;
}

/// The versions of a kind that has only one.
#[derive(Clone, Copy, Debug)]
pub struct OneVersion;

impl Versions for OneVersion {
    fn schema(&self, _version: &str) -> Option<Schema> {
        None
    }

    fn convert(&self, _value: &Tree<'_>, _from: &str, _to: &str) -> Option<Tree<'static>> {
        None
    }
}

/// What holds for the owners of an object whoever writes.
#[derive(Clone, Copy)]
pub struct Rules<'r> {
    /// The schema of the version in which it is written.
    pub schema: &'r Schema,
    /// That version.
    pub api_version: &'r str,
    /// The subresource by which it is written; empty for the object itself.
    pub subresource: &'r str,
    /// What such a write does not change, whatever it says.
    pub reset: &'r FieldSet<'static>,
    /// The kind's other versions.
    pub versions: &'r dyn Versions,
}

/// Who writes, and when.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'o> {
    /// The name; `unknown` stands for nobody's.
    pub name: &'o str,
    /// The time of the write.
    pub now: Timestamp,
}

impl Owner<'_> {
    fn cow<'a>(&self) -> Cow<'a, str> {
        if self.name.is_empty() { "unknown".into() } else { self.name.to_owned().into() }
    }
}

impl<'r> Rules<'r> {
    /// The owner of everything in a new object.
    pub fn create<'a>(&self, new: &Tree<'a>, owner: Owner<'_>) -> Managed<'a> {
        let fields = typed::created(new, self.schema);
        let fields = fields.recursive_difference(self.reset).difference(&UNOWNED);
        let mut managed = Managed(vec![self.entry(owner, Operation::Update, fields)]);
        managed.drop_empty();
        managed
    }

    /// The owners after a write that is no apply. Whether anything changed.
    pub fn update<'a>(
        &self,
        managed: &mut Managed<'a>,
        old: &Tree<'a>,
        new: &Tree<'a>,
        owner: Owner<'_>,
    ) -> bool {
        let comparison = typed::compare(old, new, self.schema);
        let reconciled = self.reconcile(managed);
        if comparison.is_same() {
            return reconciled;
        }
        let comparison = match self.take(managed, old, new, comparison, None, true) {
            Ok(comparison) => comparison,
            // Nothing is a conflict when it is forced.
            Err(_) => return reconciled,
        };
        let fields = comparison.modified.union(&comparison.added).difference(&UNOWNED);
        let mut own = self.entry(owner, Operation::Update, fields);
        if !own.fields.is_empty() {
            if let Some(known) = managed.0.iter().find(|known| known.is_same_owner(&own)) {
                own.fields = own.fields.union(&known.fields);
            }
            managed.replace(own);
        }
        managed.drop_empty();
        cap(managed);
        true
    }

    /// The entry of the one who writes.
    pub(super) fn entry<'a>(
        &self,
        owner: Owner<'_>,
        operation: Operation,
        fields: FieldSet<'a>,
    ) -> Entry<'a> {
        Entry {
            manager: owner.cow(),
            operation,
            api_version: self.api_version.to_owned().into(),
            subresource: self.subresource.to_owned().into(),
            time: Some(owner.now),
            fields,
        }
    }

    /// The fields of `set` that can be owned by such a write.
    pub(super) fn ownable<'a>(&self, set: &FieldSet<'a>) -> FieldSet<'a> {
        set.recursive_difference(self.reset)
    }

    /// Leaves out what nobody owns.
    pub(super) fn strip<'a>(&self, set: &FieldSet<'a>) -> FieldSet<'a> {
        set.difference(&UNOWNED)
    }

    /// The schema of a version.
    pub(super) fn schema_of(&self, version: &str) -> Option<Schema> {
        if version == self.api_version {
            return Some(self.schema.clone());
        }
        self.versions.schema(version)
    }

    /// An object in another version.
    pub(super) fn convert<'a>(&self, value: &Tree<'a>, from: &str, to: &str) -> Option<Tree<'a>> {
        if from == to { Some(value.clone()) } else { self.versions.convert(value, from, to) }
    }

    /// Brings sets that were written under an older schema into line. Whether any was.
    pub(super) fn reconcile(&self, managed: &mut Managed<'_>) -> bool {
        let mut any = false;
        for entry in &mut managed.0 {
            let reconciled = self
                .schema_of(&entry.api_version)
                .and_then(|schema| entry.fields.reconciled(&schema));
            if let Some(fields) = reconciled {
                entry.fields = fields;
                any = true;
            }
        }
        any
    }

    /// Takes what changes from `old` to `new` away from its owners, except from the one at
    /// `applying`. Without force, that is an error. Answers what changes.
    pub(super) fn take<'a>(
        &self,
        managed: &mut Managed<'a>,
        old: &Tree<'a>,
        new: &Tree<'a>,
        comparison: Comparison<'a>,
        applying: Option<usize>,
        force: bool,
    ) -> Result<Comparison<'a>, Conflicts> {
        let comparison = comparison.without(self.reset);
        let mut others: HashMap<String, Option<Comparison<'a>>> = HashMap::new();
        let mut conflicts = Conflicts(vec![]);
        let mut left = Vec::with_capacity(managed.0.len());
        for (at, entry) in managed.0.iter().enumerate() {
            if Some(at) == applying {
                left.push(entry.clone());
                continue;
            }
            let changed = if entry.api_version == self.api_version {
                Some(&comparison)
            } else {
                let version = entry.api_version.as_ref();
                let compared = others
                    .entry(version.to_owned())
                    .or_insert_with(|| self.compare_in(old, new, version));
                compared.as_ref()
            };
            // What was owned in a version that is gone is nobody's.
            let Some(changed) = changed else { continue };
            let taken = changed.modified.union(&changed.added).intersection(&entry.fields);
            if !taken.is_empty() && !force {
                conflicts.0.extend(Conflicts::about(entry, taken));
                continue;
            }
            let fields = entry.fields.difference(&taken).difference(&changed.removed);
            left.push(Entry { fields, ..entry.clone() });
        }
        if !conflicts.0.is_empty() {
            conflicts.sort();
            return Err(conflicts);
        }
        managed.0 = left;
        Ok(comparison)
    }

    fn compare_in<'a>(&self, old: &Tree<'a>, new: &Tree<'a>, to: &str) -> Option<Comparison<'a>> {
        let schema = self.schema_of(to)?;
        let old = self.convert(old, self.api_version, to)?;
        let new = self.convert(new, self.api_version, to)?;
        Some(typed::compare(&old, &new, &schema).without(self.reset))
    }
}

/// Merges the oldest of too many owners by update into one.
fn cap(managed: &mut Managed<'_>) {
    let updaters = |managed: &Managed<'_>| {
        managed.0.iter().filter(|entry| entry.operation == Operation::Update).count()
    };
    if updaters(managed) <= MAX_UPDATERS {
        return;
    }
    managed.0.sort_by_cached_key(|entry| {
        let seconds = entry.time.map_or(0, Timestamp::as_second);
        (entry.operation, seconds, entry.identifier())
    });
    let mut excess = updaters(managed) - MAX_UPDATERS;
    // The oldest updater of each version takes in the younger ones.
    let mut buckets: Vec<Entry<'_>> = vec![];
    let mut left = Managed::default();
    for entry in std::mem::take(&mut managed.0) {
        if entry.operation == Operation::Apply || excess == 0 {
            left.0.push(entry);
            continue;
        }
        match buckets.iter_mut().find(|bucket| bucket.api_version == entry.api_version) {
            Some(bucket) => {
                bucket.manager = ANCIENT.into();
                bucket.subresource = "".into();
                bucket.fields = bucket.fields.union(&entry.fields);
                bucket.time = entry.time;
                excess -= 1;
            }
            None => buckets.push(entry),
        }
    }
    for mut bucket in buckets {
        if let Some(known) = left.0.iter().find(|known| known.is_same_owner(&bucket)) {
            bucket.fields = bucket.fields.union(&known.fields);
        }
        left.replace(bucket);
    }
    *managed = left;
}
