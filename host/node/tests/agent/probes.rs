//! Probes and hooks, against listeners of the test's own on the pod network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use coracle_api::pods;
use coracle_network::{Identity, Interface};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cluster::{Cluster, container};

/// A place on the network that probes can be pointed at.
fn place(cluster: &Cluster) -> Interface {
    let identity =
        Identity { namespace: "default".into(), name: "target".into(), ..Default::default() };
    cluster.fabric.attach(identity, "10.244.9.0/24".parse().unwrap()).unwrap()
}

/// Answers requests on port 80 with a status that can be changed.
struct Site {
    status: AtomicU16,
    requests: AtomicUsize,
}

fn site(target: &Interface) -> Arc<Site> {
    let site = Arc::new(Site { status: AtomicU16::new(200), requests: AtomicUsize::new(0) });
    let mut listener = target.listen(80).unwrap();
    let answering = site.clone();
    tokio::spawn(async move {
        while let Ok(accepted) = listener.accept().await {
            let mut stream = accepted.stream;
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
            assert!(request.contains("user-agent: kube-"), "{request}");
            answering.requests.fetch_add(1, Ordering::Relaxed);
            let status = answering.status.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    site
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
async fn the_status_of_an_answer_decides() {
    let cluster = Cluster::new().await;
    let target = place(&cluster);
    let site = site(&target);
    let probe = json!({
        "httpGet": {"host": target.ip().to_string(), "port": "web", "path": "/healthz"},
        "periodSeconds": 1, "failureThreshold": 1,
    });
    let container_spec = json!({
        "name": "c", "image": "pausing", "readinessProbe": probe,
        "ports": [{"name": "web", "containerPort": 80}],
    });
    cluster.run("web", json!({"containers": [container_spec]})).await;
    cluster.pod("web", pods::is_ready).await;
    site.status.store(503, Ordering::Relaxed);
    cluster.pod("web", |pod| !pods::is_ready(pod)).await;
    let event = cluster.event("web", "Unhealthy").await;
    assert_eq!(event, "Readiness probe failed: HTTP probe failed with statuscode: 503");
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

#[tokio::test]
async fn hooks_run_after_the_start_and_before_the_end() {
    let cluster = Cluster::new().await;
    let target = place(&cluster);
    let site = site(&target);
    let hook = json!({"httpGet": {"host": target.ip().to_string(), "port": 80, "path": "/hook"}});
    let lifecycle = json!({"postStart": hook, "preStop": hook});
    let container_spec = json!({"name": "c", "image": "pausing", "lifecycle": lifecycle});
    cluster.run("web", json!({"containers": [container_spec]})).await;
    cluster.pod("web", pods::is_ready).await;
    assert_eq!(site.requests.load(Ordering::Relaxed), 1);
    cluster.delete("web").await;
    assert_eq!(site.requests.load(Ordering::Relaxed), 2);

    site.status.store(500, Ordering::Relaxed);
    let container_spec = json!({"name": "c", "image": "pausing", "lifecycle": {"postStart": hook}});
    let spec = json!({"restartPolicy": "Never", "containers": [container_spec]});
    cluster.run("hooked", spec).await;
    cluster.phase("hooked", "Failed").await;
    let event = cluster.event("hooked", "FailedPostStartHook").await;
    assert!(event.starts_with("PostStartHook failed: the answer is 500"), "{event}");
}
