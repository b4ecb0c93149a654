//! A node agent with a real sandbox under a real API server on the memory store: pods from their
//! creation to their end. One file for each side of a pod's life.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in what its tests share as well"
)]

mod cluster;
mod containers;
mod guests;
mod life;
mod logs;
mod probes;
mod refusals;
mod restart;
mod volumes;
