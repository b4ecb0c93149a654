//! Ports of the node's own address.

use super::Reason;
use crate::cluster::Place;
use crate::cycle::Cycle;

pub(super) fn refuse(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    let wanted = &cycle.pod.info.ports;
    let taken =
        |port: &crate::pod::HostPort| place.info.ports.iter().any(|one| one.conflicts(port));
    if wanted.iter().any(taken) {
        return vec!["node(s) didn't have free ports for the requested pod ports".into()];
    }
    Vec::new()
}
