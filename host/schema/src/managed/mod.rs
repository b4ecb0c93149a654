//! Who owns which fields of an object: `metadata.managedFields`
//! (`k8s.io/apimachinery/pkg/util/managedfields`, `sigs.k8s.io/structured-merge-diff/merge`).
//! Knows objects as trees only, and nothing of the requests that change them.

mod apply;
mod conflict;
mod entries;
mod last_applied;
mod prune;
mod splice;
mod update;

pub use apply::{Applied, ApplyError};
pub use conflict::{Conflict, Conflicts};
pub use entries::{Entry, Managed, ManagedError, Operation};
pub use splice::{cut, owners_in, splice};
pub use update::{OneVersion, Owner, Rules, Versions};

#[cfg(test)]
mod tests;
