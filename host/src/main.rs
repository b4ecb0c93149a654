//! `coracle`: a Kubernetes cluster in one program whose pods are WebAssembly.
//!
//! Parses the command line, runs the command, and ends with its exit code. What the cluster is
//! made of is put together in [`cluster`].

mod audit;
mod authentication;
mod bootstrap;
mod cluster;
mod commands;
mod config;
mod dashboard;
mod files;
mod kubeconfig;
mod modules;
mod pki;
mod serve;
mod shutdown;
mod telemetry;
mod timeouts;
mod unread;

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// Pods that start make and drop many small things on every thread at once; the system's
/// allocator gives that memory back and takes it anew each time.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// A Kubernetes cluster in one program whose pods are WebAssembly.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coracle: {error:#}");
            ExitCode::FAILURE
        }
    }
}
