//! Why a module could not be loaded or a guest not be started.

use std::io;
use std::path::PathBuf;

/// Why bytes did not become a [`crate::Module`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The digest is not of the form `sha256:<64 hexadecimal digits>`.
    #[error("{0:?} is not a digest of the form sha256:<hex>")]
    Digest(String),
    /// The bytes could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The bytes are not the ones that the digest names.
    #[error("the bytes of {expected} are damaged: their digest is {actual}")]
    Damaged {
        /// The digest asked for.
        expected: String,
        /// The digest of the bytes.
        actual: String,
    },
    /// The bytes are not valid WebAssembly.
    #[error("cannot compile: {0}")]
    Compile(String),
    /// The module asks for what the host does not provide.
    #[error("unknown imports: {}", .0.join(", "))]
    UnknownImports(Vec<String>),
    /// An import exists, but not with the type that the module expects.
    #[error("cannot link: {0}")]
    Link(String),
    /// The module has no entry point that the host knows.
    #[error(
        "nothing to run: a component must export wasi:cli/run or wasi:http/incoming-handler, \
         a core module must export _start"
    )]
    NoEntry,
    /// The engine ended meanwhile.
    #[error("the engine has been shut down")]
    Engine,
}

/// Why a guest did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// As many guests run as the engine can hold.
    #[error("no capacity for another guest: {0}")]
    Capacity(String),
    /// A directory could not be opened.
    #[error("cannot mount {host} at {guest}: {reason}")]
    Mount {
        /// The path that the guest was to see.
        guest: String,
        /// The directory behind it.
        host: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The port of an HTTP handler could not be had.
    #[error("cannot listen on port {port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: coracle_network::Error,
    },
    /// The guest could not be brought up, before any of its code ran.
    #[error("cannot instantiate: {0}")]
    Instantiate(String),
    /// The engine ended meanwhile.
    #[error("the engine has been shut down")]
    Engine,
}
