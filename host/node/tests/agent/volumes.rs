//! What pods see of the API in files.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use crate::cluster::Cluster;

fn reader(volume: Value) -> Value {
    json!({
        "restartPolicy": "Never",
        "volumes": [volume],
        "containers": [{
            "name": "c", "image": "reading", "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        }],
    })
}

#[tokio::test]
async fn a_config_map_becomes_a_file_once_it_exists() {
    let cluster = Cluster::new().await;
    cluster.run("map", reader(json!({"name": "v", "configMap": {"name": "later"}}))).await;
    let event = cluster.event("map", "FailedMount").await;
    assert_eq!(event, "MountVolume.SetUp failed for volume \"v\" : configmap \"later\" not found");
    let map = json!({"metadata": {"name": "later"}, "data": {"file.txt": "from the map\n"}});
    cluster.create::<ConfigMap>(map).await;
    cluster.phase("map", "Succeeded").await;
    assert_eq!(cluster.log("map").await, "from the map\n");
}

#[tokio::test]
async fn a_projected_volume_joins_its_sources() {
    let cluster = Cluster::new().await;
    let volume = json!({"name": "v", "projected": {"sources": [{"downwardAPI": {"items": [
        {"path": "file.txt", "fieldRef": {"fieldPath": "metadata.namespace"}},
    ]}}]}});
    cluster.run("down", reader(volume)).await;
    cluster.phase("down", "Succeeded").await;
    assert_eq!(cluster.log("down").await, "default\n");
}

#[tokio::test]
async fn a_config_map_cannot_be_written_to() {
    let cluster = Cluster::new().await;
    let map = json!({"metadata": {"name": "map"}, "data": {"file.txt": "x"}});
    cluster.create::<ConfigMap>(map).await;
    let mut spec = reader(json!({"name": "v", "configMap": {"name": "map"}}));
    spec["containers"][0]["image"] = "writing".into();
    cluster.run("intruder", spec).await;
    cluster.phase("intruder", "Failed").await;
}
