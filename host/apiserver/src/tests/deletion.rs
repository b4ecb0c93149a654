//! Deletion: at once, gracefully, with finalizers, by selection; and namespaces.

use serde_json::{Value, json};

use super::{CONFIGMAPS, PODS, Server};

const NAMESPACES: &str = "/api/v1/namespaces";

#[tokio::test]
async fn objects_go_at_once() {
    let server = Server::new().await;
    let made = server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let status = server.delete(&path).await.is(200);
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Success")));
    let details = json!({ "name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"] });
    assert_eq!(status["details"], details);
    let message = server.delete(&path).await.fails(404, "NotFound");
    assert_eq!(message, "configmaps \"a\" not found");
}

#[tokio::test]
async fn preconditions_hold() {
    let server = Server::new().await;
    let made = server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let other = json!({ "preconditions": { "uid": "other" } });
    let message = server.delete_with(&path, other).await.fails(409, "Conflict");
    assert!(message.contains("the UID in the precondition (other) does not match"), "{message}");
    let stale = json!({ "preconditions": { "resourceVersion": "1" } });
    server.delete_with(&path, stale).await.fails(409, "Conflict");
    let right = json!({ "preconditions": {
        "uid": made["metadata"]["uid"],
        "resourceVersion": made["metadata"]["resourceVersion"],
    } });
    server.delete_with(&path, right).await.is(200);
    for wrong in [
        json!({ "propagationPolicy": "Sideways" }),
        json!({ "propagationPolicy": "Orphan", "orphanDependents": true }),
        json!({ "dryRun": ["Some"] }),
    ] {
        server.delete_with(&path, wrong).await.fails(422, "Invalid");
    }
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let server = Server::new().await;
    let body = json!({ "metadata": { "name": "a", "finalizers": ["example.com/hold"] } });
    server.post(CONFIGMAPS, body).await.is(201);
    let path = format!("{CONFIGMAPS}/a");
    let marked = server.delete(&path).await.is(200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(server.delete(&path).await.is(200), marked);
    let message = server
        .post(CONFIGMAPS, json!({ "metadata": { "name": "a" } }))
        .await
        .fails(409, "AlreadyExists");
    assert_eq!(message, "object is being deleted: configmaps \"a\" already exists");
    let more = json!({ "metadata": { "finalizers": ["example.com/hold", "example.com/more"] } });
    let message = server.patch(&path, "merge-patch", more).await.fails(422, "Invalid");
    assert!(message.contains("no new finalizers can be added"), "{message}");
    server.patch(&path, "merge-patch", json!({ "metadata": { "finalizers": null } })).await.is(200);
    server.get(&path).await.fails(404, "NotFound");
}

#[tokio::test]
async fn propagation_is_left_to_the_collector() {
    let server = Server::new().await;
    for (policy, finalizers) in [
        ("Orphan", json!(["orphan"])),
        ("Foreground", json!(["foregroundDeletion"])),
        ("Background", Value::Null),
    ] {
        server.configmap("a", json!({})).await;
        let path = format!("{CONFIGMAPS}/a");
        let answer =
            server.delete_with(&path, json!({ "propagationPolicy": policy })).await.is(200);
        assert_eq!(answer["metadata"]["finalizers"], finalizers, "{policy}");
        if !finalizers.is_null() {
            let none = json!({ "metadata": { "finalizers": null } });
            server.patch(&path, "merge-patch", none).await.is(200);
        }
    }
}

#[tokio::test]
async fn running_pods_get_their_grace() {
    let server = Server::new().await;
    server.pod("a", Some("n1")).await;
    let path = format!("{PODS}/a");
    let marked = server.delete(&path).await.is(200);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(marked["kind"], "Pod");
    // Longer is not heard, shorter is.
    let again = server.delete_with(&path, json!({ "gracePeriodSeconds": 60 })).await.is(200);
    assert_eq!(again, marked);
    let shorter = server.delete_with(&path, json!({ "gracePeriodSeconds": 5 })).await.is(200);
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    let at = |pod: &Value| -> jiff::Timestamp {
        pod["metadata"]["deletionTimestamp"].as_str().unwrap().parse().unwrap()
    };
    assert_eq!(at(&marked).as_second() - at(&shorter).as_second(), 25);
    server.delete_with(&path, json!({ "gracePeriodSeconds": 0 })).await.is(200);
    server.get(&path).await.fails(404, "NotFound");
}

#[tokio::test]
async fn pods_that_run_nowhere_go_at_once() {
    let server = Server::new().await;
    server.pod("a", None).await;
    server.delete(&format!("{PODS}/a")).await.is(200);
    server.get(&format!("{PODS}/a")).await.fails(404, "NotFound");
}

#[tokio::test]
async fn collections_are_deleted_by_selection() {
    let server = Server::new().await;
    for (name, app) in [("a", "web"), ("b", "db"), ("c", "web")] {
        server.configmap(name, json!({ "app": app })).await;
    }
    let deleted = server.delete(&format!("{CONFIGMAPS}?labelSelector=app%3Dweb")).await.is(200);
    assert_eq!(deleted["items"].as_array().unwrap().len(), 2);
    let left = server.get(CONFIGMAPS).await.is(200);
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    server.delete("/api/v1/configmaps").await.fails(405, "MethodNotAllowed");
}

#[tokio::test]
async fn namespaces_go_when_they_are_empty() {
    let server = Server::new().await;
    let made = server.post(NAMESPACES, json!({ "metadata": { "name": "n" } })).await.is(201);
    assert_eq!(made["status"]["phase"], "Active");
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "n");
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    let path = format!("{NAMESPACES}/n");
    let marked = server.delete(&path).await.is(200);
    assert_eq!(marked["status"]["phase"], "Terminating");
    let body = json!({ "metadata": { "name": "a" } });
    let answer = server.post(&format!("{path}/configmaps"), body).await;
    let message = answer.fails(403, "Forbidden");
    assert_eq!(
        message,
        "configmaps \"a\" is forbidden: unable to create new content in namespace n because it is \
         being terminated"
    );
    let cause = answer.json()["details"]["causes"][0].clone();
    assert_eq!(cause["reason"], "NamespaceTerminating");
    let mut done = marked.clone();
    done["spec"] = json!({});
    server.put(&format!("{path}/finalize"), &done).await.is(200);
    server.get(&path).await.fails(404, "NotFound");
}

#[tokio::test]
async fn some_namespaces_never_go() {
    let server = Server::new().await;
    let message = server.delete(&format!("{NAMESPACES}/default")).await.fails(403, "Forbidden");
    assert_eq!(message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[tokio::test(start_paused = true)]
async fn events_do_not_live_for_ever() {
    let server = Server::new().await;
    let path = "/api/v1/namespaces/default/events";
    let event = |name: &str| {
        json!({
            "metadata": { "name": name },
            "involvedObject": { "kind": "Pod", "name": "p", "namespace": "default" },
            "reason": "Tested",
            "type": "Normal",
        })
    };
    server.post(path, event("old")).await.is(201);
    let api = server.api.clone();
    let chores = tokio::spawn(async move { api.run().await });
    let minutes = |n: u64| tokio::time::sleep(std::time::Duration::from_secs(n * 60));
    minutes(40).await;
    server.post(path, event("young")).await.is(201);
    minutes(25).await;
    server.get(&format!("{path}/old")).await.fails(404, "NotFound");
    server.get(&format!("{path}/young")).await.is(200);
    server.api.begin_shutdown();
    chores.await.unwrap();
}
