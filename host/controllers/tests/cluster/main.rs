//! All controllers and the scheduler under the real API server on the memory store, in simulated
//! time. Nodes only pretend: see `node`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod certificates;
mod collection;
mod cronjobs;
mod daemonsets;
mod deployments;
mod disruption;
mod harness;
mod jobs;
mod namespaces;
mod node;
mod nodes;
mod quotas;
mod replicasets;
mod scheduling;
mod services;
mod statefulsets;
mod tokens;
