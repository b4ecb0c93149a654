//! Whether a node has what a pod requests left.

use super::Reason;
use crate::cluster::Place;
use crate::cycle::Cycle;

pub(super) fn refuse(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    let count = i64::try_from(place.info.pods.len()).unwrap_or(i64::MAX);
    if count >= place.facts.pods {
        reasons.push("Too many pods".into());
    }
    let wanted = &cycle.pod.info.requests;
    let (taken, all) = (&place.info.requested, &place.facts.allocatable);
    let lacks =
        |wanted: i64, taken: i64, all: i64| wanted > 0 && wanted > all.saturating_sub(taken);
    for (name, wanted, taken, all) in [
        ("cpu", wanted.cpu, taken.cpu, all.cpu),
        ("memory", wanted.memory, taken.memory, all.memory),
        (
            "ephemeral-storage",
            wanted.ephemeral_storage,
            taken.ephemeral_storage,
            all.ephemeral_storage,
        ),
    ] {
        if lacks(wanted, taken, all) {
            reasons.push(format!("Insufficient {name}").into());
        }
    }
    for (name, wanted) in &wanted.others {
        let taken = taken.others.get(name).copied().unwrap_or(0);
        let all = all.others.get(name).copied().unwrap_or(0);
        if lacks(*wanted, taken, all) {
            reasons.push(format!("Insufficient {name}").into());
        }
    }
    reasons
}
