//! Services and their endpoints: which pod answers for a service's address, and what its name
//! means. [`Services`] is the table; [`run`] keeps it like the API server's.
//!
//! May import: nothing of the network but its errors and the form of its names.

mod affinity;
mod definition;
mod entry;
mod feed;
mod table;

pub use definition::NodePort;
pub use feed::run;
pub use table::Services;

use std::net::IpAddr;

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These addresses; none if the name exists without any.
    Addresses(Vec<IpAddr>),
    /// Another name.
    Alias(String),
}
