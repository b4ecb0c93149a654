use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use coracle_network::{Cidr, Config, Fabric, Identity};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmtime_wasi::p2::bindings::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Network,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, Pollable, SocketError, StreamError};
use wasmtime_wasi::sockets::WasiSocketsView;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::ip_name_lookup::{Host as _, HostResolveAddressStream};
use super::socket::TcpSocket;
use super::tcp_bindings::{HostTcpSocket, ShutdownType};
use super::tcp_create_socket::Host as _;
use super::*;

const V4: IpAddressFamily = IpAddressFamily::Ipv4;
const V6: IpAddressFamily = IpAddressFamily::Ipv6;

/// What a guest's store holds, without the guest.
struct Guest {
    wasi: WasiCtx,
    table: ResourceTable,
    interface: Interface,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Guest {
    fn new(fabric: &Fabric, name: &str) -> Self {
        let identity = Identity {
            namespace: "shop".into(),
            name: name.into(),
            hostname: name.into(),
            ..Identity::default()
        };
        let interface = fabric.attach(identity, Cidr::v4([10, 244, 0, 0], 24)).unwrap();
        Self { wasi: WasiCtx::builder().build(), table: ResourceTable::new(), interface }
    }

    fn view(&mut self) -> SocketsCtxView<'_> {
        SocketsCtxView { table: &mut self.table, interface: &self.interface }
    }

    fn network(&mut self) -> Resource<Network> {
        WasiSocketsView::sockets(self).instance_network().unwrap()
    }

    fn socket(&mut self, family: IpAddressFamily) -> Socket {
        Socket(self.view().create_tcp_socket(family).unwrap().rep())
    }

    fn bind(&mut self, socket: Socket, address: SocketAddr) -> Result<(), ErrorCode> {
        let network = self.network();
        self.view().start_bind(socket.get(), network, address.into()).map_err(error_code)?;
        self.view().finish_bind(socket.get()).map_err(error_code)
    }

    fn listen(
        &mut self,
        family: IpAddressFamily,
        address: SocketAddr,
    ) -> Result<Socket, ErrorCode> {
        let socket = self.socket(family);
        self.bind(socket, address)?;
        self.view().start_listen(socket.get()).map_err(error_code)?;
        self.view().finish_listen(socket.get()).map_err(error_code)?;
        Ok(socket)
    }

    async fn connect(&mut self, socket: Socket, to: SocketAddr) -> Result<Streams, ErrorCode> {
        let network = self.network();
        self.view().start_connect(socket.get(), network, to.into()).map_err(error_code)?;
        self.table.get_mut(&socket.get()).unwrap().ready().await;
        let (input, output) = self.view().finish_connect(socket.get()).map_err(error_code)?;
        Ok(Streams { input, output })
    }

    async fn accept(&mut self, socket: Socket) -> (Socket, Streams) {
        self.table.get_mut(&socket.get()).unwrap().ready().await;
        let (accepted, input, output) = self.view().accept(socket.get()).unwrap();
        (Socket(accepted.rep()), Streams { input, output })
    }

    fn input(&mut self, streams: &Streams) -> &mut DynInputStream {
        self.table.get_mut(&streams.input).unwrap()
    }

    fn output(&mut self, streams: &Streams) -> &mut DynOutputStream {
        self.table.get_mut(&streams.output).unwrap()
    }

    fn address(&mut self, socket: Socket) -> SocketAddr {
        self.view().local_address(socket.get()).unwrap().into()
    }
}

/// A socket's place in its guest's table.
#[derive(Clone, Copy)]
struct Socket(u32);

impl Socket {
    fn get(self) -> Resource<TcpSocket> {
        Resource::new_borrow(self.0)
    }
}

struct Streams {
    input: Resource<DynInputStream>,
    output: Resource<DynOutputStream>,
}

fn error_code(error: SocketError) -> ErrorCode {
    error.downcast().unwrap()
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)
}

fn localhost(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

fn two() -> (Guest, Guest) {
    let fabric = Fabric::new(Config::default());
    (Guest::new(&fabric, "server"), Guest::new(&fabric, "client"))
}

#[tokio::test]
async fn two_guests_talk() {
    let (mut server, mut client) = two();
    let listening = server.listen(V4, any(80)).unwrap();
    assert!(server.view().is_listening(listening.get()).unwrap());
    assert_eq!(server.address(listening), any(80));
    let to = SocketAddr::new(server.interface.ip(), 80);
    let socket = client.socket(V4);
    let near = client.connect(socket, to).await.unwrap();
    let (accepted, far) = server.accept(listening).await;

    let remote: SocketAddr = client.view().remote_address(socket.get()).unwrap().into();
    assert_eq!(remote, to);
    let peer: SocketAddr = server.view().remote_address(accepted.get()).unwrap().into();
    assert_eq!(peer, client.address(socket));
    assert_eq!(peer.ip(), client.interface.ip());
    assert_eq!(server.address(accepted), to);

    assert!(server.input(&far).read(10).unwrap().is_empty());
    client.output(&near).blocking_write_and_flush("question".into()).await.unwrap();
    assert_eq!(server.input(&far).blocking_read(5).await.unwrap(), "quest");
    assert_eq!(server.input(&far).blocking_read(100).await.unwrap(), "ion");
    client.view().shutdown(socket.get(), ShutdownType::Send).unwrap();
    assert!(matches!(client.output(&near).check_write(), Err(StreamError::Closed)));
    assert!(matches!(server.input(&far).blocking_read(5).await, Err(StreamError::Closed)));
    server.output(&far).blocking_write_and_flush("answer".into()).await.unwrap();
    let Streams { input, output } = far;
    server.table.delete(input).unwrap();
    server.table.delete(output).unwrap();
    assert_eq!(client.input(&near).blocking_read(100).await.unwrap(), "answer");
    assert!(matches!(client.input(&near).blocking_read(5).await, Err(StreamError::Closed)));
}

#[tokio::test]
async fn much_data_arrives_whole_though_the_writer_has_left() {
    let (mut server, mut client) = two();
    let listening = server.listen(V4, any(80)).unwrap();
    let socket = client.socket(V4);
    let to = SocketAddr::new(server.interface.ip(), 80);
    let near = client.connect(socket, to).await.unwrap();
    let (_, far) = server.accept(listening).await;
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        let mut rest = Bytes::from(sent);
        while !rest.is_empty() {
            let output = client.output(&near);
            let permit = output.write_ready().await.unwrap();
            let chunk = rest.split_to(permit.min(rest.len()));
            output.write(chunk).unwrap();
        }
        let Streams { input, output } = near;
        client.table.delete(output).unwrap();
        client.table.delete(input).unwrap();
        client.table.delete(Resource::<TcpSocket>::new_own(socket.0)).unwrap();
    });
    let mut received = Vec::new();
    loop {
        match server.input(&far).blocking_read(100_000).await {
            Ok(bytes) => received.extend_from_slice(&bytes),
            Err(StreamError::Closed) => break,
            Err(error) => panic!("{error}"),
        }
    }
    writing.await.unwrap();
    assert!(received == expected);
}

#[tokio::test]
async fn says_why_it_cannot() {
    let (mut server, mut client) = two();
    let ip = server.interface.ip();
    assert_eq!(
        server.listen(V4, SocketAddr::new(client.interface.ip(), 80)).err(),
        Some(ErrorCode::AddressNotBindable)
    );
    assert_eq!(server.listen(V6, any(80)).err(), Some(ErrorCode::InvalidArgument));
    let listening = server.listen(V4, any(80)).unwrap();
    assert_eq!(server.listen(V4, any(80)).err(), Some(ErrorCode::AddressInUse));
    assert_eq!(server.listen(V4, SocketAddr::new(ip, 80)).err(), Some(ErrorCode::AddressInUse));
    assert_eq!(server.bind(listening, any(81)).err(), Some(ErrorCode::InvalidState));
    assert_eq!(
        server.view().accept(listening.get()).err().map(error_code),
        Some(ErrorCode::WouldBlock)
    );

    for (to, expected) in [
        (SocketAddr::new(ip, 81), ErrorCode::ConnectionRefused),
        (SocketAddr::from(([10, 244, 0, 200], 80)), ErrorCode::RemoteUnreachable),
        (SocketAddr::from(([192, 0, 2, 1], 80)), ErrorCode::AccessDenied),
        (any(80), ErrorCode::InvalidArgument),
        (SocketAddr::new(ip, 0), ErrorCode::InvalidArgument),
        ("[::1]:80".parse().unwrap(), ErrorCode::InvalidArgument),
    ] {
        let socket = client.socket(V4);
        assert_eq!(client.connect(socket, to).await.err(), Some(expected), "{to}");
    }

    let socket = client.socket(V4);
    let refused = |result: Result<_, SocketError>| result.err().map(error_code);
    assert_eq!(refused(client.view().start_listen(socket.get())), Some(ErrorCode::InvalidState));
    assert_eq!(refused(client.view().finish_bind(socket.get())), Some(ErrorCode::NotInProgress));
    assert_eq!(
        refused(client.view().shutdown(socket.get(), ShutdownType::Both)),
        Some(ErrorCode::InvalidState)
    );
    let network = client.network();
    let address = IpSocketAddress::from(any(0));
    client.view().start_bind(socket.get(), network, address).unwrap();
    let network = client.network();
    assert_eq!(
        refused(client.view().start_bind(socket.get(), network, address)),
        Some(ErrorCode::ConcurrencyConflict)
    );
    assert_eq!(
        refused(client.view().set_listen_backlog_size(socket.get(), 0)),
        Some(ErrorCode::InvalidArgument)
    );
    assert_eq!(
        refused(client.view().set_hop_limit(socket.get(), 0)),
        Some(ErrorCode::InvalidArgument)
    );
    client.view().set_hop_limit(socket.get(), 7).unwrap();
    assert_eq!(client.view().hop_limit(socket.get()).unwrap(), 7);
}

#[tokio::test]
async fn a_pod_s_loopback_is_its_own() {
    let (mut server, mut client) = two();
    let v4 = server.listen(V4, localhost(80)).unwrap();
    let v6 = server.listen(V6, "[::]:81".parse().unwrap()).unwrap();
    let ip = server.interface.ip();
    let outside = client.socket(V4);
    assert_eq!(
        client.connect(outside, SocketAddr::new(ip, 80)).await.err(),
        Some(ErrorCode::ConnectionRefused)
    );
    let inside = server.socket(V4);
    server.connect(inside, localhost(80)).await.unwrap();
    let (accepted, _) = server.accept(v4).await;
    assert_eq!(server.address(accepted), localhost(80));
    let inside = server.socket(V6);
    server.connect(inside, "[::1]:81".parse().unwrap()).await.unwrap();
    let (accepted, _) = server.accept(v6).await;
    assert_eq!(server.address(accepted), "[::1]:81".parse().unwrap());
    let outside = client.socket(V4);
    client.connect(outside, SocketAddr::new(ip, 81)).await.unwrap();
    let (accepted, _) = server.accept(v6).await;
    let peer: SocketAddr = server.view().remote_address(accepted.get()).unwrap().into();
    assert_eq!(peer.ip().to_canonical(), client.interface.ip());
}

#[tokio::test]
async fn names_are_looked_up() {
    let (mut guest, _other) = two();
    let mut resolve = async |name: &str| -> Result<Vec<IpAddr>, ErrorCode> {
        let network = guest.network();
        let lookup = guest.view().resolve_addresses(network, name.into()).map_err(error_code)?;
        guest.table.get_mut(&lookup).unwrap().ready().await;
        let mut addresses = Vec::new();
        loop {
            let borrowed = Resource::new_borrow(lookup.rep());
            match guest.view().resolve_next_address(borrowed).map_err(error_code)? {
                Some(IpAddress::Ipv4((a, b, c, d))) => addresses.push([a, b, c, d].into()),
                Some(IpAddress::Ipv6(_)) => panic!("an address of another family"),
                None => return Ok(addresses),
            }
        }
    };
    assert_eq!(resolve("10.1.2.3").await, Ok(vec![[10, 1, 2, 3].into()]));
    assert_eq!(resolve("localhost").await, Ok(vec![Ipv4Addr::LOCALHOST.into()]));
    assert_eq!(resolve("server").await, Ok(vec![[10, 244, 0, 2].into()]));
    assert_eq!(resolve("nobody").await, Err(ErrorCode::NameUnresolvable));
    assert_eq!(resolve("no body").await, Err(ErrorCode::InvalidArgument));
}
