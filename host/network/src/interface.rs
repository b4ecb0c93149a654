//! A pod's end of the network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::dns;
use crate::ports::Endpoint;
use crate::{BACKLOG, Error, Fabric, Face, Identity, Listener, Result, Source, Stream};

/// A pod's address, with its ports. All containers of a pod share clones of one; when the last
/// clone is dropped the address is given back.
#[derive(Clone, Debug)]
pub struct Interface {
    held: Arc<Held>,
}

/// Gives the address back when it is dropped.
#[derive(Debug)]
struct Held {
    fabric: Fabric,
    endpoint: Arc<Endpoint>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.fabric.detach(&self.endpoint);
    }
}

impl Interface {
    pub(crate) fn new(fabric: Fabric, endpoint: Arc<Endpoint>) -> Self {
        Self { held: Arc::new(Held { fabric, endpoint }) }
    }

    /// The pod's address.
    pub fn ip(&self) -> IpAddr {
        self.held.endpoint.ip
    }

    /// The pod.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.held.endpoint.identity
    }

    /// The network that the interface belongs to.
    pub fn fabric(&self) -> &Fabric {
        &self.held.fabric
    }

    /// The pod as the origin of connections.
    pub fn source(&self) -> Source {
        Source::Pod { identity: self.identity().clone(), ip: self.ip() }
    }

    /// Gives the address back now: every listener ends, though clones of the interface remain.
    pub fn detach(&self) {
        self.held.fabric.detach(&self.held.endpoint);
    }

    /// Takes `port` (0: any free one) without listening yet.
    pub fn bind(&self, face: Face, port: u16) -> Result<Bound> {
        let endpoint = self.held.endpoint.clone();
        let port = endpoint.bind(face, port)?;
        Ok(Bound { fabric: self.held.fabric.clone(), endpoint, face, port })
    }

    /// Listens on `port` (0: any free one) of all the pod's addresses.
    pub fn listen(&self, port: u16) -> Result<Listener> {
        self.bind(Face::Any, port)?.listen(BACKLOG)
    }

    /// Opens a connection to a pod, a service, this pod's own loopback or the outside.
    pub async fn dial(&self, to: SocketAddr) -> Result<Stream> {
        let port = self.held.endpoint.passing_port();
        self.held.fabric.open(&self.source(), port, to).await
    }

    /// The addresses of `name` as this pod's resolver gives them.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>> {
        let fabric = &self.held.fabric;
        let identity = self.identity();
        if dns::is_own_name(name, identity, &fabric.config().cluster_domain) {
            return Ok(vec![self.ip()]);
        }
        fabric.resolve(&identity.namespace, name).await
    }
}

/// A port that is held, free to listen on or to connect from; dropping it frees the port.
#[derive(Debug)]
pub struct Bound {
    fabric: Fabric,
    endpoint: Arc<Endpoint>,
    face: Face,
    port: u16,
}

impl Bound {
    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets at most `backlog` connections wait for the returned listener.
    pub fn listen(self, backlog: usize) -> Result<Listener> {
        let (queue, connections) = mpsc::channel(backlog.clamp(1, BACKLOG));
        self.endpoint.listen(self.face, self.port, queue)?;
        Ok(Listener::new(self, connections))
    }

    /// Opens a connection from this port.
    pub fn dial(
        &self,
        to: SocketAddr,
    ) -> impl Future<Output = Result<Stream, Error>> + Send + use<> {
        let fabric = self.fabric.clone();
        let source = Source::Pod { identity: self.endpoint.identity.clone(), ip: self.endpoint.ip };
        let port = self.port;
        async move { fabric.open(&source, port, to).await }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.endpoint.release(self.face, self.port);
    }
}
