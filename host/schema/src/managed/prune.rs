//! What goes because its applier no longer mentions it and nobody else owns it.

use std::collections::BTreeMap;

use super::{Entry, Managed, Rules};
use crate::fieldset::FieldSet;
use crate::schema::Schema;
use crate::tree::Tree;
use crate::typed::{fields, remove};

/// An object in one of the versions of its kind.
struct Versioned<'a, 'v> {
    value: Tree<'a>,
    version: &'v str,
    schema: Schema,
}

impl<'a> Versioned<'a, '_> {
    /// Its fields, those on the way to others included.
    fn fields(&self) -> FieldSet<'a> {
        fields(&self.value, &self.schema).with_named_fields(Some(&self.schema))
    }

    fn without(&self, gone: &FieldSet<'_>) -> Tree<'a> {
        remove(&self.value, gone, &self.schema)
    }
}

impl Rules<'_> {
    /// `merged` without what the applier at `applying` owned by its `last` configuration, does not
    /// mention in the present one, and nobody else owns.
    pub(super) fn prune<'a>(
        &self,
        merged: Tree<'a>,
        managed: &Managed<'a>,
        last: Option<&Entry<'a>>,
    ) -> Tree<'a> {
        let Some(last) = last.filter(|last| !last.fields.is_empty()) else { return merged };
        let pruned = self.pruned(&merged, managed, last);
        pruned.unwrap_or(merged)
    }

    /// Nothing if the version of the last configuration is gone.
    fn pruned<'a>(
        &self,
        merged: &Tree<'a>,
        managed: &Managed<'a>,
        last: &Entry<'a>,
    ) -> Option<Tree<'a>> {
        let version: &str = &last.api_version;
        let whole = self.versioned(merged, self.api_version, version)?;
        let owned = last.fields.with_named_fields(Some(&whole.schema));
        let pruned =
            Versioned { value: whole.without(&owned), schema: whole.schema.clone(), version };
        let pruned = self.add_owned(&whole, pruned, managed);
        // What nobody owned, or only somebody who updates, is not gone because of this.
        let pruned = self.versioned(&pruned.value, pruned.version, version)?;
        let gone = whole.fields().difference(&pruned.fields()).intersection(&owned);
        self.convert(&whole.without(&gone), version, self.api_version)
    }

    /// Puts back what was pruned but is owned, be it by the present configuration.
    fn add_owned<'a, 'v>(
        &self,
        merged: &Versioned<'a, 'v>,
        mut pruned: Versioned<'a, 'v>,
        managed: &'v Managed<'a>,
    ) -> Versioned<'a, 'v> {
        let mut by_version: BTreeMap<&'v str, FieldSet<'a>> = BTreeMap::new();
        for entry in &managed.0 {
            let fields = by_version.entry(entry.api_version.as_ref()).or_default();
            *fields = fields.union(&entry.fields);
        }
        // The version that was pruned first: others may not convert without what is put back.
        let own = by_version.remove_entry(merged.version);
        for (version, managed) in own.into_iter().chain(by_version) {
            let Some(merged) = self.versioned(&merged.value, merged.version, version) else {
                continue;
            };
            let Some(here) = self.versioned(&pruned.value, pruned.version, version) else {
                continue;
            };
            let managed = managed.with_named_fields(Some(&merged.schema));
            let gone = merged.fields().difference(&here.fields().union(&managed));
            pruned = Versioned { value: merged.without(&gone), version, schema: merged.schema };
        }
        pruned
    }

    fn versioned<'a, 'v>(
        &self,
        value: &Tree<'a>,
        from: &str,
        version: &'v str,
    ) -> Option<Versioned<'a, 'v>> {
        let schema = self.schema_of(version)?;
        let value = self.convert(value, from, version)?;
        Some(Versioned { value, version, schema })
    }
}
