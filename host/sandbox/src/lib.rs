//! WebAssembly guests on wasmtime: compile, start, meter, limit, stop.
//!
//! One [`Engine`] serves the process. [`Engine::load`] turns stored bytes into a [`Module`] that is
//! ready to start (compiled once, kept on disk, mapped in); [`Engine::start`] turns a [`Spec`] into
//! a running [`Instance`]. Two lanes lie behind it: components (WASI 0.2, commands and HTTP
//! handlers) and core modules of WASI preview 1. Guests run on threads of their own and see nothing
//! of the host but what their spec gives them.
//!
//! Owns: the engine, compiled code, metering, limits, the host's side of every WIT package.
//! May import: `coracle_api` and `coracle_network`. Knows nothing of Kubernetes.

mod capabilities;
mod command;
mod compile;
mod container;
mod cpu;
mod engine;
mod error;
mod failure;
mod http;
mod instance;
mod lock;
mod memory;
mod meter;
mod metered;
mod module;
mod sizing;
mod spec;
mod stdio;
mod stop;

pub use compile::Source;
pub use engine::{Engine, EngineConfig, EngineError};
pub use error::{LoadError, StartError};
pub use instance::{Exit, ExitReason, Instance, Waiter};
pub use memory::MemoryAccount;
pub use meter::{EngineUsage, Usage};
pub use module::Module;
pub use spec::{CpuShare, HttpSpec, Limits, Mount, Reuse, Spec};
pub use stdio::{Output, Printed, Stdio};
