//! Server-side apply: a configuration merged into an object, with its fields owned by the applier.

use super::{Conflicts, Managed, Operation, Owner, Rules, last_applied};
use crate::fieldset::FieldSet;
use crate::tree::Tree;
use crate::typed::{self, Invalid, fields, merge};

/// The name of those who wrote before anybody applied.
const BEFORE: &str = "before-first-apply";

/// Why a configuration cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is not of the object's form.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// Others own what it would change.
    #[error("{0}")]
    Conflicts(Conflicts),
}

/// What became of the object.
#[derive(Clone, Debug)]
pub struct Applied<'a> {
    /// The object.
    pub value: Tree<'a>,
    /// The owners of its fields.
    pub managed: Managed<'a>,
}

impl Rules<'_> {
    /// Applies `config` to `live`, which is an empty map if there is no object yet. Both are
    /// without lists of owners.
    pub fn apply<'a>(
        &self,
        mut managed: Managed<'a>,
        live: &Tree<'a>,
        config: &Tree<'a>,
        owner: Owner<'_>,
        force: bool,
    ) -> Result<Applied<'a>, ApplyError> {
        if managed.is_empty() && live.at(&["metadata", "uid"]).is_some() {
            managed = self.create(live, Owner { name: BEFORE, ..owner });
        }
        let applied = self.attempt(managed.clone(), live, config, owner, force);
        let applied = match applied {
            // What kubectl applied on the client's side it may go on to own.
            Err(ApplyError::Conflicts(conflicts)) if owner.name == last_applied::OWNER => {
                self.attempt_again(managed, live, config, owner, conflicts)
            }
            other => other,
        };
        let mut applied = applied?;
        if owner.name == last_applied::OWNER {
            last_applied::keep(&mut applied.value, config);
        }
        Ok(applied)
    }

    fn attempt_again<'a>(
        &self,
        managed: Managed<'a>,
        live: &Tree<'a>,
        config: &Tree<'a>,
        owner: Owner<'_>,
        mut conflicts: Conflicts,
    ) -> Result<Applied<'a>, ApplyError> {
        let Some(allowed) = last_applied::allowed(live, self) else {
            return Err(ApplyError::Conflicts(conflicts));
        };
        conflicts.0.retain(|conflict| !allowed.has(&conflict.path));
        if conflicts.0.is_empty() {
            return self.attempt(managed, live, config, owner, true);
        }
        Err(ApplyError::Conflicts(conflicts))
    }

    fn attempt<'a>(
        &self,
        mut managed: Managed<'a>,
        live: &Tree<'a>,
        config: &Tree<'a>,
        owner: Owner<'_>,
        force: bool,
    ) -> Result<Applied<'a>, ApplyError> {
        self.reconcile(&mut managed);
        let merged = merge(live, config, self.schema)?;
        let set = self.ownable(&fields(config, self.schema));
        let mut own = self.entry(owner, Operation::Apply, set);
        let last = managed.0.iter().find(|entry| entry.is_same_owner(&own)).cloned();
        own.time = last.as_ref().and_then(|last| last.time);
        managed.replace(own.clone());
        let new = self.prune(merged, &managed, last.as_ref());
        let applying = managed.0.iter().position(|entry| entry.is_same_owner(&own));
        let comparison = typed::compare(live, &new, self.schema);
        self.take(&mut managed, live, &new, comparison, applying, force)
            .map_err(ApplyError::Conflicts)?;
        if let Some(own) = managed.0.iter_mut().find(|entry| entry.is_same_owner(&own)) {
            own.fields = self.strip(&own.fields);
            if new != *live {
                own.time = Some(owner.now);
            }
        }
        managed.drop_empty();
        Ok(Applied { value: new, managed })
    }

    /// The fields that `config` gives, if it fits the schema.
    pub(super) fn valid_fields<'a>(&self, config: &Tree<'a>) -> Option<FieldSet<'a>> {
        typed::validate(config, self.schema, false).ok()?;
        Some(fields(config, self.schema))
    }
}
