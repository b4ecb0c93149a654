//! Decisions over small clusters.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::cluster::NodeFacts;
use crate::pod::PodInfo;

fn merged(mut base: Value, changes: &Value) -> Value {
    json_patch::merge(&mut base, changes);
    base
}

fn node(name: &str, changes: Value) -> Value {
    let base = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "10"}},
    });
    merged(base, &changes)
}

fn cluster(nodes: impl IntoIterator<Item = Value>) -> Cluster {
    let mut cluster = Cluster::default();
    for node in nodes {
        cluster.set_node(NodeFacts::of(&serde_json::from_value(node).unwrap()));
    }
    cluster
}

fn pod(name: &str, changes: Value) -> Pending {
    let base = json!({
        "metadata": {"name": name, "namespace": "d", "uid": name},
        "spec": {"containers": [{"name": "c"}]},
    });
    Pending::of(serde_json::from_value(merged(base, &changes)).unwrap())
}

fn requesting(name: &str, cpu: &str) -> Pending {
    let container = json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
    pod(name, json!({"spec": {"containers": [container]}}))
}

fn put(cluster: &mut Cluster, pod: &Pending, node: &str) {
    cluster.place(pod.info.clone(), node);
}

fn refusal(pod: &Pending, cluster: &Cluster) -> String {
    decide(pod, cluster).unwrap_err().message
}

#[test]
fn refusals_are_worded_as_kubernetes_does() {
    let tainted =
        |key: &str, effect: &str| json!({"spec": {"taints": [{"key": key, "effect": effect}]}});
    let port = json!({"spec": {"containers": [{"name": "c",
        "ports": [{"containerPort": 80, "hostPort": 80}]}]}});
    let mut busy = cluster([node("a", json!({}))]);
    put(&mut busy, &pod("web", port.clone()), "a");
    let full = node("a", json!({"status": {"allocatable": {"pods": "0"}}}));
    for (cluster, pod, expected) in [
        (cluster([]), requesting("p", "1"), "no nodes available to schedule pods"),
        (
            cluster([node("a", json!({})), node("b", json!({})), node("c", json!({}))]),
            requesting("p", "3"),
            "0/3 nodes are available: 3 Insufficient cpu.",
        ),
        (
            cluster([
                node("a", json!({"spec": {"unschedulable": true}})),
                node("b", tainted("k", "NoSchedule")),
                node("c", tainted("k", "NoExecute")),
            ]),
            requesting("p", "1"),
            "0/3 nodes are available: 1 node(s) were unschedulable, \
             2 node(s) had untolerated taint(s).",
        ),
        (
            cluster([node("a", json!({}))]),
            pod("p", json!({"spec": {"nodeSelector": {"disk": "ssd"}}})),
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            busy,
            pod("p", port),
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
        ),
        (
            cluster([full]),
            requesting("p", "5"),
            "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods.",
        ),
        (
            cluster([node("a", json!({}))]),
            pod(
                "p",
                json!({"spec": {"containers": [{"name": "c", "resources": {"requests":
                {"example.com/gpu": "1"}}}]}}),
            ),
            "0/1 nodes are available: 1 Insufficient example.com/gpu.",
        ),
    ] {
        assert_eq!(refusal(&pod, &cluster), expected);
    }
}

#[test]
fn what_is_decided_counts_at_once() {
    let mut cluster = cluster([node("a", json!({}))]);
    for name in ["p", "q"] {
        let pod = requesting(name, "1");
        assert_eq!(decide(&pod, &cluster).unwrap(), "a");
        cluster.assume(pod.info.clone(), "a");
    }
    let refused = decide(&requesting("r", "1"), &cluster).unwrap_err();
    assert!(refused.message.contains("Insufficient cpu"));
    cluster.forget(&requesting("p", "1").info.key);
    assert!(decide(&requesting("r", "1"), &cluster).is_ok());
}

#[test]
fn the_emptier_node_is_taken() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    put(&mut cluster, &requesting("p", "1"), "a");
    for _ in 0..10 {
        assert_eq!(decide(&requesting("q", "500m"), &cluster).unwrap(), "b");
    }
}

#[test]
fn siblings_spread_over_nodes_and_zones() {
    let zoned = |name: &str, zone: &str| {
        node(name, json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}))
    };
    let nodes = ["a1", "a2", "b1", "b2"].map(|name| zoned(name, &name[..1]));
    let mut cluster = cluster(nodes);
    let owners = json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1",
        "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]}});
    let mut placed = Vec::new();
    for number in 0..4 {
        let pod = pod(&format!("p{number}"), owners.clone());
        let node = decide(&pod, &cluster).unwrap();
        put(&mut cluster, &pod, &node);
        placed.push(node);
    }
    assert_ne!(placed[0][..1], placed[1][..1], "the second is in the other zone: {placed:?}");
    placed.sort();
    assert_eq!(placed, ["a1", "a2", "b1", "b2"]);
}

#[test]
fn soft_taints_and_preferences_lead() {
    let soft = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}});
    let two = cluster([node("a", soft), node("b", json!({}))]);
    assert_eq!(decide(&requesting("p", "1"), &two).unwrap(), "b");
    let preferring = pod(
        "p",
        json!({"spec": {"affinity": {"nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference":
            {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}]}}}}),
    );
    let labelled = node("b", json!({"metadata": {"labels": {"disk": "ssd"}}}));
    let two = cluster([node("a", json!({})), labelled]);
    assert_eq!(decide(&preferring, &two).unwrap(), "b");
}

#[test]
fn hard_spreading_is_kept() {
    let spread = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "x"}}}]}});
    let small = node("b", json!({"status": {"allocatable": {"cpu": "1"}}}));
    let mut cluster = cluster([node("a", json!({})), small]);
    put(&mut cluster, &pod("p", spread.clone()), "a");
    assert_eq!(decide(&pod("q", spread.clone()), &cluster).unwrap(), "b");
    put(&mut cluster, &requesting("big", "1"), "b");
    let container = json!({"name": "c", "resources": {"requests": {"cpu": "1"}}});
    let heavy = merged(spread, &json!({"spec": {"containers": [container]}}));
    assert_eq!(
        refusal(&pod("q", heavy), &cluster),
        "0/2 nodes are available: 1 Insufficient cpu, \
         1 node(s) didn't match pod topology spread constraints."
    );
}

#[test]
fn pods_keep_away_from_one_another_and_seek_each_other() {
    let term = json!([{"topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app": "x"}}}]);
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let away = json!({"metadata": {"labels": {"app": "x"}},
        "spec": {"affinity": {"podAntiAffinity": {required: term}}}});
    let near = json!({"spec": {"affinity": {"podAffinity": {required: term}}}});

    let mut two = cluster([node("a", json!({})), node("b", json!({}))]);
    assert_eq!(
        refusal(&pod("seeker", near.clone()), &two),
        "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."
    );
    let founder = merged(near.clone(), &json!({"metadata": {"labels": {"app": "x"}}}));
    assert!(decide(&pod("founder", founder), &two).is_ok(), "the first of its kind may begin");
    put(&mut two, &pod("p", away.clone()), "a");
    assert_eq!(decide(&pod("seeker", near), &two).unwrap(), "a");
    assert_eq!(decide(&pod("q", away.clone()), &two).unwrap(), "b");
    let plain = pod("r", json!({"metadata": {"labels": {"app": "x"}}}));
    assert_eq!(decide(&plain, &two).unwrap(), "b", "it is kept away by the other");
    put(&mut two, &pod("q", away.clone()), "b");
    assert_eq!(
        refusal(&pod("s", away), &two),
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
    );
    assert_eq!(
        refusal(&plain, &two),
        "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules."
    );
    let elsewhere = PodInfo {
        key: crate::pod::Key { namespace: "e".into(), name: "r".into() },
        uid: "r".into(),
        requests: Default::default(),
        ports: vec![],
        labels: plain.info.labels.clone(),
        owner: None,
        terminating: false,
        keeps_away: vec![],
    };
    let elsewhere = Pending { info: Arc::new(elsewhere), pod: plain.pod.clone() };
    assert!(decide(&elsewhere, &two).is_ok(), "terms speak of their own namespace");
}

#[test]
fn liked_neighbours_lead_and_disliked_ones_repel() {
    let term = json!([{"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app": "x"}}}}]);
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let affinity = |kind: &str| json!({"spec": {"affinity": {kind: {preferred: term}}}});
    let mut two = cluster([node("a", json!({})), node("b", json!({}))]);
    put(&mut two, &pod("x", json!({"metadata": {"labels": {"app": "x"}}})), "b");
    for _ in 0..10 {
        assert_eq!(decide(&pod("near", affinity("podAffinity")), &two).unwrap(), "b");
        assert_eq!(decide(&pod("away", affinity("podAntiAffinity")), &two).unwrap(), "a");
    }
}
