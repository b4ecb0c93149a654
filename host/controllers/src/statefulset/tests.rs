//! Plans, table-driven and under every order of things: whatever happens when, no identity is taken
//! twice and updates stay inside their bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::{dice, pods};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::identity;
use super::plan::{Step, partition, plan};

fn set(changes: &Value) -> StatefulSet {
    let mut set = json!({"metadata": {"name": "web"}, "spec": {"replicas": 3, "selector": {},
        "template": {}, "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}});
    for (key, value) in changes.as_object().unwrap() {
        set["spec"][key] = value.clone();
    }
    serde_json::from_value(set).unwrap()
}

/// A pod in a state: `+` ready, `-` running, `?` pending, `!` failed; `x` is going as well; an old one
/// is marked by `o`.
fn pod(ordinal: i64, state: &str) -> Arc<Pod> {
    let phase = match state.chars().next() {
        Some('?') => "Pending",
        Some('!') => "Failed",
        _ => "Running",
    };
    let ready = if state.starts_with('+') { "True" } else { "False" };
    let going = state.contains('x').then_some("2026-01-01T00:00:00Z");
    let revision = if state.contains('o') { "old" } else { "new" };
    let pod = json!({"metadata": {"name": format!("web-{ordinal}"), "deletionTimestamp": going,
            "labels": {"controller-revision-hash": revision}},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn said(steps: &[Step]) -> Vec<String> {
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    let steps = steps.iter().filter_map(|step| match step {
        Step::Create(ordinal) => Some(format!("+{ordinal}")),
        Step::Claims(pod) => Some(format!("claims {}", name(pod))),
        Step::Delete(pod) => Some(format!("-{}", name(pod).trim_start_matches("web-"))),
        Step::Keep(_) | Step::Bequeath(_) => None,
    });
    steps.collect()
}

#[test]
fn what_is_due() {
    let parallel = json!({"podManagementPolicy": "Parallel"});
    let with = |changes: Value| {
        let mut all = parallel.clone();
        json_merge(&mut all, &changes);
        all
    };
    let rolling = |rolling: Value| json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}});
    let ordered = json!({});
    // changes, states by ordinal, what is done
    for (changes, states, expected) in [
        // Filling up, in order.
        (ordered.clone(), vec![], vec!["+0"]),
        (ordered.clone(), vec![(0, "?")], vec!["claims web-0"]),
        (ordered.clone(), vec![(0, "-")], vec![]),
        (ordered.clone(), vec![(0, "+")], vec!["+1"]),
        (ordered.clone(), vec![(0, "+"), (2, "+")], vec!["+1"]),
        (ordered.clone(), vec![(0, "+"), (1, "+x")], vec![]),
        (ordered.clone(), vec![(0, "!"), (1, "+")], vec!["-0"]),
        (ordered.clone(), vec![(0, "!x"), (1, "+")], vec![]),
        (json!({"ordinals": {"start": 5}}), vec![(5, "+")], vec!["+6"]),
        // All at once.
        (parallel.clone(), vec![], vec!["+0", "+1", "+2"]),
        (parallel.clone(), vec![(1, "-")], vec!["+0", "+2"]),
        (parallel.clone(), vec![(1, "!"), (2, "?x")], vec!["+0", "-1", "claims web-2"]),
        // Shrinking, from the end.
        (json!({"replicas": 1}), vec![(0, "+"), (1, "+"), (2, "+")], vec!["-2"]),
        (json!({"replicas": 1}), vec![(0, "+"), (1, "+"), (2, "+x")], vec![]),
        (json!({"replicas": 1}), vec![(0, "-"), (1, "+"), (2, "+")], vec![]),
        // The first in trouble may go; what comes later waits for it.
        (json!({"replicas": 1}), vec![(0, "+"), (1, "+"), (2, "-")], vec!["-2"]),
        (json!({"replicas": 1}), vec![(0, "+"), (1, "-"), (2, "-")], vec![]),
        (json!({"replicas": 0}), vec![(0, "-")], vec!["-0"]),
        (
            json!({"ordinals": {"start": 1}}),
            vec![(0, "+"), (1, "+"), (2, "+"), (3, "+")],
            vec!["-0"],
        ),
        (with(json!({"replicas": 0})), vec![(0, "+"), (1, "-"), (2, "+x")], vec!["-1", "-0"]),
        // Updating, from the end.
        (ordered.clone(), vec![(0, "+o"), (1, "+o"), (2, "+o")], vec!["-2"]),
        (ordered.clone(), vec![(0, "+o"), (1, "+o"), (2, "+")], vec!["-1"]),
        (ordered.clone(), vec![(0, "+o"), (1, "+o"), (2, "-")], vec![]),
        (rolling(json!({"partition": 2})), vec![(0, "+o"), (1, "+o"), (2, "+")], vec![]),
        (rolling(json!({"partition": 9})), vec![(0, "+o"), (1, "+o"), (2, "+o")], vec![]),
        (
            rolling(json!({"partition": 0, "maxUnavailable": 2})),
            vec![(0, "+o"), (1, "+o"), (2, "+o")],
            vec!["-2", "-1"],
        ),
        (
            rolling(json!({"maxUnavailable": "67%"})),
            vec![(0, "+o"), (1, "+o"), (2, "+o")],
            vec!["-2", "-1"],
        ),
        (
            json!({"updateStrategy": {"type": "OnDelete"}}),
            vec![(0, "+o"), (1, "+o"), (2, "+o")],
            vec![],
        ),
        // What is broken is replaced first, and is within the bound.
        (parallel.clone(), vec![(0, "-o"), (1, "+o"), (2, "+o")], vec!["-0"]),
        (parallel.clone(), vec![(0, "+o"), (1, "+o"), (2, "-")], vec![]),
        (parallel.clone(), vec![(0, "+o"), (1, "+o"), (2, "+o")], vec!["-2"]),
    ] {
        let text = format!("{changes} {states:?}");
        let pods: Vec<_> = states.iter().map(|(ordinal, state)| pod(*ordinal, state)).collect();
        assert_eq!(said(&plan(&set(&changes), &pods, "new", now())), expected, "{text}");
    }
}

fn json_merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().unwrap() {
        into[key] = value.clone();
    }
}

/// A hundred sets live through random changes of size, template and luck.
#[test]
fn whatever_happens_identities_and_bounds_hold() {
    for seed in 0..100 {
        dice::seed(seed);
        let parallel = dice::below(2) == 0;
        let max = 1 + i64::try_from(dice::below(3)).unwrap();
        let spec = json!({
            "replicas": 5, "podManagementPolicy": if parallel { "Parallel" } else { "OrderedReady" },
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate":
                {"partition": dice::below(3), "maxUnavailable": max}}});
        let set = set(&spec);
        // All are old and ready.
        let mut world: BTreeMap<i64, Arc<Pod>> = (0..5).map(|n| (n, pod(n, "+o"))).collect();
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 2000, "seed {seed} never ends: {world:?}");
            let pods: Vec<_> = world.values().cloned().collect();
            let ready = |world: &BTreeMap<i64, Arc<Pod>>| {
                let up = |pod: &&Arc<Pod>| pods::is_ready(pod) && !pods::is_terminating(pod);
                i64::try_from(world.values().filter(up).count()).unwrap()
            };
            let before = ready(&world);
            let steps = plan(&set, &pods, "new", now());
            for step in &steps {
                match step {
                    Step::Create(ordinal) => {
                        assert!(!world.contains_key(ordinal), "seed {seed}: two of {ordinal}");
                        let old = *ordinal < partition(&set);
                        world.insert(*ordinal, pod(*ordinal, if old { "?o" } else { "?" }));
                    }
                    Step::Delete(gone) => {
                        let ordinal = identity::ordinal(&set, gone).unwrap();
                        let old = identity::revision_of(gone) == "old";
                        assert!(old && ordinal >= partition(&set), "seed {seed}: {ordinal} is new");
                        let state = if pods::is_ready(gone) { "+xo" } else { "-xo" };
                        world.insert(ordinal, pod(ordinal, state));
                    }
                    Step::Claims(_) | Step::Keep(_) | Step::Bequeath(_) => {}
                }
            }
            let after = ready(&world);
            assert!(after >= before.min(5 - max), "seed {seed}: {before} to {after}");
            let current = |pod: &Arc<Pod>| identity::revision_of(pod).to_owned();
            let done = world.len() == 5
                && world.values().all(|pod| pods::is_ready(pod) && pods::is_active(pod))
                && world.range(partition(&set)..).all(|(_, pod)| current(pod) == "new");
            if done {
                break;
            }
            // Something happens: a pod goes for good, or becomes ready, or falters.
            let ordinals: Vec<i64> = world.keys().copied().collect();
            let ordinal = ordinals[dice::below(ordinals.len())];
            let one = world[&ordinal].clone();
            let mark = if current(&one) == "old" { "o" } else { "" };
            if pods::is_terminating(&one) {
                world.remove(&ordinal);
            } else if pods::is_ready(&one) && dice::below(8) == 0 && !parallel {
                world.insert(ordinal, pod(ordinal, &format!("-{mark}")));
            } else {
                world.insert(ordinal, pod(ordinal, &format!("+{mark}")));
            }
        }
    }
}
