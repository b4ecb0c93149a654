//! How containers begin, end and begin again.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cluster::{Cluster, container, waiting};

fn last_exit(pod: &Pod, name: &str) -> Option<(i32, String)> {
    let last = container(pod, name)?.last_state.clone()?.terminated?;
    Some((last.exit_code, last.reason?))
}

#[tokio::test]
async fn a_failing_container_is_restarted_and_then_held_back() {
    let cluster = Cluster::new().await;
    cluster.run("crash", json!({"containers": [{"name": "c", "image": "failing"}]})).await;
    let looping = |pod: &Pod| waiting(pod, "c") == Some("CrashLoopBackOff");
    let pod = cluster.pod("crash", looping).await;
    let status = container(&pod, "c").unwrap();
    assert_eq!(status.restart_count, 1, "the first restart is immediate");
    assert_eq!(last_exit(&pod, "c"), Some((3, "Error".into())));
    let message = status.state.clone().unwrap().waiting.unwrap().message.unwrap();
    assert!(message.starts_with("back-off 10s restarting failed container=c pod=crash_default("));
    assert_eq!(coracle_api::pods::phase(&pod), "Running");
    let event = cluster.event("crash", "BackOff").await;
    assert!(event.starts_with("Back-off restarting failed container c in pod crash_default("));
    assert_eq!(cluster.log("crash").await, "hello\n");
    let (code, previous) = cluster.ask("/containerLogs/default/crash/c?previous=true").await;
    assert_eq!((code, previous.as_str()), (200, "hello\n"));
}

#[tokio::test]
async fn without_restarts_a_failure_fails_the_pod() {
    let cluster = Cluster::new().await;
    let containers = json!([
        {"name": "c", "image": "failing"}, {"name": "d", "image": "hello"},
    ]);
    cluster.run("never", json!({"restartPolicy": "Never", "containers": containers})).await;
    let pod = cluster.phase("never", "Failed").await;
    let ended = container(&pod, "c").unwrap().state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (3, Some("Error")));
    let ended = container(&pod, "d").unwrap().state.clone().unwrap().terminated.unwrap();
    assert_eq!(ended.exit_code, 0);
}

#[tokio::test]
async fn too_much_memory_is_out_of_memory() {
    let cluster = Cluster::new().await;
    let resources = json!({"limits": {"memory": "4Mi"}});
    let container_spec = json!({"name": "c", "image": "hogging", "resources": resources});
    cluster.run("hog", json!({"restartPolicy": "Never", "containers": [container_spec]})).await;
    let pod = cluster.phase("hog", "Failed").await;
    let ended = container(&pod, "c").unwrap().state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (137, Some("OOMKilled")));
}

#[tokio::test]
async fn an_image_that_is_not_there_is_waited_for() {
    let cluster = Cluster::new().await;
    cluster.run("nope", json!({"containers": [{"name": "c", "image": "nothing:v9"}]})).await;
    cluster.pod("nope", |pod| waiting(pod, "c") == Some("ErrImagePull")).await;
    let pod = cluster.pod("nope", |pod| waiting(pod, "c") == Some("ImagePullBackOff")).await;
    let message = container(&pod, "c").unwrap().state.clone().unwrap().waiting.unwrap().message;
    let message = message.unwrap();
    assert!(
        message.starts_with("Back-off pulling image \"nothing:v9\": ErrImagePull: "),
        "{message}"
    );
    // Another image is tried at once.
    let patch = json!({"spec": {"containers": [{"name": "c", "image": "pausing"}]}});
    let patch = Patch::Strategic(patch);
    cluster.pods().patch("nope", &PatchParams::default(), &patch).await.unwrap();
    cluster.pod("nope", coracle_api::pods::is_ready).await;
    cluster
        .run(
            "never",
            json!({"containers": [
        {"name": "c", "image": "nothing", "imagePullPolicy": "Never"}]}),
        )
        .await;
    cluster.pod("never", |pod| waiting(pod, "c") == Some("ErrImageNeverPull")).await;
    cluster.run("bad", json!({"containers": [{"name": "c", "image": "NO:!"}]})).await;
    cluster.pod("bad", |pod| waiting(pod, "c") == Some("InvalidImageName")).await;
}

#[tokio::test]
async fn a_new_image_restarts_the_container() {
    let cluster = Cluster::new().await;
    cluster.run("web", json!({"containers": [{"name": "c", "image": "pausing"}]})).await;
    cluster.pod("web", coracle_api::pods::is_ready).await;
    let patch = json!({"spec": {"containers": [{"name": "c", "image": "spinning"}]}});
    let patch = Patch::Strategic(patch);
    cluster.pods().patch("web", &PatchParams::default(), &patch).await.unwrap();
    let pod = cluster
        .pod("web", |pod| {
            container(pod, "c").is_some_and(|status| status.restart_count == 1 && status.ready)
        })
        .await;
    assert!(container(&pod, "c").unwrap().image_id.contains("spinning"));
}

#[tokio::test]
async fn init_containers_run_in_order_before_the_others() {
    let cluster = Cluster::new().await;
    let mount = json!([{"name": "v", "mountPath": "/v"}]);
    let spec = json!({
        "restartPolicy": "Never",
        "volumes": [{"name": "v", "emptyDir": {}}],
        "initContainers": [
            {"name": "first", "image": "writing", "volumeMounts": mount},
            {"name": "side", "image": "pausing", "restartPolicy": "Always"},
        ],
        "containers": [{"name": "c", "image": "reading", "volumeMounts": mount}],
    });
    cluster.run("ordered", spec).await;
    let pod = cluster.phase("ordered", "Succeeded").await;
    let state = |name: &str| container(&pod, name).unwrap().state.clone().unwrap().terminated;
    assert_eq!(state("first").unwrap().exit_code, 0);
    assert_eq!(state("side").unwrap().exit_code, 0, "stopped after the regular ones");
    assert!(state("side").unwrap().finished_at >= state("c").unwrap().finished_at);
    assert_eq!(cluster.log("ordered").await, "hello\n");
}

#[tokio::test]
async fn a_failing_init_container_fails_or_holds_the_pod() {
    let cluster = Cluster::new().await;
    let spec = |policy: &str| {
        json!({
            "restartPolicy": policy,
            "initContainers": [{"name": "i", "image": "failing"}],
            "containers": [{"name": "c", "image": "hello"}],
        })
    };
    cluster.run("never", spec("Never")).await;
    let pod = cluster.phase("never", "Failed").await;
    assert_eq!(waiting(&pod, "c"), Some("PodInitializing"));
    cluster.run("always", spec("Always")).await;
    let looping = |pod: &Pod| waiting(pod, "i") == Some("CrashLoopBackOff");
    let pod = cluster.pod("always", looping).await;
    assert_eq!(coracle_api::pods::phase(&pod), "Pending");
    assert_eq!(waiting(&pod, "c"), Some("PodInitializing"));
}

#[tokio::test]
async fn the_environment_comes_from_everywhere() {
    let cluster = Cluster::new().await;
    let map = json!({"metadata": {"name": "map"}, "data": {"COLOUR": "blue"}});
    cluster.create::<ConfigMap>(map).await;
    let secret = json!({"metadata": {"name": "secret"}, "stringData": {"password": "hunter2"}});
    cluster.create::<Secret>(secret).await;
    let env = json!([
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "password"}}},
        {"name": "BOTH", "value": "$(POD)-$(COLOUR)"},
    ]);
    let container_spec = json!({
        "name": "c", "image": "environment", "env": env,
        "envFrom": [{"configMapRef": {"name": "map"}}],
    });
    cluster.run("env", json!({"restartPolicy": "Never", "containers": [container_spec]})).await;
    let pod = cluster.phase("env", "Succeeded").await;
    let log = cluster.log("env").await;
    let ip = format!("IP={}", pod.status.unwrap().pod_ip.unwrap());
    let expected =
        ["HOSTNAME=env", "POD=env", "COLOUR=blue", "PASSWORD=hunter2", "BOTH=env-blue", &ip];
    for expected in expected {
        assert!(log.split('\0').any(|variable| variable == expected), "{expected}: {log:?}");
    }
}

#[tokio::test]
async fn a_missing_reference_is_a_configuration_error() {
    let cluster = Cluster::new().await;
    let from = json!([{"configMapRef": {"name": "absent"}}]);
    let container_spec = json!({"name": "c", "image": "hello", "envFrom": from});
    cluster.run("conf", json!({"containers": [container_spec]})).await;
    let pod =
        cluster.pod("conf", |pod| waiting(pod, "c") == Some("CreateContainerConfigError")).await;
    let message = container(&pod, "c").unwrap().state.clone().unwrap().waiting.unwrap().message;
    assert_eq!(message.as_deref(), Some("configmap \"absent\" not found"));
    assert_eq!(cluster.event("conf", "Failed").await, "Error: configmap \"absent\" not found");
}
