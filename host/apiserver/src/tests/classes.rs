//! What pods name to be treated in a certain way.

use serde_json::{Value, json};

use super::{PODS, Server};

const PRIORITIES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
const RUNTIMES: &str = "/apis/node.k8s.io/v1/runtimeclasses";

fn pod(name: &str, spec: Value) -> Value {
    let mut whole = json!({ "containers": [{ "name": "main", "image": "hello:v1" }] });
    json_patch::merge(&mut whole, &spec);
    json!({ "metadata": { "name": name }, "spec": whole })
}

#[tokio::test]
async fn priorities_come_from_classes() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    // Once more changes nothing.
    server.api.bootstrap().await.unwrap();
    let system = server.get(&format!("{PRIORITIES}/system-node-critical")).await.is(200);
    assert_eq!(system["value"], 2_000_001_000);
    let class = |name: &str, value: i32, default: bool| {
        json!({ "metadata": { "name": name }, "value": value, "globalDefault": default,
            "preemptionPolicy": "Never" })
    };
    server.post(PRIORITIES, class("low", -5, true)).await.is(201);
    server.post(PRIORITIES, class("high", 100, false)).await.is(201);
    let message = server.post(PRIORITIES, class("other", 1, true)).await.fails(403, "Forbidden");
    assert_eq!(
        message,
        "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass low is already \
         marked as default. Only one default can exist"
    );
    let message =
        server.post(PRIORITIES, class("system-mine", 1, false)).await.fails(422, "Invalid");
    assert!(message.contains("are reserved for system use only"), "{message}");
    let other = json!({ "value": 7 });
    let path = format!("{PRIORITIES}/high");
    let message = server.patch(&path, "merge-patch", other).await.fails(422, "Invalid");
    assert!(message.ends_with("value: Forbidden: may not be changed in an update."), "{message}");

    let made = server.post(PODS, pod("a", json!({}))).await.is(201);
    assert_eq!(made["spec"]["priorityClassName"], "low");
    assert_eq!(made["spec"]["priority"], -5);
    assert_eq!(made["spec"]["preemptionPolicy"], "Never");
    let made = server.post(PODS, pod("b", json!({ "priorityClassName": "high" }))).await.is(201);
    assert_eq!(made["spec"]["priority"], 100);
    let critical = json!({ "priorityClassName": "system-cluster-critical" });
    let made = server.post(PODS, pod("c", critical)).await.is(201);
    assert_eq!(made["spec"]["priority"], 2_000_000_000);
    assert_eq!(made["spec"]["preemptionPolicy"], "PreemptLowerPriority");
    let wrong = json!({ "priorityClassName": "high", "priority": 3 });
    let message = server.post(PODS, pod("d", wrong)).await.fails(403, "Forbidden");
    assert!(
        message.contains("the integer value of priority (3) must not be provided"),
        "{message}"
    );
}

#[tokio::test]
async fn runtimes_cost_and_place() {
    let server = Server::new().await;
    let class = json!({
        "metadata": { "name": "heavy" },
        "handler": "wasm",
        "overhead": { "podFixed": { "memory": "1024Mi" } },
        "scheduling": {
            "nodeSelector": { "kind": "big" },
            "tolerations": [{ "key": "big", "operator": "Exists" }],
        },
    });
    server.post(RUNTIMES, class).await.is(201);
    let made = server.post(PODS, pod("a", json!({ "runtimeClassName": "heavy" }))).await.is(201);
    assert_eq!(made["spec"]["overhead"], json!({ "memory": "1Gi" }));
    assert_eq!(made["spec"]["nodeSelector"], json!({ "kind": "big" }));
    assert_eq!(made["spec"]["tolerations"].as_array().unwrap().len(), 3);
    for (spec, why) in [
        (json!({ "runtimeClassName": "none" }), "pod rejected: RuntimeClass \"none\" not found"),
        (
            json!({ "runtimeClassName": "heavy", "nodeSelector": { "kind": "small" } }),
            "conflict: runtimeClass.scheduling.nodeSelector[kind] = big; pod.spec.nodeSelector[kind] = small",
        ),
        (
            json!({ "overhead": { "cpu": "1" } }),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
    ] {
        let message = server.post(PODS, pod("b", spec)).await.fails(403, "Forbidden");
        assert_eq!(message, format!("pods \"b\" is forbidden: {why}"));
    }
}
