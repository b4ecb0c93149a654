//! What a kind is, what an object is, where both are kept, and what a write does to them on its
//! way into the store. Knows nothing of HTTP.

mod allocators;
mod codec;
mod create;
mod delete;
mod events;
mod facts;
mod keys;
mod managed;
mod metadata;
mod mirror;
mod table;
mod update;

use crate::audit::Annotations;
use crate::authn::Identity;
use crate::server::Server;
use crate::warnings::Warnings;

pub(crate) use allocators::{Allocators, SERVICE_RANGE};
pub(crate) use codec::{encode, json};
pub(crate) use coracle_kinds::{
    ApiResource, Column, Conversion, Decoded, Kind, Names, Object, Part, Rules, Scale, seconds,
};
pub(crate) use create::create;
pub(crate) use delete::{DeleteOptions, Deleted, Preconditions, delete};
pub(crate) use events::sweep as sweep_events;
pub(crate) use facts::{Facts, Selection};
pub(crate) use keys::{key, prefix, split};
pub(crate) use managed::{MAX_MANAGER, Owners, Settled, is_printable, manager_of, text};
pub(crate) use metadata::place;
pub(crate) use mirror::{Mirror, View};
pub(crate) use table::{Registry, Resource, Table};
pub(crate) use update::{Change, update};

/// What a write knows besides its object.
#[derive(Clone, Copy)]
pub(crate) struct Write<'a> {
    pub(crate) server: &'a Server,
    /// In the version that is stored.
    pub(crate) kind: &'a dyn Kind,
    /// In the version that the caller speaks.
    pub(crate) served: &'a dyn Kind,
    /// Empty for cluster-scoped kinds.
    pub(crate) namespace: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
    /// Whether everything is to be done but the writing.
    pub(crate) dry_run: bool,
    /// Who writes.
    pub(crate) identity: &'a Identity,
    /// The name by which he owns fields; without one nothing changes its owner.
    pub(crate) manager: Option<&'a str>,
    /// What he is told besides the answer.
    pub(crate) warnings: &'a Warnings,
    /// What the audit log is told besides.
    pub(crate) annotations: &'a Annotations,
}
