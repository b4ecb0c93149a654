//! The arithmetic of a rollout: pure.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::annotations;
use crate::intstr::scaled;

/// Replicas that a Deployment asks for.
pub(super) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Replicas that a ReplicaSet asks for.
pub(super) fn size(replica_set: &ReplicaSet) -> i32 {
    replica_set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Replicas of a ReplicaSet that are available.
pub(super) fn available(replica_set: &ReplicaSet) -> i32 {
    replica_set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// Whether pods are replaced step by step.
pub(super) fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
}

/// How many pods there may be beyond those asked for.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) { fence(deployment).0 } else { 0 }
}

/// How many of the pods asked for may be unavailable.
pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    let wanted = wanted(deployment);
    if !is_rolling(deployment) || wanted == 0 {
        return 0;
    }
    fence(deployment).1.min(wanted)
}

/// Surge and unavailability in pods. Surge is rounded up, unavailability down; were both nothing,
/// the rollout could not move, so one pod may be unavailable then.
fn fence(deployment: &Deployment) -> (i32, i32) {
    let spec = deployment.spec.as_ref();
    let strategy = spec.and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".to_owned());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref()).unwrap_or(&quarter);
    let unavailable =
        rolling.and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&quarter);
    let wanted = wanted(deployment);
    match (scaled(surge, wanted, true), scaled(unavailable, wanted, false)) {
        (0, 0) => (0, 1),
        both => both,
    }
}

/// The size that the new ReplicaSet may have while `existing` pods are asked for by all.
pub(super) fn new_size(deployment: &Deployment, new: i32, existing: i32) -> i32 {
    let wanted = wanted(deployment);
    if !is_rolling(deployment) {
        return wanted;
    }
    let room = wanted + max_surge(deployment) - existing;
    if room <= 0 { new } else { new + room.min(wanted - new) }
}

/// The sizes that old ReplicaSets, oldest first, shrink to while the new one has size `new` with
/// `new_available` available: first what is unhealthy, then as far as availability permits.
pub(super) fn old_sizes(
    deployment: &Deployment,
    old: &[(i32, i32)],
    new: i32,
    new_available: i32,
) -> Vec<i32> {
    let mut sizes: Vec<i32> = old.iter().map(|(size, _)| *size).collect();
    let all: i32 = sizes.iter().sum::<i32>() + new;
    let least_available = wanted(deployment) - max_unavailable(deployment);
    let mut unhealthy_left = all - least_available - (new - new_available);
    if sizes.iter().all(|size| *size == 0) || unhealthy_left <= 0 {
        return sizes;
    }
    for (size, (_, available)) in sizes.iter_mut().zip(old) {
        let unhealthy = (*size - *available).clamp(0, unhealthy_left.max(0));
        *size -= unhealthy;
        unhealthy_left -= unhealthy;
    }
    let all_available: i32 =
        old.iter().map(|(_, available)| available).sum::<i32>() + new_available;
    let mut spare = all_available - least_available;
    for size in &mut sizes {
        let taken = (*size).clamp(0, spare.max(0));
        *size -= taken;
        spare -= taken;
    }
    sizes
}

/// One of several ReplicaSets that a scaling is spread over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) size: i32,
    /// Pods that the Deployment could have when this size was set.
    pub(super) max_before: i32,
}

impl Share {
    pub(super) fn of(deployment: &Deployment, replica_set: &ReplicaSet) -> Self {
        let recorded = annotations::number(&replica_set.metadata, annotations::MAX_REPLICAS);
        let max_before = recorded.filter(|number| *number > 0).unwrap_or_else(|| {
            deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0)
        });
        Self { size: size(replica_set), max_before }
    }
}

/// The sizes of `shares`, the one to get what rounding leaves over first, after a change of the
/// Deployment's size.
pub(super) fn proportional(deployment: &Deployment, shares: &[Share]) -> Vec<i32> {
    let wanted = wanted(deployment);
    let max = wanted + max_surge(deployment);
    let allowed = if wanted > 0 { max } else { 0 };
    let to_add = allowed - shares.iter().map(|share| share.size).sum::<i32>();
    let mut added = 0;
    let mut sizes: Vec<i32> = shares
        .iter()
        .map(|share| {
            let left = to_add - added;
            let part = if share.size == 0 || to_add == 0 || left == 0 {
                0
            } else if to_add > 0 {
                fraction(share, wanted, max).min(left)
            } else {
                fraction(share, wanted, max).max(left)
            };
            added += part;
            share.size + part
        })
        .collect();
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

/// By how much a share would grow or shrink to keep its part of the whole.
fn fraction(share: &Share, wanted: i32, max: i32) -> i32 {
    if wanted == 0 {
        return -share.size;
    }
    if share.max_before == 0 {
        return 0;
    }
    let size = f64::from(share.size) * f64::from(max) / f64::from(share.max_before);
    // Within the range of what it is computed from.
    #[expect(clippy::cast_possible_truncation, reason = "rounded and in range")]
    let size = size.round() as i32;
    size - share.size
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(replicas: i32, surge: Value, unavailable: Value) -> Deployment {
        serde_json::from_value(json!({"metadata": {}, "spec": {
            "replicas": replicas, "selector": {}, "template": {},
            "strategy": {"type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}}))
        .unwrap()
    }

    #[test]
    fn percentages_round_apart() {
        for (replicas, surge, unavailable, expected) in [
            (10, json!("25%"), json!("25%"), (3, 2)),
            (1, json!("25%"), json!("25%"), (1, 0)),
            (4, json!("25%"), json!("25%"), (1, 1)),
            (3, json!(1), json!(0), (1, 0)),
            (3, json!(0), json!(0), (0, 1)),
            (3, json!("0%"), json!("10%"), (0, 1)),
            (2, json!(5), json!(5), (5, 2)),
            (0, json!("25%"), json!("25%"), (0, 0)),
        ] {
            let deployment = deployment(replicas, surge, unavailable);
            let got = (max_surge(&deployment), max_unavailable(&deployment));
            assert_eq!(got, expected, "{replicas} replicas");
        }
    }

    #[test]
    fn recreate_neither_surges_nor_waits() {
        let mut deployment = deployment(4, json!(2), json!(2));
        let strategy = deployment.spec.as_mut().unwrap().strategy.as_mut().unwrap();
        strategy.type_ = Some("Recreate".into());
        assert_eq!((max_surge(&deployment), max_unavailable(&deployment)), (0, 0));
        assert_eq!(new_size(&deployment, 0, 4), 4);
    }

    #[test]
    fn the_new_replica_set_grows_into_the_surge() {
        // wanted, surge, size of the new, all that exist, the new size
        for (wanted, surge, new, existing, expected) in [
            (10, 0, 0, 10, 0),
            (10, 3, 0, 10, 3),
            (10, 3, 3, 13, 3),
            (10, 3, 5, 11, 7),
            (10, 3, 8, 9, 10),
            (10, 3, 10, 10, 10),
            (10, 0, 0, 0, 10),
        ] {
            let deployment = deployment(wanted, json!(surge), json!(1));
            assert_eq!(new_size(&deployment, new, existing), expected, "{new} of {existing}");
        }
    }

    #[test]
    fn old_replica_sets_shrink_as_availability_permits() {
        // wanted, unavailable, (size, available) of each old, new, available of it, old sizes after
        for (wanted, unavailable, old, new, new_available, expected) in [
            (10, 0, vec![(10, 10)], 0, 0, vec![10]),
            (10, 2, vec![(10, 10)], 0, 0, vec![8]),
            // Unavailable new pods hold the old ones.
            (10, 2, vec![(8, 8)], 5, 0, vec![8]),
            (10, 2, vec![(8, 8)], 5, 5, vec![3]),
            // What is unhealthy goes first and costs no availability.
            (10, 2, vec![(10, 5)], 0, 0, vec![8]),
            (10, 2, vec![(8, 0), (2, 2)], 10, 10, vec![0, 0]),
            (10, 2, vec![(4, 2), (4, 4)], 5, 5, vec![0, 3]),
            (3, 0, vec![(3, 3)], 1, 1, vec![2]),
            (1, 0, vec![(1, 1)], 1, 0, vec![1]),
            (1, 0, vec![(1, 1)], 1, 1, vec![0]),
            (10, 2, vec![(0, 0)], 10, 10, vec![0]),
        ] {
            let deployment = deployment(wanted, json!(3), json!(unavailable));
            let got = old_sizes(&deployment, &old, new, new_available);
            assert_eq!(got, expected, "{old:?} beside {new}/{new_available}");
        }
    }

    #[test]
    fn scaling_is_shared_in_proportion() {
        // wanted, surge, (size, max before) of each, sizes after
        for (wanted, surge, shares, expected) in [
            (10, 0, vec![(5, 5)], vec![10]),
            (10, 0, vec![(3, 5), (2, 5)], vec![6, 4]),
            (0, 0, vec![(3, 5), (2, 5)], vec![0, 0]),
            (5, 0, vec![(6, 10), (4, 10)], vec![3, 2]),
            (3, 0, vec![(4, 10), (3, 10), (3, 10)], vec![1, 1, 1]),
            (15, 0, vec![(9, 10), (1, 10)], vec![14, 1]),
            (5, 0, vec![(5, 5)], vec![5]),
            (20, 4, vec![(10, 14), (4, 14)], vec![17, 7]),
        ] {
            let deployment = deployment(wanted, json!(surge), json!(1));
            let shares: Vec<_> =
                shares.into_iter().map(|(size, max_before)| Share { size, max_before }).collect();
            let got = proportional(&deployment, &shares);
            assert_eq!(got, expected, "{shares:?} to {wanted}");
        }
    }
}
