//! The ports of one interface: who holds which, and how a connection finds its listener.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::listener::Accepted;
use crate::lock::lock;
use crate::{Error, Identity, Result};

/// The ports given to those who do not ask for a certain one: Linux' range.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

/// Which of a pod's addresses a port is bound on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Face {
    /// All of them.
    Any,
    /// The pod's own address only.
    Pod,
    /// The pod's loopback only: reachable from the pod's own containers.
    Loopback,
}

impl Face {
    fn overlaps(self, other: Self) -> bool {
        self == other || self == Self::Any || other == Self::Any
    }
}

/// The network's side of an interface.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) identity: Arc<Identity>,
    pub(crate) ip: IpAddr,
    ports: Mutex<Ports>,
}

#[derive(Debug)]
struct Ports {
    detached: bool,
    /// A port that is bound but not listened on has no sender.
    bound: HashMap<(Face, u16), Option<mpsc::Sender<Accepted>>>,
    ephemeral: u16,
}

impl Ports {
    fn is_free(&self, face: Face, port: u16) -> bool {
        [Face::Any, Face::Pod, Face::Loopback]
            .into_iter()
            .filter(|other| face.overlaps(*other))
            .all(|other| !self.bound.contains_key(&(other, port)))
    }

    /// The next ephemeral port that `usable` accepts.
    fn ephemeral(&mut self, usable: impl Fn(&Self, u16) -> bool) -> Option<u16> {
        for _ in EPHEMERAL {
            let port = self.ephemeral;
            self.ephemeral = if port == *EPHEMERAL.end() { *EPHEMERAL.start() } else { port + 1 };
            if usable(self, port) {
                return Some(port);
            }
        }
        None
    }
}

impl Endpoint {
    pub(crate) fn new(identity: Arc<Identity>, ip: IpAddr) -> Self {
        let ports = Ports { detached: false, bound: HashMap::new(), ephemeral: *EPHEMERAL.start() };
        Self { identity, ip, ports: Mutex::new(ports) }
    }

    /// Takes `port` (any ephemeral one if 0) on `face`.
    pub(crate) fn bind(&self, face: Face, port: u16) -> Result<u16> {
        let mut ports = lock(&self.ports);
        if ports.detached {
            return Err(Error::Detached);
        }
        let port = match port {
            0 => ports.ephemeral(|ports, port| ports.is_free(face, port)).ok_or(Error::InUse(0))?,
            port if ports.is_free(face, port) => port,
            port => return Err(Error::InUse(port)),
        };
        ports.bound.insert((face, port), None);
        Ok(port)
    }

    /// Has connections to a bound port sent to `queue`.
    pub(crate) fn listen(
        &self,
        face: Face,
        port: u16,
        queue: mpsc::Sender<Accepted>,
    ) -> Result<()> {
        match lock(&self.ports).bound.get_mut(&(face, port)) {
            Some(listener) => {
                *listener = Some(queue);
                Ok(())
            }
            None => Err(Error::Detached),
        }
    }

    pub(crate) fn release(&self, face: Face, port: u16) {
        lock(&self.ports).bound.remove(&(face, port));
    }

    /// A port for a connection that did not bind one. It is not held: connections are not told
    /// apart by their ports.
    pub(crate) fn passing_port(&self) -> u16 {
        lock(&self.ports).ephemeral(|_, _| true).unwrap_or(*EPHEMERAL.start())
    }

    /// Queues a connection that arrived on `face` (which is not [`Face::Any`]).
    pub(crate) fn connect(&self, face: Face, accepted: Accepted) -> Result<()> {
        let to = accepted.local;
        let ports = lock(&self.ports);
        let queue = [face, Face::Any]
            .into_iter()
            .find_map(|face| ports.bound.get(&(face, to.port())))
            .and_then(Option::as_ref)
            .ok_or(Error::Refused(to))?;
        queue.try_send(accepted).map_err(|_| Error::Refused(to))
    }

    /// Whether somebody listens there and has room for one more connection.
    pub(crate) fn accepts(&self, face: Face, port: u16) -> bool {
        let ports = lock(&self.ports);
        let mut queues =
            [face, Face::Any].into_iter().filter_map(|face| ports.bound.get(&(face, port)));
        let queue = queues.next().and_then(Option::as_ref);
        queue.is_some_and(|queue| !queue.is_closed() && queue.capacity() > 0)
    }

    /// Ends every listener and refuses new ones.
    pub(crate) fn detach(&self) {
        let mut ports = lock(&self.ports);
        ports.detached = true;
        ports.bound.clear();
    }
}
