//! `wasi:sockets`: TCP and name lookup on the pod's network instead of the host's.
//!
//! [`add_to_linker`] replaces what `wasmtime_wasi` links for `tcp`, `tcp-create-socket` and
//! `ip-name-lookup`; the resource `network` and the error codes stay its own, and so does UDP, which
//! is not part of the pod network and must be denied by the guest's `WasiCtx`.
//!
//! Owns: sockets, their streams, lookups. May import: `coracle_network`, `wasmtime`, `wasmtime_wasi`.

mod address;
mod error;
mod lookup;
mod options;
mod pending;
mod socket;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;

use coracle_network::Interface;
use wasmtime::component::{HasData, Linker, ResourceTable};

#[allow(unreachable_pub, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: [
            "../../guest-sdk/wit/sdk/deps/io.wit",
            "../../guest-sdk/wit/sdk/deps/clocks.wit",
            "../../guest-sdk/wit/sdk/deps/sockets.wit",
        ],
        inline: "
            package coracle:sockets;
            world imports {
                import wasi:sockets/tcp@0.2.12;
                import wasi:sockets/tcp-create-socket@0.2.12;
                import wasi:sockets/ip-name-lookup@0.2.12;
            }
        ",
        world: "coracle:sockets/imports",
        imports: { default: trappable },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:sockets/network": wasmtime_wasi::p2::bindings::sockets::network,
            "wasi:sockets/tcp.tcp-socket": super::socket::TcpSocket,
            "wasi:sockets/ip-name-lookup.resolve-address-stream": super::lookup::Lookup,
        },
        trappable_error_type: {
            "wasi:sockets/network.error-code" => wasmtime_wasi::p2::SocketError,
        },
    });
}

use bindings::wasi::sockets::{ip_name_lookup, tcp as tcp_bindings, tcp_create_socket};

/// What the interfaces work on.
pub(crate) struct SocketsCtxView<'a> {
    /// Where sockets and streams are kept.
    pub(crate) table: &'a mut ResourceTable,
    /// The pod's end of the network.
    pub(crate) interface: &'a Interface,
}

/// Store data that the interfaces find their view in.
pub(crate) trait SocketsView: Send {
    /// The view.
    fn sockets(&mut self) -> SocketsCtxView<'_>;
}

struct Sockets;

impl HasData for Sockets {
    type Data<'a> = SocketsCtxView<'a>;
}

/// Links TCP and name lookup on the pod network. Where WASI's own are linked already, the linker
/// must allow shadowing.
pub(crate) fn add_to_linker<T: SocketsView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    tcp_bindings::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    tcp_create_socket::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    ip_name_lookup::add_to_linker::<T, Sockets>(linker, T::sockets)
}
