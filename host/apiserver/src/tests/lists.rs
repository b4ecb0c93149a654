//! Lists: selectors, pages, versions.

use serde_json::{Value, json};

use super::{CONFIGMAPS, PODS, Server, version};

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

async fn filled() -> Server {
    let server = Server::new().await;
    for (name, app) in [("a", "web"), ("b", "db"), ("c", "web"), ("d", "web"), ("e", "db")] {
        server.configmap(name, json!({ "app": app })).await;
    }
    server
}

#[tokio::test]
async fn selectors_choose() {
    let server = filled().await;
    for (query, expected) in [
        ("", vec!["a", "b", "c", "d", "e"]),
        ("labelSelector=app%3Dweb", vec!["a", "c", "d"]),
        ("labelSelector=app%20notin%20(web)", vec!["b", "e"]),
        ("fieldSelector=metadata.name%3Dc", vec!["c"]),
        ("fieldSelector=metadata.name!%3Dc,metadata.namespace%3Ddefault", vec!["a", "b", "d", "e"]),
        ("labelSelector=app%3Dweb&fieldSelector=metadata.name%3Db", vec![]),
    ] {
        let list = server.get(&format!("{CONFIGMAPS}?{query}")).await.is(200);
        assert_eq!(names(&list), expected, "{query}");
        assert_eq!(list["kind"], "ConfigMapList");
    }
    let everywhere = server.get("/api/v1/configmaps?labelSelector=app%3Ddb").await.is(200);
    assert_eq!(names(&everywhere), ["b", "e"]);
    let message = server
        .get(&format!("{CONFIGMAPS}?fieldSelector=spec.foo%3Dx"))
        .await
        .fails(400, "BadRequest");
    assert_eq!(message, "field label not supported: spec.foo");
    server.get(&format!("{CONFIGMAPS}?labelSelector=a%20b")).await.fails(400, "BadRequest");
}

#[tokio::test]
async fn pods_are_selected_by_their_node() {
    let server = Server::new().await;
    server.pod("a", Some("n1")).await;
    server.pod("b", Some("n2")).await;
    server.pod("c", None).await;
    let list = server.get(&format!("{PODS}?fieldSelector=spec.nodeName%3Dn2")).await.is(200);
    assert_eq!(names(&list), ["b"]);
    let list = server.get(&format!("{PODS}?fieldSelector=spec.nodeName%3D")).await.is(200);
    assert_eq!(names(&list), ["c"]);
}

#[tokio::test]
async fn pages_show_one_state() {
    let server = filled().await;
    let first = server.get(&format!("{CONFIGMAPS}?limit=2")).await.is(200);
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    server.configmap("bb", json!({})).await;
    server.delete(&format!("{CONFIGMAPS}/d")).await.is(200);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    let second = server.get(&format!("{CONFIGMAPS}?limit=2&continue={token}")).await.is(200);
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(version(&second), version(&first));
    let token = second["metadata"]["continue"].as_str().unwrap();
    let last = server.get(&format!("{CONFIGMAPS}?limit=2&continue={token}")).await.is(200);
    assert_eq!(names(&last), ["e"]);
    assert!(last["metadata"].get("continue").is_none());
    server.get(&format!("{CONFIGMAPS}?continue=nonsense")).await.fails(400, "BadRequest");
}

#[tokio::test]
async fn pages_of_a_selection_are_full() {
    let server = filled().await;
    let query = "labelSelector=app%3Dweb&limit=2";
    let first = server.get(&format!("{CONFIGMAPS}?{query}")).await.is(200);
    assert_eq!(names(&first), ["a", "c"]);
    assert!(first["metadata"].get("remainingItemCount").is_none());
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = server.get(&format!("{CONFIGMAPS}?{query}&continue={token}")).await.is(200);
    assert_eq!(names(&second), ["d"]);
}

#[tokio::test]
async fn versions_are_honoured() {
    let server = filled().await;
    let now = version(&server.get(CONFIGMAPS).await.is(200));
    server.configmap("f", json!({})).await;
    let exact = "resourceVersionMatch=Exact";
    let old = server.get(&format!("{CONFIGMAPS}?resourceVersion={now}&{exact}")).await.is(200);
    assert_eq!(names(&old).len(), 5);
    let newer = server.get(&format!("{CONFIGMAPS}?resourceVersion={now}")).await.is(200);
    assert_eq!(names(&newer).len(), 6);
    let future = format!("{CONFIGMAPS}?resourceVersion={}", now + 1000);
    let answer = server.get(&future).await;
    let message = answer.fails(504, "Timeout");
    assert!(message.contains("Too large resource version"), "{message}");
    assert_eq!(answer.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Any",
    ] {
        server.get(&format!("{CONFIGMAPS}?{query}")).await.fails(422, "Invalid");
    }
    server.get(&format!("{CONFIGMAPS}?resourceVersion=x")).await.fails(400, "BadRequest");
}
