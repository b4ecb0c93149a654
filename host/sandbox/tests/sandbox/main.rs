//! Real guests, from bytes to their end. One file for each side of a guest's life.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod cache;
mod cluster;
mod commands;
mod cpu;
mod density;
mod handlers;
mod limits;
mod links;
mod output;
mod stop;
mod wat;
