//! Who speaks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The pod behind an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The node that the pod runs on.
    pub node: String,
    /// The host name that the pod sees as its own.
    pub hostname: String,
    /// `spec.subdomain`: the headless service under which the host name has a full name.
    pub subdomain: Option<String>,
}

/// Where a connection starts.
#[derive(Clone, Debug)]
pub enum Source {
    /// A pod, under its address.
    Pod {
        /// The pod.
        identity: Arc<Identity>,
        /// Its address.
        ip: IpAddr,
    },
    /// The node agent: probes, hooks, port forwarding.
    Host,
    /// The API server's proxy.
    ApiServer,
    /// Someone outside the cluster, by a node port or an ingress.
    External(SocketAddr),
}

impl Source {
    /// The node that the source is on, where it is on one.
    pub(crate) fn node(&self) -> Option<&str> {
        match self {
            Self::Pod { identity, .. } => Some(&identity.node),
            Self::Host | Self::ApiServer | Self::External(_) => None,
        }
    }
}
