//! What each node of this machine is given of it.

use std::net::IpAddr;

use anyhow::{Context, Result};
use coracle_node::{Capacity, Config as NodeConfig};

use crate::config::Config;

/// The configuration of the node `name`: an equal share of the machine's processors and memory.
pub fn node(config: &Config, name: &str) -> Result<NodeConfig> {
    todo!()
}
