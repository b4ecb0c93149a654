//! The life of a TCP socket.

use std::future::poll_fn;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use coracle_network::{Accepted, BACKLOG, Bound, Face, Interface, Listener, Stream};
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

use super::address::{check, check_remote, present};
use super::error::code;
use super::options::Options;
use super::pending::{Pending, glance};
use super::stream::{Connection, Input, Output};

/// The resource `tcp-socket`.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct TcpSocket {
    pub(super) family: IpAddressFamily,
    pub(super) options: Options,
    backlog: usize,
    state: State,
}

enum State {
    Fresh,
    Binding(Bound, IpAddr),
    Bound(Bound, IpAddr),
    Connecting { bound: Bound, ends: Ends, attempt: Pending<coracle_network::Result<Stream>> },
    Connected { _bound: Option<Bound>, ends: Ends, connection: Connection },
    ListenStarting(Listener, IpAddr),
    Listening { listener: Listener, ip: IpAddr, next: Option<coracle_network::Result<Accepted>> },
    Closed,
}

/// The two addresses of a connection.
#[derive(Clone, Copy)]
struct Ends {
    local: SocketAddr,
    remote: SocketAddr,
}

impl TcpSocket {
    /// A socket that is neither bound nor connected.
    pub(super) fn new(family: IpAddressFamily) -> Self {
        Self { family, options: Options::default(), backlog: BACKLOG, state: State::Fresh }
    }

    pub(super) fn start_bind(
        &mut self,
        interface: &Interface,
        address: SocketAddr,
    ) -> Result<(), ErrorCode> {
        match &self.state {
            State::Fresh => {}
            other => return Err(other.objection()),
        }
        check(address.ip(), self.family)?;
        let face = match address.ip() {
            ip if ip.is_unspecified() => Face::Any,
            ip if ip.is_loopback() => Face::Loopback,
            ip if ip == interface.ip() => Face::Pod,
            _ => return Err(ErrorCode::AddressNotBindable),
        };
        let bound = interface.bind(face, address.port()).map_err(code)?;
        self.state = State::Binding(bound, address.ip());
        Ok(())
    }

    pub(super) fn finish_bind(&mut self) -> Result<(), ErrorCode> {
        match self.take() {
            State::Binding(bound, ip) => {
                self.state = State::Bound(bound, ip);
                Ok(())
            }
            other => self.put_back(other, ErrorCode::NotInProgress),
        }
    }

    pub(super) fn start_connect(
        &mut self,
        interface: &Interface,
        remote: SocketAddr,
    ) -> Result<(), ErrorCode> {
        match &self.state {
            State::Fresh | State::Bound(..) => {}
            other => return Err(other.objection()),
        }
        check_remote(remote, self.family)?;
        let bound = match self.take() {
            State::Bound(bound, _) => bound,
            other => {
                // Until the port is taken nothing has happened.
                self.state = other;
                interface.bind(Face::Any, 0).map_err(code)?
            }
        };
        let ip =
            if remote.ip().is_loopback() { Ipv4Addr::LOCALHOST.into() } else { interface.ip() };
        let local = present(SocketAddr::new(ip, bound.port()), self.family);
        let attempt = Pending::start(bound.dial(remote));
        self.state = State::Connecting { bound, ends: Ends { local, remote }, attempt };
        Ok(())
    }

    /// After an attempt that failed the socket is of no further use, as WASI has it.
    pub(super) fn finish_connect(&mut self) -> Result<(Input, Output), ErrorCode> {
        match self.take() {
            State::Connecting { bound, ends, attempt } => match attempt.finish() {
                Err(attempt) => {
                    self.put_back(State::Connecting { bound, ends, attempt }, ErrorCode::WouldBlock)
                }
                Ok(result) => {
                    let (connection, input, output) = Connection::new(result.map_err(code)?);
                    self.state = State::Connected { _bound: Some(bound), ends, connection };
                    Ok((input, output))
                }
            },
            other => self.put_back(other, ErrorCode::NotInProgress),
        }
    }

    pub(super) fn start_listen(&mut self) -> Result<(), ErrorCode> {
        match self.take() {
            State::Bound(bound, ip) => {
                let listener = bound.listen(self.backlog).map_err(code)?;
                self.state = State::ListenStarting(listener, ip);
                Ok(())
            }
            other => {
                let objection = other.objection();
                self.put_back(other, objection)
            }
        }
    }

    pub(super) fn finish_listen(&mut self) -> Result<(), ErrorCode> {
        match self.take() {
            State::ListenStarting(listener, ip) => {
                self.state = State::Listening { listener, ip, next: None };
                Ok(())
            }
            other => self.put_back(other, ErrorCode::NotInProgress),
        }
    }

    pub(super) fn accept(&mut self) -> Result<(Self, Input, Output), ErrorCode> {
        if self.poll_accept(&mut glance())?.is_pending() {
            return Err(ErrorCode::WouldBlock);
        }
        let State::Listening { next, .. } = &mut self.state else {
            return Err(ErrorCode::InvalidState);
        };
        let Some(accepted) = next.take() else { return Err(ErrorCode::WouldBlock) };
        // The only error is that the interface is gone, and the listener with it.
        let accepted = accepted.map_err(|_| ErrorCode::ConnectionAborted)?;
        let (connection, input, output) = Connection::new(accepted.stream);
        let ends = Ends {
            local: present(accepted.local, self.family),
            remote: present(accepted.peer, self.family),
        };
        let socket = Self {
            family: self.family,
            options: self.options.clone(),
            backlog: BACKLOG,
            state: State::Connected { _bound: None, ends, connection },
        };
        Ok((socket, input, output))
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Result<Poll<()>, ErrorCode> {
        let State::Listening { listener, next, .. } = &mut self.state else {
            return Err(self.state.objection());
        };
        if next.is_none() {
            match listener.poll_accept(context) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(accepted) => *next = Some(accepted),
            }
        }
        Ok(Poll::Ready(()))
    }

    pub(super) fn local_address(&self) -> Result<SocketAddr, ErrorCode> {
        match &self.state {
            State::Bound(bound, ip) => Ok(SocketAddr::new(*ip, bound.port())),
            State::Connecting { ends, .. } | State::Connected { ends, .. } => Ok(ends.local),
            State::ListenStarting(listener, ip) | State::Listening { listener, ip, .. } => {
                Ok(SocketAddr::new(*ip, listener.port()))
            }
            State::Fresh | State::Binding(..) | State::Closed => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn remote_address(&self) -> Result<SocketAddr, ErrorCode> {
        match &self.state {
            State::Connected { ends, .. } => Ok(ends.remote),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening { .. })
    }

    pub(super) fn set_backlog(&mut self, size: u64) -> Result<(), ErrorCode> {
        if size == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        match &self.state {
            State::Fresh | State::Binding(..) | State::Bound(..) => {
                self.backlog = usize::try_from(size).unwrap_or(BACKLOG).min(BACKLOG);
                Ok(())
            }
            State::ListenStarting(..) | State::Listening { .. } => Err(ErrorCode::NotSupported),
            State::Connecting { .. } | State::Connected { .. } | State::Closed => {
                Err(ErrorCode::InvalidState)
            }
        }
    }

    pub(super) fn connection(&self) -> Result<&Connection, ErrorCode> {
        match &self.state {
            State::Connected { connection, .. } => Ok(connection),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    fn take(&mut self) -> State {
        mem::replace(&mut self.state, State::Closed)
    }

    fn put_back<T>(&mut self, state: State, error: ErrorCode) -> Result<T, ErrorCode> {
        self.state = state;
        Err(error)
    }
}

impl State {
    /// Why something cannot begin in this state.
    fn objection(&self) -> ErrorCode {
        match self {
            Self::Binding(..) | Self::Connecting { .. } | Self::ListenStarting(..) => {
                ErrorCode::ConcurrencyConflict
            }
            Self::Fresh
            | Self::Bound(..)
            | Self::Connected { .. }
            | Self::Listening { .. }
            | Self::Closed => ErrorCode::InvalidState,
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for TcpSocket {
    async fn ready(&mut self) {
        poll_fn(|context| match &mut self.state {
            State::Connecting { attempt, .. } => attempt.poll(context).map(|_| ()),
            State::Listening { .. } => self.poll_accept(context).unwrap_or(Poll::Ready(())),
            _ => Poll::Ready(()),
        })
        .await;
    }
}
