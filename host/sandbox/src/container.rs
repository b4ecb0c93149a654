//! What all instances of one started guest share, and the stores made from it.

use std::sync::Arc;

use coracle_network::Interface;
use wasmtime::Store;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::StartError;
use crate::capabilities::{Guest, WallClock};
use crate::cpu::Cpu;
use crate::memory::{Limiter, MemoryAccount};
use crate::meter::{FuelCounter, Meter, YIELD_INTERVAL};
use crate::metered::{Metered, metered};
use crate::spec::Mount;
use crate::stdio::{Console, Stdio};
use crate::stop::Stop;

/// One started guest.
pub(crate) struct Container {
    pub(crate) wasm: wasmtime::Engine,
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) console: Console,
    pub(crate) interface: Interface,
    pub(crate) memory: Arc<MemoryAccount>,
    pub(crate) pod_memory: Arc<MemoryAccount>,
    pub(crate) cpu: Arc<Cpu>,
    pub(crate) meter: Arc<Meter>,
    /// Instructions that may be executed in all.
    pub(crate) budget: Option<u64>,
    pub(crate) stop: Stop,
}

/// The data of a core module's store.
pub(crate) struct CoreGuest {
    pub(crate) wasi: WasiP1Ctx,
    limiter: Limiter,
}

/// A store with its fuel accounted for.
pub(crate) struct Fuelled<T: 'static> {
    pub(crate) store: Store<T>,
    counter: Arc<FuelCounter>,
    given: u64,
}

impl Container {
    fn wasi(&self) -> Result<WasiCtxBuilder, StartError> {
        let mut builder = WasiCtxBuilder::new();
        builder
            .args(&self.args)
            .envs(&self.env)
            .stdout(self.console.stream(Stdio::Stdout))
            .stderr(self.console.stream(Stdio::Stderr))
            .wall_clock(WallClock);
        for Mount { guest, host, read_only } in &self.mounts {
            let permissions = if *read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            builder.preopened_dir(host, guest, permissions).map_err(|error| {
                let (guest, host) = (guest.clone(), host.clone());
                StartError::Mount { guest, host, reason: format!("{error:#}") }
            })?;
        }
        Ok(builder)
    }

    fn limiter(&self) -> Limiter {
        Limiter::new(self.memory.clone(), self.pod_memory.clone())
    }

    /// A store for an instance of a component.
    pub(crate) fn component_store(&self) -> Result<Fuelled<Guest>, StartError> {
        let wasi = self.wasi()?.build();
        let guest = Guest::new(wasi, self.interface.clone(), self.stop.clone(), self.limiter());
        let mut store = self.store(guest)?;
        store.store.limiter(|guest| &mut guest.limiter);
        Ok(store)
    }

    /// A store for an instance of a core module.
    pub(crate) fn core_store(&self) -> Result<Fuelled<CoreGuest>, StartError> {
        let wasi = self.wasi()?.build_p1();
        let mut store = self.store(CoreGuest { wasi, limiter: self.limiter() })?;
        store.store.limiter(|guest| &mut guest.limiter);
        Ok(store)
    }

    fn store<T>(&self, data: T) -> Result<Fuelled<T>, StartError> {
        let failed = |error: wasmtime::Error| StartError::Instantiate(format!("{error:#}"));
        let mut store = Store::try_new(&self.wasm, data).map_err(failed)?;
        store.fuel_async_yield_interval(Some(YIELD_INTERVAL)).map_err(failed)?;
        let counter = FuelCounter::new(self.meter.clone());
        let mut fuelled = Fuelled { store, counter, given: 0 };
        fuelled.fill(self.budget.unwrap_or(u64::MAX)).map_err(failed)?;
        Ok(fuelled)
    }

    /// Runs `guest`, which uses a store counted by `counter`.
    pub(crate) fn run<'a, T>(
        &self,
        counter: Arc<FuelCounter>,
        guest: impl Future<Output = T> + Send + 'a,
    ) -> Metered<'a, T> {
        metered(self.cpu.clone(), self.meter.clone(), counter, guest)
    }
}

impl<T> Fuelled<T> {
    /// What counts the store's fuel while it runs.
    pub(crate) fn counter(&self) -> Arc<FuelCounter> {
        self.counter.clone()
    }

    /// Gives the store `fuel` to burn.
    pub(crate) fn fill(&mut self, fuel: u64) -> wasmtime::Result<()> {
        self.given = fuel;
        self.store.set_fuel(fuel)
    }

    /// Counts what has been burnt since the store was filled; the fuel that is left.
    pub(crate) fn settle(&mut self) -> u64 {
        let left = self.store.get_fuel().unwrap_or(self.given);
        self.counter.settle(self.given.saturating_sub(left));
        self.given = left;
        left
    }
}

impl<T> Drop for Fuelled<T> {
    fn drop(&mut self) {
        self.settle();
    }
}
