//! Values under their schema: which fields they have, what they differ in, what becomes of them
//! when one is merged into the other or fields are taken out
//! (`sigs.k8s.io/structured-merge-diff/typed`). Knows no owners.

mod compare;
mod fields;
mod merge;
mod remove;
mod validate;

pub use compare::{Comparison, compare, created};
pub use fields::fields;
pub use merge::merge;
pub use remove::remove;
pub use validate::{Invalid, validate};

#[cfg(test)]
mod tests;
