//! What writes are checked for whatever their kind.

use serde_json::{Value, json};

use super::{Answer, Server};

fn warnings(answer: &Answer) -> Vec<String> {
    answer.headers.get_all("warning").iter().map(|v| v.to_str().unwrap().to_owned()).collect()
}

fn pod(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "c", "image": "i" }] } })
}

#[tokio::test]
async fn namespaces_decide_what_pods_may_do() {
    let server = Server::new().await;
    let namespace = |labels: Value| json!({ "metadata": { "name": "n", "labels": labels } });
    let wrong = json!({ "pod-security.kubernetes.io/enforce": "strict" });
    let message = server.post("/api/v1/namespaces", namespace(wrong)).await.fails(422, "Invalid");
    assert_eq!(
        message,
        "Namespace \"n\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: \
         Invalid value: \"strict\": must be one of privileged, baseline, restricted"
    );
    server.post("/api/v1/namespaces", namespace(json!({}))).await.is(201);
    let pods = "/api/v1/namespaces/n/pods";
    for name in ["a", "b"] {
        server.post(pods, pod(name)).await.is(201);
    }
    let label =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    let stricter = server.patch("/api/v1/namespaces/n", "merge-patch", label).await;
    stricter.is(200);
    let expected = [
        "299 - \"existing pods in namespace \\\"n\\\" violate the new PodSecurity enforce level \\\"restricted:latest\\\"\"",
        "299 - \"a (and 1 other pod): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile\"",
    ];
    assert_eq!(warnings(&stricter), expected);
    let message = server.post(pods, pod("c")).await.fails(403, "Forbidden");
    let begin = "pods \"c\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set";
    assert!(message.starts_with(begin), "{message}");
    let deployment = json!({
        "metadata": { "name": "d" },
        "spec": {
            "selector": { "matchLabels": { "a": "b" } },
            "template": { "metadata": { "labels": { "a": "b" } }, "spec": pod("c")["spec"] },
        },
    });
    let warned = server.post("/apis/apps/v1/namespaces/n/deployments", deployment).await;
    warned.is(201);
    let begin =
        "299 - \"would violate PodSecurity \\\"restricted:latest\\\": allowPrivilegeEscalation";
    assert!(warnings(&warned)[0].starts_with(begin), "{warned:?}");
    // What is there stays, and may change in what the standards do not look at.
    let label = json!({ "metadata": { "labels": { "x": "y" } } });
    server.patch(&format!("{pods}/a"), "merge-patch", label).await.is(200);
    let image = json!({ "spec": { "containers": [{ "name": "c", "image": "other" }] } });
    server
        .patch(&format!("{pods}/a"), "strategic-merge-patch", image)
        .await
        .fails(403, "Forbidden");
}
