//! `ip-name-lookup`: names as the pod's resolver answers them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;

use coracle_network::dns;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketResult, subscribe};

use super::SocketsCtxView;
use super::error::code;
use super::ip_name_lookup::{Host, HostResolveAddressStream};
use super::pending::{Pending, glance};

/// The resource `resolve-address-stream`.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Lookup(Pending<Result<VecDeque<IpAddr>, ErrorCode>>);

impl Host for SocketsCtxView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<Lookup>> {
        // A network is the permission to look names up; every guest has one.
        self.table.get(&network)?;
        let plain = name.strip_suffix('.').unwrap_or(&name);
        if dns::literal(&name).is_none() && !dns::is_valid(plain) {
            return Err(ErrorCode::InvalidArgument.into());
        }
        let interface = self.interface.clone();
        let lookup = Pending::start(async move {
            interface.resolve(&name).await.map(VecDeque::from).map_err(code)
        });
        Ok(self.table.push(Lookup(lookup))?)
    }
}

impl HostResolveAddressStream for SocketsCtxView<'_> {
    fn resolve_next_address(
        &mut self,
        lookup: Resource<Lookup>,
    ) -> SocketResult<Option<IpAddress>> {
        match self.table.get_mut(&lookup)?.0.poll(&mut glance()) {
            Poll::Pending => Err(ErrorCode::WouldBlock.into()),
            Poll::Ready(Ok(addresses)) => Ok(addresses.pop_front().map(IpAddress::from)),
            Poll::Ready(Err(error)) => Err((*error).into()),
        }
    }

    fn subscribe(&mut self, lookup: Resource<Lookup>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, lookup)
    }

    fn drop(&mut self, lookup: Resource<Lookup>) -> wasmtime::Result<()> {
        self.table.delete(lookup)?;
        Ok(())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        poll_fn(|context| self.0.poll(context).map(|_| ())).await;
    }
}
