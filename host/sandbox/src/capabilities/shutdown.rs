//! `coracle:guest/shutdown`: a guest hears that it is asked to end.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::stop::Stop;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../guest-sdk/wit/coracle-guest",
        world: "coracle:guest/imports",
        imports: { default: trappable },
        require_store_data_send: true,
        with: { "wasi:io": wasmtime_wasi::p2::bindings::io },
    });
}

use bindings::coracle::guest::shutdown;

/// What the interface works on.
pub(crate) struct ShutdownView<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) stop: &'a Stop,
}

/// Store data that the interface finds its view in.
pub(crate) trait ShutdownViewOf: Send {
    fn shutdown(&mut self) -> ShutdownView<'_>;
}

struct Shutdown;

impl HasData for Shutdown {
    type Data<'a> = ShutdownView<'a>;
}

pub(crate) fn add_to_linker<T: ShutdownViewOf + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    shutdown::add_to_linker::<T, Shutdown>(linker, T::shutdown)
}

impl shutdown::Host for ShutdownView<'_> {
    fn requested(&mut self) -> wasmtime::Result<bool> {
        Ok(self.stop.requested())
    }

    fn subscribe(&mut self) -> wasmtime::Result<Resource<DynPollable>> {
        let asked = self.table.push(Asked(self.stop.clone()))?;
        subscribe(self.table, asked)
    }
}

/// Ready once the guest is asked to end.
struct Asked(Stop);

#[wasmtime_wasi::async_trait]
impl Pollable for Asked {
    async fn ready(&mut self) {
        self.0.asked().await;
    }
}
