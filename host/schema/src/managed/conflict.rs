//! What keeps a configuration from being applied: fields that somebody else owns.

use std::fmt;

use super::{Entry, Operation};
use crate::fieldset::FieldSet;
use crate::path::Element;

/// A field that somebody else owns and that would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The owner, as Kubernetes words it: `"kubectl" using apps/v1`.
    pub owner: String,
    /// The field, as in `.spec.replicas`.
    pub field: String,
    /// What Kubernetes sorts owners by.
    pub(super) identifier: String,
    pub(super) path: Vec<Element<'static>>,
}

/// Every such field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl Conflicts {
    /// The conflicts about `fields`, which all are of `entry`.
    pub(super) fn about(entry: &Entry<'_>, fields: FieldSet<'_>) -> Vec<Conflict> {
        let mut owner = format!("{:?}", entry.manager);
        if !entry.subresource.is_empty() {
            owner.push_str(&format!(" with subresource {:?}", entry.subresource));
        }
        if entry.operation == Operation::Update {
            owner.push_str(&format!(" using {}", entry.api_version));
        }
        let identifier = entry.identifier();
        let conflict = |path: Vec<Element<'static>>| Conflict {
            owner: owner.clone(),
            field: path.iter().map(ToString::to_string).collect(),
            identifier: identifier.clone(),
            path,
        };
        fields.into_owned().paths().into_iter().map(conflict).collect()
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by(|one, other| one.identifier.cmp(&other.identifier));
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &self.0[..] {
            let Conflict { owner, field, .. } = only;
            return write!(f, "Apply failed with 1 conflict: conflict with {owner}: {field}");
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        for (at, group) in
            self.0.chunk_by(|one, other| one.identifier == other.identifier).enumerate()
        {
            let line = if at > 0 { "\n" } else { "" };
            for conflict in group.iter().take(1) {
                write!(f, "{line}conflicts with {}:", conflict.owner)?;
            }
            for conflict in group {
                write!(f, "\n- {}", conflict.field)?;
            }
        }
        Ok(())
    }
}
