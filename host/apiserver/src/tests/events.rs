//! Events in their older and their newer form.

use serde_json::{Value, json};

use super::Server;

const OLDER: &str = "/api/v1/namespaces/default/events";
const NEWER: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

fn event(change: Value) -> Value {
    let mut event = json!({
        "metadata": { "name": "e" },
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "type": "Normal",
        "reason": "Tested",
        "action": "Testing",
        "note": "hello",
        "reportingController": "example.com/test",
        "reportingInstance": "test-1",
        "regarding": { "kind": "Pod", "namespace": "default", "name": "p" },
    });
    json_patch::merge(&mut event, &change);
    event
}

#[tokio::test]
async fn events_have_two_forms() {
    let server = Server::new().await;
    let made = server.post(NEWER, event(json!({}))).await.is(201);
    assert_eq!((&made["apiVersion"], &made["note"]), (&json!("events.k8s.io/v1"), &json!("hello")));
    let older = server.get(&format!("{OLDER}/e")).await.is(200);
    assert_eq!((&older["apiVersion"], &older["message"]), (&json!("v1"), &json!("hello")));
    assert_eq!(older["involvedObject"], made["regarding"]);
    assert_eq!(older["reportingComponent"], "example.com/test");
    let list = server.get(&format!("{NEWER}?fieldSelector=regarding.name%3Dp")).await.is(200);
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("EventList"), 1));
    let list = server.get(&format!("{NEWER}?fieldSelector=regarding.name%3Dq")).await.is(200);
    assert_eq!(list["items"], json!([]));
    server.get(&format!("{NEWER}?fieldSelector=involvedObject.name%3Dq")).await.is(400);

    let series =
        json!({ "series": { "count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z" } });
    server.patch(&format!("{NEWER}/e"), "merge-patch", series).await.is(200);
    let other = json!({ "reason": "Other" });
    let message = server.patch(&format!("{NEWER}/e"), "merge-patch", other.clone()).await;
    let message = message.fails(422, "Invalid");
    assert!(message.ends_with("reason: Invalid value: \"Other\": field is immutable"), "{message}");
    // The older form has no such rule.
    server.patch(&format!("{OLDER}/e"), "merge-patch", other).await.is(200);
}

#[tokio::test]
async fn newer_events_say_all_that_they_must() {
    let server = Server::new().await;
    for (change, expected) in [
        (json!({ "eventTime": null }), "eventTime: Required value"),
        (json!({ "type": "Odd" }), "type: Invalid value: \"\": has invalid value: Odd"),
        (json!({ "deprecatedCount": 3 }), "count: Invalid value: \"\": needs to be unset"),
        (
            json!({ "series": { "count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z" } }),
            "series.count: Invalid value: \"\": should be at least 2",
        ),
    ] {
        let message = server.post(NEWER, event(change)).await.fails(422, "Invalid");
        assert_eq!(message, format!("Event.events.k8s.io \"e\" is invalid: {expected}"));
    }
}
