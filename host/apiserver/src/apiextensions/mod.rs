//! Kinds that are defined at run time: what a CustomResourceDefinition becomes, and what its
//! objects go through. Follows `k8s.io/apiextensions-apiserver`.
//!
//! [`Definitions`] keeps the server's table of kinds to what the stored definitions say, level by
//! level: names accepted, established, served, emptied. A [`kind::CustomKind`] is one version of
//! such a kind for the verbs, which know nothing of all this. Work on schemas stands in
//! `coracle-schema`. Imports `registry` and `validation`; knows nothing of HTTP but webhooks.

mod checks;
mod column;
mod conditions;
mod conversion;
mod definitions;
mod finalizing;
mod jsonpath;
mod kind;
mod naming;
mod object;
mod openapi;
mod serving;
mod way;
mod webhook;

pub(crate) use definitions::Definitions;
pub(crate) use finalizing::hold;
pub(crate) use serving::compare_versions;
