//! `tcp` and `tcp-create-socket`, call by call.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketResult, subscribe};

use super::SocketsCtxView;
use super::options::{Options, set};
use super::socket::TcpSocket;
use super::tcp_bindings::{Host, HostTcpSocket, ShutdownType};
use super::tcp_create_socket;

impl Host for SocketsCtxView<'_> {}

impl tcp_create_socket::Host for SocketsCtxView<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        Ok(self.table.push(TcpSocket::new(family))?)
    }
}

impl SocketsCtxView<'_> {
    fn socket(&mut self, socket: &Resource<TcpSocket>) -> SocketResult<&mut TcpSocket> {
        Ok(self.table.get_mut(socket)?)
    }

    fn options(&mut self, socket: &Resource<TcpSocket>) -> SocketResult<&mut Options> {
        Ok(&mut self.table.get_mut(socket)?.options)
    }
}

impl HostTcpSocket for SocketsCtxView<'_> {
    fn start_bind(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let interface = self.interface;
        Ok(self.socket(&socket)?.start_bind(interface, local.into())?)
    }

    fn finish_bind(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.socket(&socket)?.finish_bind()?)
    }

    fn start_connect(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        remote: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let interface = self.interface;
        Ok(self.socket(&socket)?.start_connect(interface, remote.into())?)
    }

    fn finish_connect(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let (input, output) = self.socket(&socket)?.finish_connect()?;
        let input: DynInputStream = Box::new(input);
        let output: DynOutputStream = Box::new(output);
        Ok((self.table.push_child(input, &socket)?, self.table.push_child(output, &socket)?))
    }

    fn start_listen(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.socket(&socket)?.start_listen()?)
    }

    fn finish_listen(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.socket(&socket)?.finish_listen()?)
    }

    fn accept(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>)>
    {
        let (accepted, input, output) = self.socket(&socket)?.accept()?;
        let input: DynInputStream = Box::new(input);
        let output: DynOutputStream = Box::new(output);
        let accepted = self.table.push(accepted)?;
        let input = self.table.push_child(input, &accepted)?;
        let output = self.table.push_child(output, &accepted)?;
        Ok((accepted, input, output))
    }

    fn local_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&socket)?.local_address()?.into())
    }

    fn remote_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&socket)?.remote_address()?.into())
    }

    fn is_listening(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&socket)?.is_listening())
    }

    fn address_family(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.table.get(&socket)?.family)
    }

    fn set_listen_backlog_size(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(self.socket(&socket)?.set_backlog(value)?)
    }

    fn keep_alive_enabled(&mut self, socket: Resource<TcpSocket>) -> SocketResult<bool> {
        Ok(self.options(&socket)?.keep_alive)
    }

    fn set_keep_alive_enabled(
        &mut self,
        socket: Resource<TcpSocket>,
        value: bool,
    ) -> SocketResult<()> {
        self.options(&socket)?.keep_alive = value;
        Ok(())
    }

    fn keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.options(&socket)?.keep_alive_idle)
    }

    fn set_keep_alive_idle_time(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(set(&mut self.options(&socket)?.keep_alive_idle, value)?)
    }

    fn keep_alive_interval(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.options(&socket)?.keep_alive_interval)
    }

    fn set_keep_alive_interval(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(set(&mut self.options(&socket)?.keep_alive_interval, value)?)
    }

    fn keep_alive_count(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u32> {
        Ok(self.options(&socket)?.keep_alive_count)
    }

    fn set_keep_alive_count(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u32,
    ) -> SocketResult<()> {
        Ok(set(&mut self.options(&socket)?.keep_alive_count, value)?)
    }

    fn hop_limit(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u8> {
        Ok(self.options(&socket)?.hop_limit)
    }

    fn set_hop_limit(&mut self, socket: Resource<TcpSocket>, value: u8) -> SocketResult<()> {
        Ok(set(&mut self.options(&socket)?.hop_limit, value)?)
    }

    fn receive_buffer_size(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.options(&socket)?.receive_buffer)
    }

    fn set_receive_buffer_size(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(set(&mut self.options(&socket)?.receive_buffer, value)?)
    }

    fn send_buffer_size(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.options(&socket)?.send_buffer)
    }

    fn set_send_buffer_size(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(set(&mut self.options(&socket)?.send_buffer, value)?)
    }

    fn subscribe(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, socket)
    }

    fn shutdown(
        &mut self,
        socket: Resource<TcpSocket>,
        direction: ShutdownType,
    ) -> SocketResult<()> {
        let connection = self.socket(&socket)?.connection()?;
        if matches!(direction, ShutdownType::Receive | ShutdownType::Both) {
            connection.shut_reading();
        }
        if matches!(direction, ShutdownType::Send | ShutdownType::Both) {
            connection.shut_writing();
        }
        Ok(())
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}
