//! The image store and its HTTP side, against an API server of one kind that keeps Modules in a
//! map.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod cluster;
mod oci;
mod plain;
mod resolving;
