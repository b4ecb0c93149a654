//! The range of addresses that each node gives its pods, cut from the cluster's.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Result, While};
use crate::runner::{Key, Next, Reconcile};

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("node_ipam");
    context.informers.nodes.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(node) = change.new.as_ref().filter(|node| range_of(node).is_none()) {
                queue.add(Key::of(&**node));
            }
        }
    });
    let waiting = context.clone();
    // One worker: no range is given twice.
    let runner = context.runner(queue, 1, Ranges { context: context.clone() });
    Box::pin(async move {
        waiting.informers.nodes.synced().await;
        runner.run().await;
    })
}

fn range_of(node: &Node) -> Option<&str> {
    node.spec.as_ref()?.pod_cidr.as_deref().filter(|range| !range.is_empty())
}

struct Ranges {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Ranges {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, options, events, .. } = &self.context;
        let Some(node) = informers.nodes.get(key).filter(|node| range_of(node).is_none()) else {
            return Ok(Next::Wait);
        };
        let all = informers.nodes.all();
        let taken = all.iter().filter_map(|node| range_of(node).map(str::to_owned)).collect();
        let Some(range) = free(&options.cluster_cidr, options.node_cidr_mask, &taken)? else {
            let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
            events.normal(&*node, "CIDRNotAvailable", message);
            return Err(Error::Unfinished(format!("no range is left for node {}", key.name)));
        };
        let patch = json!({
            "metadata": {"uid": node.metadata.uid},
            "spec": {"podCIDR": range, "podCIDRs": [range]},
        });
        let api = Api::<Node>::all(client.clone());
        let patched = api.patch(&key.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        match patched.doing("giving a node its range") {
            Ok(patched) => drop(informers.nodes.observe(patched)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        Ok(Next::Wait)
    }
}

/// The first range of `mask` bits in `cluster` that nobody has; none if there is none left.
fn free(cluster: &str, mask: u8, taken: &HashSet<String>) -> Result<Option<String>> {
    let wrong = || Error::Invalid(format!("{cluster:?} cannot be cut into ranges of /{mask}"));
    let (base, bits) = cluster.split_once('/').ok_or_else(wrong)?;
    let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
    let bits: u8 = bits.parse().map_err(|_| wrong())?;
    if bits > mask || mask > 32 {
        return Err(wrong());
    }
    let base = u64::from(u32::from(base)) >> (32 - bits) << (32 - bits);
    let step = 1_u64 << (32 - mask);
    let ranges = (0..1_u64 << (mask - bits)).filter_map(|index| {
        let address = Ipv4Addr::from(u32::try_from(base + index * step).ok()?);
        Some(format!("{address}/{mask}"))
    });
    Ok(ranges.into_iter().find(|range| !taken.contains(range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_in_order_until_none_is_left() {
        let mut taken = HashSet::new();
        let mut given = Vec::new();
        while let Some(range) = free("10.244.0.0/22", 24, &taken).unwrap() {
            taken.insert(range.clone());
            given.push(range);
        }
        assert_eq!(given, ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"]);
        taken.remove("10.244.1.0/24");
        assert_eq!(free("10.244.0.0/22", 24, &taken).unwrap().unwrap(), "10.244.1.0/24");
        assert_eq!(free("10.0.0.0/8", 24, &taken).unwrap().unwrap(), "10.0.0.0/24");
    }

    #[test]
    fn nonsense_is_refused() {
        for (cluster, mask) in
            [("10.0.0.0", 24), ("x/8", 24), ("10.0.0.0/25", 24), ("10.0.0.0/8", 33)]
        {
            assert!(free(cluster, mask, &HashSet::new()).is_err(), "{cluster} {mask}");
        }
    }
}
