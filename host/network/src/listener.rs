//! The listening end.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use crate::interface::Bound;
use crate::{Error, Result, Stream};

/// Connections that wait for a listener, unless it asks for fewer; those beyond are refused.
pub const BACKLOG: usize = 1024;

/// A connection that arrived.
pub struct Accepted {
    /// Its bytes.
    pub stream: Stream,
    /// Who opened it.
    pub peer: SocketAddr,
    /// The address it arrived at.
    pub local: SocketAddr,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted")
            .field("peer", &self.peer)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// A port on which connections are awaited; dropping it frees the port.
#[derive(Debug)]
pub struct Listener {
    bound: Bound,
    queue: mpsc::Receiver<Accepted>,
}

impl Listener {
    pub(crate) fn new(bound: Bound, queue: mpsc::Receiver<Accepted>) -> Self {
        Self { bound, queue }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.bound.port()
    }

    /// The next connection; [`Error::Detached`] once the interface is gone.
    pub async fn accept(&mut self) -> Result<Accepted> {
        self.queue.recv().await.ok_or(Error::Detached)
    }

    /// [`Listener::accept`] for those who poll.
    pub fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<Result<Accepted>> {
        self.queue.poll_recv(context).map(|accepted| accepted.ok_or(Error::Detached))
    }
}
