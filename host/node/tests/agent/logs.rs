//! Reading logs through the kubelet's API.

use std::time::Duration;

use serde_json::json;

use crate::cluster::Cluster;

#[tokio::test]
async fn following_ends_with_the_container() {
    let cluster = Cluster::new().await;
    cluster.run("busy", json!({"containers": [{"name": "c", "image": "spinning"}]})).await;
    cluster.phase("busy", "Running").await;
    let following = cluster.ask("/containerLogs/default/busy/c?follow=true");
    let deleting = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.delete("busy").await;
    };
    let ((code, text), ()) = tokio::join!(following, deleting);
    assert_eq!((code, text.as_str()), (200, "hello\n"));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let cluster = Cluster::new().await;
    let (code, text) = cluster.ask("/containerLogs/default/none/c").await;
    assert_eq!(code, 404, "{text}");
    cluster.run("nope", json!({"containers": [{"name": "c", "image": "nothing"}]})).await;
    cluster.event("nope", "Failed").await;
    cluster.pod("nope", |pod| crate::cluster::waiting(pod, "c").is_some()).await;
    let (code, text) = cluster.ask("/containerLogs/default/nope/c").await;
    let expected =
        "container \"c\" in pod \"nope\" is waiting to start: trying and failing to pull image";
    assert_eq!((code, text.as_str()), (400, expected));
    let (code, text) = cluster.ask("/containerLogs/default/nope/x").await;
    assert_eq!((code, text.as_str()), (400, "container x is not valid for pod nope"));
    let (code, _) = cluster.ask("/containerLogs/default/nope/c?tailLines=-1").await;
    assert_eq!(code, 400);
}
