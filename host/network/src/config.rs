//! What a cluster decides once about its network.

use crate::Cidr;

/// The network's fixed parameters.
#[derive(Clone, Debug)]
pub struct Config {
    /// The range that holds every pod's address.
    pub pod_cidr: Cidr,
    /// The range that holds every service's cluster address.
    pub service_cidr: Cidr,
    /// The suffix of the cluster's names, without dots at its ends.
    pub cluster_domain: String,
    /// Whether guests may leave the cluster.
    pub egress: Egress,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pod_cidr: Cidr::v4([10, 244, 0, 0], 16),
            service_cidr: Cidr::v4([10, 96, 0, 0], 16),
            cluster_domain: "cluster.local".to_owned(),
            egress: Egress::default(),
        }
    }
}

/// Whether guests may open connections to, and look up names of, what is not in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// Nothing outside is reachable.
    #[default]
    Denied,
    /// The host's network is reachable, save for its loopback.
    Allowed,
}
