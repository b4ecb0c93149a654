//! An agent that ends and begins again.

use coracle_api::pods;
use serde_json::json;

use crate::cluster::{Cluster, container};

#[tokio::test]
async fn pods_run_again_under_their_names() {
    let mut cluster = Cluster::new().await;
    cluster.run("web", json!({"containers": [{"name": "c", "image": "pausing"}]})).await;
    let spec =
        json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "spinning"}]});
    cluster.run("once", spec).await;
    let spec = json!({"containers": [{"name": "c", "image": "pausing"}]});
    cluster.run("leaves", spec).await;
    let before = cluster.pod("web", pods::is_ready).await;
    cluster.pod("once", pods::is_ready).await;
    let leaves = cluster.pod("leaves", pods::is_ready).await;
    cluster.stop_agent().await;
    let still = cluster.pods().get("web").await.unwrap();
    assert!(pods::is_ready(&still), "the end of the agent is not the pod's");
    let now = kube::api::DeleteParams::default().grace_period(0);
    cluster.pods().delete("leaves", &now).await.unwrap();

    cluster.start_agent().await;
    let after = cluster
        .pod("web", |pod| {
            pods::is_ready(pod) && container(pod, "c").is_some_and(|c| c.restart_count == 1)
        })
        .await;
    assert_eq!(after.metadata.uid, before.metadata.uid);
    let ip = |pod: &k8s_openapi::api::core::v1::Pod| pod.status.clone().unwrap().pod_ip;
    assert_eq!(ip(&after), ip(&before));
    let last = container(&after, "c").unwrap().last_state.clone().unwrap().terminated.unwrap();
    assert_eq!(last.reason.as_deref(), Some("ContainerStatusUnknown"));

    let once = cluster.phase("once", "Failed").await;
    let ended = container(&once, "c").unwrap().state.clone().unwrap().terminated.unwrap();
    assert_eq!(ended.exit_code, 137);
    let left = cluster.node_directory().join("pods").join(leaves.metadata.uid.unwrap());
    assert!(!left.exists(), "what a vanished pod left is cleared away");
}
