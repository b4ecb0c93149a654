//! TCP on the pod network, shaped like `std::net`: a pod reaches other pods by their address and
//! services by their name.
//!
//! ```no_run
//! use coracle_guest::net::TcpStream;
//! use std::io::{Read, Write};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut stream = TcpStream::connect("echo.default:7")?;
//! stream.write_all(b"hello")?;
//! let mut answer = [0; 5];
//! stream.read_exact(&mut answer)?;
//! # Ok(()) }
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::bindings::wasi::io::streams::{InputStream, OutputStream};
use crate::bindings::wasi::sockets::instance_network::instance_network;
use crate::bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::bindings::wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use crate::bindings::wasi::sockets::tcp::{ShutdownType, TcpSocket};
use crate::bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::stream;
use crate::wait::Readiness;

/// The addresses of a name; those of a service are its cluster address.
pub fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = name.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    let answers = resolve_addresses(&instance_network(), name).map_err(failed)?;
    let mut addresses = Vec::new();
    loop {
        match answers.resolve_next_address() {
            Ok(Some(address)) => addresses.push(to_std(address)),
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => answers.subscribe().block(),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// A connection. Dropping it closes it in both directions.
#[derive(Debug)]
pub struct TcpStream {
    // The socket comes last: its streams must be dropped before it.
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
    nonblocking: bool,
}

impl TcpStream {
    /// Connects to `name:port`, trying each address of the name in turn.
    pub fn connect(to: &str) -> io::Result<Self> {
        let invalid =
            || io::Error::new(ErrorKind::InvalidInput, format!("{to:?} is not name:port"));
        let (name, port) = to.rsplit_once(':').ok_or_else(invalid)?;
        let port: u16 = port.parse().map_err(|_| invalid())?;
        let mut last = io::Error::new(ErrorKind::NotFound, format!("{name:?} has no address"));
        for address in lookup(name)? {
            match Self::connect_to(SocketAddr::new(address, port)) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to one address.
    pub fn connect_to(address: SocketAddr) -> io::Result<Self> {
        let socket = create_tcp_socket(family(address.ip())).map_err(failed)?;
        socket.start_connect(&instance_network(), to_wasi(address)).map_err(failed)?;
        let (input, output) = finish(&socket, TcpSocket::finish_connect)?;
        Ok(Self { input, output, socket, nonblocking: false })
    }

    /// The other end's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.remote_address().map(socket_to_std).map_err(failed)
    }

    /// This end's address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_address().map(socket_to_std).map_err(failed)
    }

    /// Whether reads and writes that would block give `WouldBlock` instead.
    pub fn set_nonblocking(&mut self, nonblocking: bool) {
        self.nonblocking = nonblocking;
    }

    /// Closes one or both directions.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => ShutdownType::Receive,
            Shutdown::Write => ShutdownType::Send,
            Shutdown::Both => ShutdownType::Both,
        };
        self.socket.shutdown(how).map_err(failed)
    }

    /// Ready when a read would not block.
    pub fn readable(&self) -> Readiness<'_> {
        Readiness::new(self.input.subscribe())
    }

    /// Ready when a write would not block.
    pub fn writable(&self) -> Readiness<'_> {
        Readiness::new(self.output.subscribe())
    }
}

impl Read for TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        stream::read(&self.input, into, !self.nonblocking)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        stream::write(&self.output, bytes, !self.nonblocking)
    }

    fn flush(&mut self) -> io::Result<()> {
        stream::flush(&self.output, !self.nonblocking)
    }
}

/// Accepts connections on a port of the pod.
#[derive(Debug)]
pub struct TcpListener {
    socket: TcpSocket,
    nonblocking: bool,
}

impl TcpListener {
    /// Listens on every address of the pod; port 0 takes a free port.
    pub fn bind(port: u16) -> io::Result<Self> {
        Self::bind_to(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
    }

    /// Listens on one address.
    pub fn bind_to(address: SocketAddr) -> io::Result<Self> {
        let socket = create_tcp_socket(family(address.ip())).map_err(failed)?;
        socket.start_bind(&instance_network(), to_wasi(address)).map_err(failed)?;
        finish(&socket, TcpSocket::finish_bind)?;
        socket.start_listen().map_err(failed)?;
        finish(&socket, TcpSocket::finish_listen)?;
        Ok(Self { socket, nonblocking: false })
    }

    /// The next connection. Whoever made it, the stream it gives blocks.
    pub fn accept(&self) -> io::Result<TcpStream> {
        loop {
            match self.socket.accept() {
                Ok((socket, input, output)) => {
                    return Ok(TcpStream { input, output, socket, nonblocking: false });
                }
                Err(ErrorCode::WouldBlock) if !self.nonblocking => self.socket.subscribe().block(),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_address().map(socket_to_std).map_err(failed)
    }

    /// Whether [`accept`](Self::accept) gives `WouldBlock` instead of blocking.
    pub fn set_nonblocking(&mut self, nonblocking: bool) {
        self.nonblocking = nonblocking;
    }

    /// Ready when a connection waits to be accepted.
    pub fn acceptable(&self) -> Readiness<'_> {
        Readiness::new(self.socket.subscribe())
    }
}

/// Completes what WASI splits into a start and a finish.
fn finish<T>(
    socket: &TcpSocket,
    step: impl Fn(&TcpSocket) -> Result<T, ErrorCode>,
) -> io::Result<T> {
    loop {
        match step(socket) {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            done => return done.map_err(failed),
        }
    }
}

fn failed(code: ErrorCode) -> io::Error {
    let kind = match code {
        ErrorCode::AccessDenied => ErrorKind::PermissionDenied,
        ErrorCode::NotSupported => ErrorKind::Unsupported,
        ErrorCode::InvalidArgument => ErrorKind::InvalidInput,
        ErrorCode::OutOfMemory => ErrorKind::OutOfMemory,
        ErrorCode::Timeout => ErrorKind::TimedOut,
        ErrorCode::WouldBlock => ErrorKind::WouldBlock,
        ErrorCode::AddressNotBindable => ErrorKind::AddrNotAvailable,
        ErrorCode::AddressInUse => ErrorKind::AddrInUse,
        ErrorCode::RemoteUnreachable => ErrorKind::HostUnreachable,
        ErrorCode::ConnectionRefused => ErrorKind::ConnectionRefused,
        ErrorCode::ConnectionReset => ErrorKind::ConnectionReset,
        ErrorCode::ConnectionAborted => ErrorKind::ConnectionAborted,
        ErrorCode::NameUnresolvable => ErrorKind::NotFound,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, code)
}

fn family(address: IpAddr) -> IpAddressFamily {
    match address {
        IpAddr::V4(_) => IpAddressFamily::Ipv4,
        IpAddr::V6(_) => IpAddressFamily::Ipv6,
    }
}

fn to_wasi(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: v6.scope_id(),
            })
        }
    }
}

fn to_std(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).into(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Ipv6Addr::new(a, b, c, d, e, f, g, h).into(),
    }
}

fn socket_to_std(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) }) => {
            SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into()
        }
        IpSocketAddress::Ipv6(v6) => {
            let (a, b, c, d, e, f, g, h) = v6.address;
            let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
            SocketAddrV6::new(ip, v6.port, v6.flow_info, v6.scope_id).into()
        }
    }
}
