//! From creation to deletion.

use std::time::Duration;

use coracle_api::pods;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use serde_json::json;

use crate::cluster::{Cluster, container};

#[tokio::test]
async fn a_command_runs_to_its_end() {
    let cluster = Cluster::new().await;
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "hello"}]});
    cluster.run("once", spec).await;
    let pod = cluster.phase("once", "Succeeded").await;
    let status = container(&pod, "c").unwrap();
    let ended = status.state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (0, Some("Completed")));
    assert!(ended.finished_at >= ended.started_at);
    assert_eq!(ended.container_id, status.container_id);
    assert!(status.container_id.as_ref().unwrap().starts_with("wasmtime://"));
    assert!(status.image_id.contains("hello@sha256:"), "{}", status.image_id);
    let status = pod.status.as_ref().unwrap();
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    assert!(status.pod_ip.as_ref().unwrap().starts_with("10.244.0."));
    assert_eq!(cluster.log("once").await, "hello\n");
    for (reason, message) in [
        ("Pulled", "Successfully pulled image \"hello\""),
        ("Created", "Created container: c"),
        ("Started", "Started container c"),
    ] {
        let event = cluster.event("once", reason).await;
        assert!(event.starts_with(message), "{event}");
    }
    cluster.delete("once").await;
}

#[tokio::test]
async fn a_running_pod_is_ready_and_ends_when_it_is_deleted() {
    let cluster = Cluster::new().await;
    cluster.run("web", json!({"containers": [{"name": "c", "image": "pausing"}]})).await;
    let pod = cluster.pod("web", pods::is_ready).await;
    let status = container(&pod, "c").unwrap();
    assert!(status.ready && status.started == Some(true) && status.restart_count == 0);
    let directory = cluster.node_directory().join("pods").join(pod.metadata.uid.unwrap());
    assert!(directory.is_dir());

    let (code, summary) = cluster.ask("/stats/summary").await;
    assert_eq!(code, 200);
    assert!(summary.contains("\"name\":\"web\""), "{summary}");
    let (_, metrics) = cluster.ask("/metrics/resource").await;
    assert!(metrics.contains("pod_memory_working_set_bytes{namespace=\"default\",pod=\"web\"}"));
    let (_, listed) = cluster.ask("/pods").await;
    assert!(listed.contains("\"web\""));

    cluster.delete("web").await;
    assert_eq!(cluster.event("web", "Killing").await, "Stopping container c");
    for _ in 0..500 {
        if !directory.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} is left behind", directory.display());
}

#[tokio::test]
async fn what_does_not_listen_is_stopped_all_the_same() {
    let cluster = Cluster::new().await;
    cluster.run("busy", json!({"containers": [{"name": "c", "image": "spinning"}]})).await;
    cluster.phase("busy", "Running").await;
    cluster.delete("busy").await;
}

#[tokio::test]
async fn a_deadline_fails_the_pod() {
    let cluster = Cluster::new().await;
    let spec = json!({
        "activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "c", "image": "spinning"}],
    });
    cluster.run("late", spec).await;
    let pod = cluster.phase("late", "Failed").await;
    assert_eq!(pod.status.unwrap().reason.as_deref(), Some("DeadlineExceeded"));
}

#[tokio::test]
async fn the_node_presents_itself() {
    let cluster = Cluster::new().await;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let node = nodes.get("node-0").await.unwrap();
    let labels = node.metadata.labels.unwrap();
    assert_eq!(labels["kubernetes.io/hostname"], "node-0");
    assert_eq!(labels["coracle.dev/runtime"], "wasmtime");
    let status = node.status.unwrap();
    assert_eq!(status.allocatable.unwrap()["cpu"].0, "2");
    assert_eq!(status.conditions.unwrap().len(), 4);
    assert!(status.node_info.unwrap().container_runtime_version.starts_with("wasmtime://"));
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "kube-node-lease");
    let lease = cluster.until(&leases, "node-0", |_| true).await;
    assert_eq!(lease.spec.unwrap().holder_identity.as_deref(), Some("node-0"));
}
