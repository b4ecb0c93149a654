//! What can go wrong between two ends.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::Cidr;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something did not happen on the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address exists, but nobody listens there or the listener's backlog is full.
    #[error("connection to {0} refused")]
    Refused(SocketAddr),
    /// No such address.
    #[error("no route to {0}")]
    Unreachable(SocketAddr),
    /// The address may not be reached from where the connection starts.
    #[error("connection to {0} is not allowed: it leads out of the cluster and egress is denied")]
    Denied(SocketAddr),
    /// The other side, outside the cluster, did not answer.
    #[error("connection to {0} timed out")]
    TimedOut(SocketAddr),
    /// The operating system refused a connection that leads out of the cluster.
    #[error("connection to {to} failed: {source}")]
    Outside {
        /// Where it led.
        to: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another listener has the port; 0 if every ephemeral port is taken.
    #[error("port {0} is already in use")]
    InUse(u16),
    /// A name that nothing in the cluster (nor outside, where that is allowed) answers to.
    #[error("no such name: {0}")]
    NoSuchName(String),
    /// The range has no free address left.
    #[error("no free address left in {0}")]
    Exhausted(Cidr),
    /// The address belongs to another interface.
    #[error("address {0} is already taken")]
    Taken(IpAddr),
    /// The range or address does not lie in the pods' range, or is reserved in it.
    #[error("{wanted} is not usable in the pod range {range}")]
    OutOfRange {
        /// The address or range asked for.
        wanted: String,
        /// The pods' range.
        range: Cidr,
    },
    /// The interface is gone, and with it its ports.
    #[error("the interface has been detached")]
    Detached,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        use io::ErrorKind;
        let kind = match &error {
            Error::Refused(_) => ErrorKind::ConnectionRefused,
            Error::Unreachable(_) => ErrorKind::HostUnreachable,
            Error::Denied(_) => ErrorKind::PermissionDenied,
            Error::TimedOut(_) => ErrorKind::TimedOut,
            Error::Outside { source, .. } => source.kind(),
            Error::InUse(_) | Error::Taken(_) => ErrorKind::AddrInUse,
            Error::NoSuchName(_) => ErrorKind::NotFound,
            Error::Exhausted(_) | Error::OutOfRange { .. } => ErrorKind::AddrNotAvailable,
            Error::Detached => ErrorKind::NetworkDown,
        };
        Self::new(kind, error)
    }
}
