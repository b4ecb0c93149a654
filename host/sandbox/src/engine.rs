//! The engine: one for the process.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coracle_api::clock;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use crate::capabilities::Linkers;
use crate::compile::Compiler;
use crate::container::Container;
use crate::cpu::Cpu;
use crate::instance::{ExitReason, Instance, Waiter};
use crate::meter::{EngineUsage, Meter};
use crate::module::Code;
use crate::stdio::Console;
use crate::{
    LoadError, MemoryAccount, Module, Source, Spec, StartError, command, http, sizing, stop,
};

/// How the guests' threads rank behind everything else in the process.
const NICE: i32 = 5;
/// Tasks that a guest thread runs before it looks after timers and newcomers. Turns are up to 5 ms
/// long, so the runtime's usual count would let timers wait for a good part of a second.
const TICK: u32 = 7;
/// Threads for what blocks: compiling, files of guests.
const BLOCKING_THREADS: usize = 64;
/// How long an ended guest's last prints may take to be accepted.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How an [`Engine`] is set up.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where compiled code is kept.
    pub cache_dir: PathBuf,
    /// Threads that run guests.
    pub guest_threads: usize,
    /// Instances that may exist at once, HTTP handlers having several each. More than the kernel's
    /// `vm.max_map_count` has room for are not provided.
    pub max_instances: u32,
    /// The most that one linear memory may grow to.
    pub max_memory_per_instance: usize,
}

impl EngineConfig {
    /// A thread for each processor, 5,000 instances, and no bound on a memory but WebAssembly's own.
    /// Room for twice as many instances costs 25 ms of start and 1 MB.
    pub fn new(cache_dir: PathBuf) -> Self {
        let guest_threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self { cache_dir, guest_threads, max_instances: 5_000, max_memory_per_instance: 1 << 32 }
    }
}

/// Why an engine could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The directory for compiled code cannot be used.
    #[error("cannot use {dir} for compiled code: {source}")]
    Cache {
        /// The directory.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The guests' threads could not be started.
    #[error("cannot start the guests' threads: {0}")]
    Threads(io::Error),
    /// The WebAssembly engine could not be set up, for want of address space most likely.
    #[error("cannot set up the WebAssembly engine: {0}")]
    Wasm(String),
}

/// Loads modules and runs guests. When the last clone is dropped, every guest ends.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasm: wasmtime::Engine,
    compiler: Arc<Compiler>,
    /// Absent only while being dropped.
    runtime: Option<Runtime>,
    total: Arc<Meter>,
    running: Arc<AtomicU64>,
    max_instances: u32,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last owner may be a task, which must not wait.
            runtime.shutdown_background();
        }
    }
}

/// Counts a running guest for as long as it lives.
struct Running(Arc<AtomicU64>);

impl Running {
    fn new(counter: &Arc<AtomicU64>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// Sets up an engine.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig { cache_dir, guest_threads, max_instances, max_memory_per_instance } =
            config;
        let failed = |error: wasmtime::Error| EngineError::Wasm(format!("{error:#}"));
        let max_instances = max_instances.clamp(1, sizing::most_instances());
        let mut settings = wasmtime::Config::new();
        settings
            .consume_fuel(true)
            .concurrency_support(false)
            .allocation_strategy(sizing::pool(max_instances, max_memory_per_instance));
        let wasm = wasmtime::Engine::new(&settings).map_err(failed)?;
        let linkers = Arc::new(Linkers::new(&wasm).map_err(failed)?);
        let compiler = Compiler::new(wasm.clone(), linkers, cache_dir.clone(), guest_threads)
            .map_err(|source| EngineError::Cache { dir: cache_dir, source })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(guest_threads.max(1))
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("guest")
            .event_interval(TICK)
            .global_queue_interval(TICK)
            .on_thread_start(yield_to_the_host)
            .enable_all()
            .build()
            .map_err(EngineError::Threads)?;
        Ok(Self {
            inner: Arc::new(Inner {
                wasm,
                compiler: Arc::new(compiler),
                runtime: Some(runtime),
                total: Arc::default(),
                running: Arc::default(),
                max_instances,
            }),
        })
    }

    fn runtime(&self) -> Option<&tokio::runtime::Handle> {
        self.inner.runtime.as_ref().map(Runtime::handle)
    }

    /// Instances that may exist at once.
    pub fn max_instances(&self) -> u32 {
        self.inner.max_instances
    }

    /// The module of `digest` (`sha256:<hex>` of its bytes), ready to start. `source` is read only
    /// if the module has never been compiled by this build of the program.
    pub async fn load(&self, digest: &str, source: Source) -> Result<Arc<Module>, LoadError> {
        let runtime = self.runtime().ok_or(LoadError::Engine)?;
        self.inner.compiler.load(runtime, digest, source).await
    }

    /// Starts a guest. It has started when this returns; dropping the future, or the instance,
    /// ends it.
    pub async fn start(&self, spec: Spec) -> Result<Instance, StartError> {
        let runtime = self.runtime().ok_or(StartError::Engine)?;
        let (stopper, stop) = stop::channel();
        let Spec { module, name, args, env, mounts, output, interface, http, limits } = spec;
        let memory = MemoryAccount::new(limits.memory);
        let meter = Meter::below(self.inner.total.clone());
        let container = Arc::new(Container {
            wasm: self.inner.wasm.clone(),
            name,
            args,
            env,
            mounts,
            console: Console::new(output),
            interface,
            memory: memory.clone(),
            pod_memory: limits.pod_memory.clone(),
            cpu: Arc::new(Cpu::new(&limits)),
            meter: meter.clone(),
            budget: limits.fuel,
            stop,
        });
        let started_at = clock::now();
        let (exit, waiting) = watch::channel(None);
        let waiter = Waiter::new(started_at, waiting);
        // Made before anything runs, so that giving up on the start ends the guest.
        let instance = Instance { waiter, stop: stopper, meter, memory };
        let (started, starting) = oneshot::channel();
        let running = Running::new(&self.inner.running);
        runtime.spawn(async move {
            let ended = match &module.code {
                Code::Http(pre) => http::serve(&container, pre, http, started).await,
                Code::Core(pre) => command::core(&container, pre, started).await,
                Code::Command(pre) => {
                    command::component(&container, pre, module.hears_stops(), started).await
                }
            };
            let Some(ended) = ended.map_or_else(|early| early, Some) else { return };
            if ended.reason == ExitReason::OomKilled {
                container.meter.oom_kill();
            }
            tracing::debug!(guest = container.name, ?ended, "guest ended");
            if tokio::time::timeout(LAST_WORDS, container.console.drain()).await.is_err() {
                tracing::warn!(guest = container.name, "nobody took the guest's last prints");
            }
            drop(running);
            exit.send_replace(Some(ended.at(started_at)));
        });
        starting.await.map_err(|_| StartError::Engine)??;
        Ok(instance)
    }

    /// What all guests have used.
    pub fn usage(&self) -> EngineUsage {
        let Inner { compiler, total, running, .. } = &*self.inner;
        EngineUsage {
            cpu: total.cpu(),
            fuel: total.fuel(),
            running: running.load(Ordering::Relaxed),
            compiled: compiler.compiled(),
            mapped: compiler.mapped(),
        }
    }
}

/// Guests run when the cluster itself has nothing to do.
fn yield_to_the_host() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "guest threads keep the process's priority");
    }
}
