//! The pod network, in memory: addresses, listeners, connections, services and names.
//!
//! Every pod has an [`Interface`] with an address of its own out of the cluster's range. A
//! connection between two pods is a pair of byte pipes in this process; no socket of the operating
//! system and no privilege is involved. [`Fabric::dial`] is the only door: whatever wants to speak
//! to a pod, to a service or to the outside goes through it (guests, the API server's proxy, node
//! ports, probes), so that one place judges who may speak to whom.
//!
//! Owns: address management, the table of services and endpoints, cluster names, node ports.
//! May import: `coracle_api` and a Kubernetes client. Knows nothing of WebAssembly, pods' life
//! cycles or the API server.

mod cidr;
mod config;
pub mod dns;
mod error;
mod fabric;
mod identity;
mod interface;
mod ipam;
mod listener;
mod lock;
pub mod nodeport;
mod ports;
pub mod services;
mod stream;

pub use cidr::{Cidr, InvalidCidr};
pub use config::{Config, Egress};
pub use error::{Error, Result};
pub use fabric::Fabric;
pub use identity::{Identity, Source};
pub use interface::{Bound, Interface};
pub use listener::{Accepted, BACKLOG, Listener};
pub use ports::Face;
pub use services::Services;
pub use stream::{Io, PIPE_CAPACITY, Stream};
