//! The way from the API server to what serves inside the cluster.

use std::io;
use std::net::SocketAddr;

use coracle_apiserver::{Dialer, Duplex};
use coracle_network::{Fabric, Source};
use futures::future::BoxFuture;

/// The pod network, as the API server dials it.
pub(super) struct PodNetwork(pub(super) Fabric);

impl Dialer for PodNetwork {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let stream = self.0.dial(&Source::ApiServer, to).await.map_err(io::Error::other)?;
            let stream: Box<dyn Duplex> = Box::new(stream);
            Ok(stream)
        })
    }
}
