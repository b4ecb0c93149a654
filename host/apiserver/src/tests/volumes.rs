//! Volumes, claims, and what drivers say of themselves.

use serde_json::{Value, json};

use super::Server;

const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
const STORAGE: &str = "/apis/storage.k8s.io/v1";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

async fn cells(server: &Server, path: &str) -> Vec<Value> {
    let table = server.accept(path, TABLE).await.is(200);
    table["rows"][0]["cells"].as_array().unwrap().clone()
}

#[tokio::test]
async fn volumes_are_bound_by_whoever_writes_their_status() {
    let server = Server::new().await;
    let volume = json!({
        "metadata": { "name": "v" },
        "spec": {
            "capacity": { "storage": "1024Mi" },
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            "hostPath": { "path": "/data" },
        },
        "status": { "phase": "Bound" },
    });
    let made = server.post(VOLUMES, volume).await.is(201);
    assert_eq!(made["status"]["phase"], "Pending");
    assert!(made["status"]["lastPhaseTransitionTime"].is_string());
    assert_eq!(made["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert_eq!(made["spec"]["volumeMode"], "Filesystem");
    assert_eq!(made["spec"]["capacity"]["storage"], "1Gi");
    assert_eq!(made["spec"]["hostPath"], json!({ "path": "/data", "type": "" }));

    let claim = json!({
        "metadata": { "name": "c" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1Gi" } },
            "dataSource": { "kind": "PersistentVolumeClaim", "name": "other" },
        },
    });
    let made = server.post(CLAIMS, claim).await.is(201);
    assert_eq!(made["status"], json!({ "phase": "Pending" }));
    assert_eq!(made["spec"]["dataSourceRef"], made["spec"]["dataSource"]);

    let path = format!("{CLAIMS}/c");
    let bind = json!({ "spec": { "volumeName": "v" } });
    server.patch(&path, "merge-patch", bind).await.is(200);
    let status = json!({ "status": {
        "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" },
    } });
    server.patch(&format!("{path}/status"), "merge-patch", status).await.is(200);
    let shown = cells(&server, CLAIMS).await;
    assert_eq!(&shown[1..7], ["Bound", "v", "1Gi", "RWO", "", "<unset>"]);

    let moved = json!({ "spec": { "volumeName": "w" } });
    let message = server.patch(&path, "merge-patch", moved).await.fails(422, "Invalid");
    assert!(message.contains("spec: Forbidden: spec is immutable after creation"), "{message}");
    let grown = json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } });
    server.patch(&path, "merge-patch", grown).await.is(200);
    // Deleted volumes and claims are shown.
    assert_eq!(server.delete(&path).await.is(200)["kind"], "PersistentVolumeClaim");

    let taken = json!({ "status": { "phase": "Released", "reason": "Gone" } });
    server.patch(&format!("{VOLUMES}/v/status"), "merge-patch", taken).await.is(200);
    let shown = cells(&server, VOLUMES).await;
    assert_eq!(&shown[1..5], ["1Gi", "RWO,ROX", "Retain", "Released"]);
    assert_eq!(shown[8], "Gone");
}

#[tokio::test]
async fn classes_and_drivers_are_kept() {
    let server = Server::new().await;
    let classes = format!("{STORAGE}/storageclasses");
    let class = json!({
        "metadata": {
            "name": "fast",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "example.com/fast",
    });
    let made = server.post(&classes, class).await.is(201);
    assert_eq!(
        (&made["reclaimPolicy"], &made["volumeBindingMode"]),
        (&json!("Delete"), &json!("Immediate"))
    );
    let shown = cells(&server, &classes).await;
    assert_eq!(
        &shown[..5],
        [
            json!("fast (default)"),
            json!("example.com/fast"),
            json!("Delete"),
            json!("Immediate"),
            json!(false)
        ]
    );
    let other = json!({ "provisioner": "b" });
    let message = server.patch(&format!("{classes}/fast"), "merge-patch", other).await;
    let message = message.fails(422, "Invalid");
    assert!(message.ends_with("provisioner: Forbidden: updates to provisioner are forbidden."));

    let drivers = format!("{STORAGE}/csidrivers");
    let made = server
        .post(&drivers, json!({ "metadata": { "name": "d.example.com" }, "spec": {} }))
        .await
        .is(201);
    assert_eq!(made["spec"]["volumeLifecycleModes"], json!(["Persistent"]));
    assert_eq!(made["metadata"]["generation"], 1);
    let mut bare = made.clone();
    bare["metadata"]["resourceVersion"] = json!("");
    let message = server.put(&format!("{drivers}/d.example.com"), &bare).await;
    assert!(message.fails(422, "Invalid").ends_with("must be specified for an update"));

    let attachments = format!("{STORAGE}/volumeattachments");
    let attachment = json!({
        "metadata": { "name": "a" },
        "spec": {
            "attacher": "d.example.com", "nodeName": "n", "source": { "persistentVolumeName": "v" },
        },
        "status": { "attached": true },
    });
    let made = server.post(&attachments, attachment).await.is(201);
    assert_eq!(made["status"]["attached"], false);
    let attached =
        json!({ "metadata": { "labels": { "a": "b" } }, "status": { "attached": true } });
    let path = format!("{attachments}/a/status");
    let made = server.patch(&path, "merge-patch", attached).await.is(200);
    assert_eq!(made["status"]["attached"], true);
    assert!(made["metadata"].get("labels").is_none());
}
