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
    server.furnish("n").await;
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

#[tokio::test]
async fn limit_ranges_fill_gaps_and_bound() {
    let server = Server::new().await;
    let range = json!({ "metadata": { "name": "r" }, "spec": { "limits": [{
        "type": "Container", "max": { "cpu": "2" }, "defaultRequest": { "cpu": "500m" },
    }] } });
    server.post("/api/v1/namespaces/default/limitranges", range).await.is(201);
    let made = server.post(super::PODS, pod("p")).await.is(201);
    let resources = json!({ "requests": { "cpu": "500m" }, "limits": { "cpu": "2" } });
    assert_eq!(made["spec"]["containers"][0]["resources"], resources);
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let mut greedy = pod("q");
    greedy["spec"]["containers"][0]["resources"] = json!({ "limits": { "cpu": "3" } });
    assert_eq!(
        server.post(super::PODS, greedy).await.fails(403, "Forbidden"),
        "pods \"q\" is forbidden: maximum cpu usage per Container is 2, but limit is 3"
    );
}

#[tokio::test]
async fn budgets_are_asked_before_an_eviction() {
    let server = Server::new().await;
    let mut running = pod("p");
    running["metadata"]["labels"] = json!({ "app": "web" });
    server.post(super::PODS, running).await.is(201);
    let status = json!({ "status": {
        "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
    } });
    let path = format!("{}/p", super::PODS);
    server.patch(&format!("{path}/status"), "merge-patch", status).await.is(200);
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = |name: &str| {
        json!({ "metadata": { "name": name }, "spec": {
            "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } },
        } })
    };
    server.post(budgets, budget("b")).await.is(201);
    let evict =
        json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "p" } });
    let evict = async || server.post(&format!("{path}/eviction"), evict.clone()).await;
    let behind = evict().await;
    behind.fails(429, "TooManyRequests");
    assert_eq!(behind.headers["retry-after"], "10");
    let allow = |allowed: i32| {
        json!({ "status": {
            "observedGeneration": 1, "disruptionsAllowed": allowed,
            "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1,
        } })
    };
    let settle = async |allowed: i32| {
        let path = format!("{budgets}/b/status");
        server.patch(&path, "merge-patch", allow(allowed)).await.is(200);
    };
    settle(0).await;
    let spent = evict().await;
    let message = spent.fails(429, "TooManyRequests");
    assert_eq!(message, "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_eq!(
        spent.json()["details"]["causes"],
        json!([{
            "reason": "DisruptionBudget",
            "message": "The disruption budget b needs 1 healthy pods and has 1 currently",
        }])
    );
    server.post(budgets, budget("c")).await.is(201);
    let two = evict().await;
    assert_eq!(two.status, 500);
    assert!(two.text().contains("more than one PodDisruptionBudget"), "{two:?}");
    server.delete(&format!("{budgets}/c")).await.is(200);
    settle(1).await;
    evict().await.is(201);
    let left = server.get(&format!("{budgets}/b")).await.is(200);
    assert_eq!(left["status"]["disruptionsAllowed"], 0);
    assert!(left["status"]["disruptedPods"]["p"].is_string(), "{left}");
}
