//! The schemas that strategic merges go by.

use coracle_schema::builtin::{Definition, Field};

/// What is known of the fields of one definition, if anything is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema(Option<&'static Definition>);

impl Schema {
    /// The schema of a kind of Kubernetes' own.
    pub(crate) fn of_kind(group: &str, version: &str, kind: &str) -> Option<Self> {
        Definition::of_kind(group, version, kind).map(|definition| Self(Some(definition)))
    }

    /// A field.
    pub(super) fn field(self, name: &str) -> Option<&'static Field> {
        self.0?.field(name)
    }

    /// The schema of a field's value, or of its items.
    pub(super) fn below(self, name: &str) -> Self {
        Self(self.field(name).and_then(Field::definition))
    }
}
