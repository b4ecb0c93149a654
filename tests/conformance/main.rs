//! Kubernetes' conformance as far as an API server and controllers show it: a test a behaviour of
//! `behaviours.txt`, named as it is there and grouped as Kubernetes' special interest groups are.
//! What is not tested yet stands with its reason in `not-yet.toml`.
//!
//! The tests share one cluster where they share a process, so each keeps to a namespace of its own
//! and to names made from it.

mod admission_policy;
mod admission_webhook;
mod aggregation;
mod apps;
mod auth;
mod batch;
mod chunking;
mod completeness;
mod configuration;
mod crd;
mod crd_conversion;
mod crd_openapi;
mod discovery;
mod disruption;
mod endpoints;
mod events;
mod field_validation;
mod garbage;
mod hook;
mod lifecycle;
mod namespaces;
mod nodes;
mod pods;
mod quota;
mod replication;
mod services;
mod storage;
mod watch;
mod world;
