//! Plans, table-driven and under every order of things: updates stay inside their bounds.

use std::sync::Arc;

use coracle_api::{dice, pods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::nodes::Verdict;
use super::plan::{Bounds, Place, Places, Todo, manage, roll};

const RUN: Option<Verdict> = Some(Verdict { run: true, keep: true });
const KEEP: Option<Verdict> = Some(Verdict { run: false, keep: true });
const LEAVE: Option<Verdict> = Some(Verdict { run: false, keep: false });

/// A pod in a state: `+` ready, `-` running, `!` failed, `.` succeeded; `x` is going as well; an old one is marked
/// by `o`, one without a node by `?`.
fn pod(name: &str, state: &str) -> Arc<Pod> {
    let phase = match state.chars().next() {
        Some('!') => "Failed",
        Some('.') => "Succeeded",
        _ => "Running",
    };
    let ready = if state.starts_with('+') { "True" } else { "False" };
    let going = state.contains('x').then_some("2026-01-01T00:00:00Z");
    let hash = if state.contains('o') { "old" } else { "new" };
    let node = (!state.contains('?')).then_some("n");
    let pod = json!({"metadata": {"name": name, "deletionTimestamp": going,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"controller-revision-hash": hash}},
        "spec": {"containers": [], "nodeName": node},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn bounds(surge: usize, unavailable: usize) -> Bounds {
    Bounds { surge, unavailable, min_ready: 0 }
}

fn places(all: &[(Option<Verdict>, &[&str])]) -> Places {
    let place = |(number, (verdict, states)): (usize, &(Option<Verdict>, &[&str]))| {
        let named = states.iter().enumerate();
        let pods = named.map(|(at, state)| pod(&format!("p{number}{at}"), state)).collect();
        (format!("n{number}"), Place { verdict: *verdict, pods })
    };
    all.iter().enumerate().map(place).collect()
}

fn said(todo: &Todo) -> Vec<String> {
    let name = |pod: &Arc<Pod>| format!("-{}", pod.metadata.name.clone().unwrap());
    let created = todo.create.iter().map(|node| format!("+{node}"));
    created.chain(todo.delete.iter().map(name)).collect()
}

#[test]
fn every_node_gets_what_it_should_have() {
    type Row<'a> = (usize, Option<Verdict>, &'a [&'a str], &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (0, RUN, &[], &["+n0"]),
        (0, RUN, &["+"], &[]),
        (0, RUN, &["-"], &[]),
        (0, RUN, &["+x"], &[]),
        (0, RUN, &["+", "-"], &["-p01"]),
        (0, RUN, &["?-", "+"], &["-p00"]),
        (0, RUN, &["!"], &["-p00"]),
        (0, RUN, &["."], &["-p00"]),
        (0, KEEP, &[], &[]),
        (0, KEEP, &["+"], &[]),
        (0, KEEP, &["!"], &["-p00"]),
        (0, LEAVE, &["+", "-x"], &["-p00"]),
        (0, None, &["+"], &[]),
        (0, None, &["-?"], &["-p00"]),
        // With surge, one of each may be there until the new one is up.
        (1, RUN, &["+x"], &["+n0"]),
        (1, KEEP, &["+x"], &[]),
        (1, RUN, &["+o", "-"], &[]),
        (1, RUN, &["+o", "+"], &["-p00"]),
        (1, RUN, &["-o", "-"], &["-p00"]),
        (1, RUN, &["+o", "+o", "-"], &["-p01"]),
        (1, RUN, &["+", "+"], &["-p01"]),
    ];
    for (surge, verdict, states, expected) in rows {
        let places = places(&[(*verdict, states)]);
        let todo = manage(&places, "new", bounds(*surge, 1), now(), |_| None);
        assert_eq!(said(&todo), *expected, "{surge} {verdict:?} {states:?}");
    }
}

#[test]
fn a_failed_pod_is_left_alone_for_a_while() {
    let wait = std::time::Duration::from_secs(4);
    let places = places(&[(RUN, &["!"]), (RUN, &["."])]);
    let todo = manage(&places, "new", bounds(0, 1), now(), |_| Some(wait));
    assert_eq!((said(&todo), todo.again), (vec!["-p10".to_owned()], Some(wait)));
}

#[test]
fn updates_go_as_far_as_they_may() {
    type Row<'a> = (usize, usize, &'a [(Option<Verdict>, &'a [&'a str])], &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (0, 1, &[(RUN, &["+o"]), (RUN, &["+o"]), (RUN, &["+o"])], &["-p00"]),
        (0, 2, &[(RUN, &["+o"]), (RUN, &["+o"]), (RUN, &["+o"])], &["-p00", "-p10"]),
        (0, 1, &[(RUN, &["-"]), (RUN, &["+o"])], &[]),
        (0, 1, &[(RUN, &["+"]), (RUN, &["+o"])], &["-p10"]),
        (0, 1, &[(RUN, &["+x"]), (RUN, &["+o"])], &[]),
        (0, 1, &[(RUN, &[]), (RUN, &["+o"])], &[]),
        (0, 1, &[(RUN, &["+o"]), (RUN, &["-o"])], &["-p10"]),
        (0, 2, &[(RUN, &["+o"]), (RUN, &["-o"])], &["-p10", "-p00"]),
        // Nodes without a pod that want none, and lost ones, do not count.
        (0, 1, &[(LEAVE, &[]), (None, &["+o"]), (RUN, &["+o"])], &["-p20"]),
        (1, 0, &[(RUN, &["+o"]), (RUN, &["+o"])], &["+n0"]),
        (2, 0, &[(RUN, &["+o"]), (RUN, &["+o"])], &["+n0", "+n1"]),
        (1, 0, &[(RUN, &["+o", "-"]), (RUN, &["+o"])], &[]),
        (1, 0, &[(RUN, &["+o", "-"]), (RUN, &["-o"])], &["+n1"]),
        (1, 0, &[(RUN, &["+o", "+"]), (RUN, &["+o"])], &["+n1", "-p00"]),
        (1, 0, &[(KEEP, &["+o"]), (RUN, &["+o"])], &["+n1"]),
    ];
    for (surge, unavailable, all, expected) in rows {
        let todo = roll(&places(all), "new", bounds(*surge, *unavailable), now());
        assert_eq!(said(&todo), *expected, "{surge} {unavailable} {all:?}");
    }
}

/// A hundred updates under random luck.
#[test]
fn whatever_happens_bounds_hold() {
    for seed in 0..100 {
        dice::seed(seed);
        let surge = dice::below(3);
        let unavailable = if surge == 0 { 1 + dice::below(3) } else { 0 };
        let bounds = bounds(surge, unavailable);
        let mut world: Places = (0..6)
            .map(|n| {
                (format!("n{n}"), Place { verdict: RUN, pods: vec![pod(&format!("old{n}"), "+o")] })
            })
            .collect();
        let mut made = 0;
        for round in 0.. {
            assert!(round < 5000, "seed {seed} never ends: {world:?}");
            let serves = |place: &Place| {
                place.pods.iter().any(|pod| pods::is_ready(pod) && !pods::is_terminating(pod))
            };
            let serving = |world: &Places| world.values().filter(|place| serves(place)).count();
            let doubled = |world: &Places| {
                let active = |place: &Place| {
                    place.pods.iter().filter(|pod| !pods::is_terminating(pod)).count()
                };
                world.values().filter(|place| active(place) > 1).count()
            };
            let before = serving(&world);
            let mut todo = manage(&world, "new", bounds, now(), |_| None);
            if todo.is_nothing() {
                todo = roll(&world, "new", bounds, now());
            }
            for node in &todo.create {
                made += 1;
                let new = pod(&format!("new{made}"), "-");
                world.get_mut(node).unwrap().pods.push(new);
            }
            for gone in &todo.delete {
                for place in world.values_mut() {
                    for one in &mut place.pods {
                        if one.metadata.name == gone.metadata.name {
                            let mut going = (**one).clone();
                            going.metadata.deletion_timestamp =
                                serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
                            *one = Arc::new(going);
                        }
                    }
                }
            }
            assert!(
                serving(&world) >= before.min(6 - unavailable),
                "seed {seed}: {before} to {}",
                serving(&world)
            );
            assert!(doubled(&world) <= surge, "seed {seed}: {} surge", doubled(&world));
            let done = world.values().all(|place| {
                place.pods.len() == 1
                    && place
                        .pods
                        .iter()
                        .all(|pod| pods::is_ready(pod) && super::plan::is_updated(pod, "new"))
            });
            if done {
                break;
            }
            // Something happens: a pod goes for good, or becomes ready.
            let node = format!("n{}", dice::below(6));
            let place = world.get_mut(&node).unwrap();
            if place.pods.is_empty() {
                continue;
            }
            let at = dice::below(place.pods.len());
            if pods::is_terminating(&place.pods[at]) {
                place.pods.remove(at);
            } else if !pods::is_ready(&place.pods[at]) {
                let name = place.pods[at].metadata.name.clone().unwrap();
                place.pods[at] = pod(&name, "+");
            }
        }
    }
}
