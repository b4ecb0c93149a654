//! What each node of this machine is given of it.

use std::path::Path;

use anyhow::{Context, Result};
use coracle_node::{Capacity, Config as NodeConfig};

use crate::config::Config;

/// The configuration of the node `name`: an equal share of the machine's processors, memory and
/// disk.
pub(crate) fn node(config: &Config, name: &str) -> Result<NodeConfig> {
    let nodes = u32::from(config.nodes);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let disk = rustix::fs::statvfs(&config.data_dir).context("asking for the size of the disk")?;
    let capacity = Capacity {
        cpu_millis: u32::try_from(processors).unwrap_or(u32::MAX).saturating_mul(1000) / nodes,
        memory: memory()? / u64::from(nodes),
        pods: config.pods_per_node,
        ephemeral_storage: disk.f_blocks.saturating_mul(disk.f_frsize) / u64::from(nodes),
    };
    let root = config.data_dir.join("nodes").join(name);
    let root = std::path::absolute(&root).unwrap_or(root);
    Ok(NodeConfig {
        shutdown_grace: crate::timeouts::POD_GRACE,
        ..NodeConfig::new(name, root, capacity)
    })
}

/// The prefix length of a node's range of pod addresses: the smallest range that holds its pods.
pub(crate) fn cidr_mask(pods: u32) -> u8 {
    // Some addresses of a range are reserved, and one just given back rests for a while.
    let wanted = pods.saturating_add(pods / 8).saturating_add(4).max(256);
    let bits = 32 - (wanted - 1).leading_zeros();
    32 - u8::try_from(bits).unwrap_or(16).min(16)
}

/// Bytes of memory that this process may use: the machine's, or its control group's limit.
fn memory() -> Result<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let total = meminfo
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok()
        })
        .context("/proc/meminfo has no MemTotal")?
        * 1024;
    let limit = control_group_limit().unwrap_or(u64::MAX);
    Ok(total.min(limit))
}

/// `memory.max` of this process's control group (version 2), where there is one.
fn control_group_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/');
    let file = Path::new("/sys/fs/cgroup").join(own).join("memory.max");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_pods() {
        assert_eq!(cidr_mask(110), 24);
        assert_eq!(cidr_mask(220), 24);
        assert_eq!(cidr_mask(250), 23);
        assert_eq!(cidr_mask(1000), 21);
        assert_eq!(cidr_mask(100_000), 16);
    }
}
