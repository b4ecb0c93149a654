//! Services on the host's own addresses (`type: NodePort`): for each node port a listening socket,
//! whose connections are handed over to the service as they are.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use crate::services::NodePort;
use crate::{Fabric, Source};

/// How long to wait before a port that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How long to wait when the operating system accepts no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A node port that could not be opened. Retried until it can.
#[derive(Debug)]
pub struct Failure {
    /// The port and the service that asks for it.
    pub node_port: NodePort,
    /// The address that could not be bound.
    pub address: SocketAddr,
    /// Why.
    pub error: io::Error,
}

/// Keeps every service's node ports open on `addresses` until it is dropped, which closes them.
/// `report` is told once of each port that cannot be opened.
pub async fn serve(fabric: Fabric, addresses: Vec<IpAddr>, report: impl Fn(Failure)) {
    let mut changed = fabric.services().definitions_changed();
    let mut ports = NodePorts::new(fabric);
    loop {
        changed.mark_unchanged();
        ports.align(&addresses, &report).await;
        let retry = async {
            if ports.failed.is_empty() {
                std::future::pending().await
            } else {
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            result = changed.changed() => if result.is_err() { return },
            () = retry => {}
        }
    }
}

/// The ports that are open.
struct NodePorts {
    fabric: Fabric,
    open: HashMap<SocketAddr, (NodePort, AbortHandle)>,
    /// The ports that are wanted but could not be opened, already reported.
    failed: HashMap<SocketAddr, NodePort>,
    tasks: JoinSet<()>,
}

impl NodePorts {
    fn new(fabric: Fabric) -> Self {
        Self { fabric, open: HashMap::new(), failed: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Closes what no service asks for any more and opens what is missing.
    async fn align(&mut self, addresses: &[IpAddr], report: &impl Fn(Failure)) {
        let mut wanted = HashMap::new();
        for node_port in self.fabric.services().node_ports() {
            for ip in addresses {
                // The first service keeps a port that two ask for.
                wanted
                    .entry(SocketAddr::new(*ip, node_port.port))
                    .or_insert_with(|| node_port.clone());
            }
        }
        self.failed.retain(|address, node_port| wanted.get(address) == Some(node_port));
        let mut closing = Vec::new();
        self.open.retain(|address, (node_port, task)| {
            let keep = wanted.get(address) == Some(node_port) && !task.is_finished();
            if !keep {
                task.abort();
                closing.push(*address);
            }
            keep
        });
        // A socket is closed when its task has ended, and only then can the port be bound again.
        while !closing.is_empty() && self.tasks.len() > self.open.len() {
            self.tasks.join_next().await;
        }
        for (address, node_port) in wanted {
            if !self.open.contains_key(&address) {
                self.open(address, node_port, report).await;
            }
        }
    }

    async fn open(&mut self, address: SocketAddr, node_port: NodePort, report: &impl Fn(Failure)) {
        let NodePort { namespace, service, target, .. } = &node_port;
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(%address, namespace, service, "node port open");
                let task = accept(self.fabric.clone(), listener, *target);
                let handle = self.tasks.spawn(task);
                self.failed.remove(&address);
                self.open.insert(address, (node_port, handle));
            }
            Err(error) if self.failed.contains_key(&address) => {
                tracing::debug!(%address, namespace, service, %error, "node port still closed");
            }
            Err(error) => {
                tracing::warn!(%address, namespace, service, %error, "cannot open node port");
                self.failed.insert(address, node_port.clone());
                report(Failure { node_port, address, error });
            }
        }
    }
}

async fn accept(fabric: Fabric, listener: TcpListener, target: SocketAddr) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%target, %error, "cannot accept a node port's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "connection lost before it was handed over");
            continue;
        }
        let fabric = fabric.clone();
        let hand_over =
            async move { fabric.hand_over(Source::External(peer), target, Box::new(stream)).await };
        // An endpoint outside the cluster takes time to connect to; others need not wait for it.
        tokio::spawn(async move {
            if let Err(error) = hand_over.await {
                tracing::debug!(%peer, %target, %error, "node port's connection closed");
            }
        });
    }
}

#[cfg(test)]
mod tests;
