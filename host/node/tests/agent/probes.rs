//! Probes, against listeners of the test's own on the pod network.

use coracle_api::pods;
use coracle_network::{Identity, Interface};
use serde_json::json;

use crate::cluster::{Cluster, container};

/// A place on the network that probes can be pointed at.
fn place(cluster: &Cluster) -> Interface {
    let identity =
        Identity { namespace: "default".into(), name: "target".into(), ..Default::default() };
    cluster.fabric.attach(identity, "10.244.9.0/24".parse().unwrap()).unwrap()
}

#[tokio::test]
async fn readiness_follows_its_probe() {
    let cluster = Cluster::new().await;
    let target = place(&cluster);
    let probe = json!({
        "tcpSocket": {"host": target.ip().to_string(), "port": 7},
        "periodSeconds": 1, "failureThreshold": 1,
    });
    let container_spec = json!({"name": "c", "image": "pausing", "readinessProbe": probe});
    cluster.run("web", json!({"containers": [container_spec]})).await;
    let pod = cluster.phase("web", "Running").await;
    assert!(!container(&pod, "c").unwrap().ready);
    let listener = target.listen(7).unwrap();
    cluster.pod("web", pods::is_ready).await;
    drop(listener);
    cluster.pod("web", |pod| !pods::is_ready(pod)).await;
    let event = cluster.event("web", "Unhealthy").await;
    assert!(event.starts_with("Readiness probe failed: dial tcp 10.244.9."), "{event}");
}

#[tokio::test]
async fn a_failed_liveness_probe_restarts_the_container() {
    let cluster = Cluster::new().await;
    let target = place(&cluster);
    let socket = json!({"host": target.ip().to_string(), "port": 7});
    let container_spec = json!({
        "name": "c", "image": "pausing",
        "startupProbe": {"tcpSocket": socket, "periodSeconds": 1},
        "livenessProbe": {"tcpSocket": socket, "periodSeconds": 1, "failureThreshold": 1},
    });
    let listener = target.listen(7).unwrap();
    cluster.run("web", json!({"containers": [container_spec]})).await;
    cluster.pod("web", pods::is_ready).await;
    drop(listener);
    let restarted = |pod: &_| container(pod, "c").is_some_and(|status| status.restart_count > 0);
    cluster.pod("web", restarted).await;
    let event = cluster.event("web", "Killing").await;
    assert_eq!(event, "Container c failed liveness probe, will be restarted");
}
