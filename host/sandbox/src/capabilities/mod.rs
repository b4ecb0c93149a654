//! The host's side of every WIT package, one file or folder a package, and the linkers made of
//! them. What is linked here is what `coracle_api::capabilities` promises.

mod clock;
mod outgoing;
mod shutdown;
mod sockets;

use coracle_network::Interface;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub(crate) use clock::WallClock;

use crate::container::CoreGuest;
use crate::memory::Limiter;
use crate::stop::Stop;
use outgoing::Outgoing;
use shutdown::{ShutdownView, ShutdownViewOf};
use sockets::{SocketsCtxView, SocketsView};

/// The most resources (streams, files, sockets, requests) that one guest may hold at once.
const MAX_RESOURCES: usize = 65_536;

/// The data of a component's store: everything that the host holds for the guest.
pub(crate) struct Guest {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    interface: Interface,
    stop: Stop,
    pub(crate) limiter: Limiter,
}

impl Guest {
    pub(crate) fn new(wasi: WasiCtx, interface: Interface, stop: Stop, limiter: Limiter) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let outgoing = Outgoing::new(interface.clone());
        Self { wasi, table, http: WasiHttpCtx::new(), outgoing, interface, stop, limiter }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}

impl SocketsView for Guest {
    fn sockets(&mut self) -> SocketsCtxView<'_> {
        SocketsCtxView { table: &mut self.table, interface: &self.interface }
    }
}

impl ShutdownViewOf for Guest {
    fn shutdown(&mut self) -> ShutdownView<'_> {
        ShutdownView { table: &mut self.table, stop: &self.stop }
    }
}

/// What modules are linked against.
pub(crate) struct Linkers {
    pub(crate) component: wasmtime::component::Linker<Guest>,
    pub(crate) core: wasmtime::Linker<CoreGuest>,
}

impl Linkers {
    pub(crate) fn new(wasm: &wasmtime::Engine) -> wasmtime::Result<Self> {
        Ok(Self { component: component(wasm)?, core: core(wasm)? })
    }
}

fn component(wasm: &wasmtime::Engine) -> wasmtime::Result<wasmtime::component::Linker<Guest>> {
    let mut linker = wasmtime::component::Linker::new(wasm);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    shutdown::add_to_linker(&mut linker)?;
    // The pod network takes the place of the host's; UDP stays the host's, of which none is allowed.
    linker.allow_shadowing(true);
    sockets::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

fn core(wasm: &wasmtime::Engine) -> wasmtime::Result<wasmtime::Linker<CoreGuest>> {
    let mut linker = wasmtime::Linker::<CoreGuest>::new(wasm);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |guest| &mut guest.wasi)?;
    // WASI's own traps above 125; a process may exit with any byte.
    linker.allow_shadowing(true);
    linker.func_wrap(
        coracle_api::capabilities::PREVIEW1,
        "proc_exit",
        |code: i32| -> wasmtime::Result<()> { Err(I32Exit(code & 0xff).into()) },
    )?;
    linker.allow_shadowing(false);
    Ok(linker)
}
