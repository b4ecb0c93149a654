//! Taints and tolerations, and nodes that take nothing.

use coracle_api::tolerations;
use k8s_openapi::api::core::v1::Taint;

use super::Reason;
use crate::cluster::Place;
use crate::cycle::Cycle;

const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

fn tolerated(cycle: &Cycle<'_>, taint: &Taint) -> bool {
    tolerations::bearing(cycle.tolerations(), taint).is_some()
}

/// Whether the pod can be on a node with these taints.
pub(crate) fn bears(cycle: &Cycle<'_>, taints: &[Taint]) -> bool {
    let hard = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    taints.iter().filter(hard).all(|taint| tolerated(cycle, taint))
}

pub(super) fn unschedulable(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    let taint = Taint {
        key: UNSCHEDULABLE_TAINT.to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if place.facts.unschedulable && !tolerated(cycle, &taint) {
        return vec!["node(s) were unschedulable".into()];
    }
    Vec::new()
}

pub(super) fn refuse(cycle: &Cycle<'_>, place: &Place<'_>) -> Vec<Reason> {
    if bears(cycle, &place.facts.taints) {
        return Vec::new();
    }
    vec!["node(s) had untolerated taint(s)".into()]
}

/// How many taints ask the pod to stay away if it can.
pub(crate) fn unwelcome(cycle: &Cycle<'_>, place: &Place<'_>) -> i64 {
    let soft = |taint: &&Taint| taint.effect == "PreferNoSchedule" && !tolerated(cycle, taint);
    let count = place.facts.taints.iter().filter(soft).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}
