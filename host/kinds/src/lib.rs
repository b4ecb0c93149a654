//! What a kind is, and Kubernetes' built-in ones.
//!
//! The verbs of the API server see objects as [`Object`] and their kinds as [`Kind`]. The built-in
//! kinds stand in [`table`], one line a kind; what is special about each (names, defaults, what an
//! update may touch, columns of `kubectl get`) stands in a file of [`strategy`], the rules that
//! objects must obey in [`validation`]. Pure: knows nothing of HTTP, the store or time passing,
//! and imports nothing of the house but `api`, `schema` and `cel`.

pub mod admission;
pub mod apiextensions;
mod error;
pub mod flowcontrol;
mod kind;
mod object;
pub mod strategy;
mod unmarshal;
pub mod validation;
mod version;

pub use error::{Error, Result};
pub use kind::{ApiResource, Column, Decoded, Kind, Names, Part, Rules, Scale, seconds};
pub(crate) use kind::{Builtin, Strategy};
pub use object::Object;
pub use strategy::table;
pub use version::Conversion;
pub(crate) use version::{Body, Version, VersionRules};
