//! Pods that this node does not run.

use serde_json::json;

use crate::cluster::{Cluster, container, waiting};

#[tokio::test]
async fn what_is_not_supported_is_said() {
    let cluster = Cluster::new().await;
    let spec = json!({
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        "containers": [{"name": "c", "image": "hello"}],
    });
    cluster.run("host", spec).await;
    let pod = cluster.pod("host", |pod| waiting(pod, "c") == Some("UnsupportedFeature")).await;
    let message = container(&pod, "c").unwrap().state.clone().unwrap().waiting.unwrap().message;
    assert!(message.unwrap().contains("hostPath is not supported"));
    assert_eq!(coracle_api::pods::phase(&pod), "Pending");
    assert!(cluster.event("host", "Failed").await.contains("hostPath"));
    cluster.delete("host").await;
}

#[tokio::test]
async fn what_does_not_fit_is_rejected() {
    let cluster = Cluster::new().await;
    let resources = json!({"requests": {"cpu": "3"}});
    let container_spec = json!({"name": "c", "image": "hello", "resources": resources});
    cluster.run("big", json!({"containers": [container_spec]})).await;
    let pod = cluster.phase("big", "Failed").await;
    let status = pod.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("OutOfcpu"));
    assert_eq!(
        status.message.as_deref(),
        Some(
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 3000, used: 0, \
             capacity: 2000"
        )
    );
    cluster.delete("big").await;
}
