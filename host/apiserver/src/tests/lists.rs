//! Lists: selectors, pages, versions.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coracle_store::{MemoryStore, Options};
use serde_json::{Value, json};

use super::{CONFIGMAPS, PODS, Server, version};
use crate::Config;

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
    let message = server.get(&format!("{CONFIGMAPS}?resourceVersion=x")).await;
    assert_eq!(
        message.fails(400, "BadRequest"),
        "invalid resource version: resourceVersion: Invalid value: \"x\": strconv.ParseUint: \
         parsing \"x\": invalid syntax"
    );
}

/// The combinations of options that are refused, with what is said of each.
#[tokio::test]
async fn options_that_contradict_each_other_are_refused() {
    const UNLESS: &str = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is \
                          provided";
    const CONTINUED: &str =
        "Forbidden: resourceVersionMatch is forbidden when continue is provided";
    const REQUIRES: &str = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                            NotOlderThan";
    let server = filled().await;
    for (query, expected) in [
        ("resourceVersionMatch=Exact", vec![UNLESS]),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            vec![
                "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ],
        ),
        (
            "resourceVersion=1&resourceVersionMatch=Any",
            vec!["Unsupported value: \"Any\": supported values: \"Exact\", \"NotOlderThan\", \"\""],
        ),
        ("resourceVersion=1&resourceVersionMatch=NotOlderThan&continue=x", vec![CONTINUED]),
        ("resourceVersionMatch=NotOlderThan&continue=x", vec![UNLESS, CONTINUED]),
        ("sendInitialEvents=false", vec!["Forbidden: sendInitialEvents is forbidden for list"]),
        ("watch=1&sendInitialEvents=true", vec![REQUIRES]),
        ("watch=1&sendInitialEvents=false", vec![REQUIRES]),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact",
            vec![REQUIRES, "Unsupported value: \"Exact\": supported values: \"NotOlderThan\""],
        ),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            vec![
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents \
                 is provided",
            ],
        ),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x",
            vec![CONTINUED],
        ),
    ] {
        let answer = server.get(&format!("{CONFIGMAPS}?{query}")).await;
        let message = answer.fails(422, "Invalid");
        assert!(message.starts_with("ListOptions.meta.k8s.io \"\" is invalid: "), "{message}");
        let causes = answer.json()["details"]["causes"].clone();
        let causes: Vec<_> =
            causes.as_array().unwrap().iter().map(|cause| cause["message"].clone()).collect();
        assert_eq!(causes, expected, "{query}");
    }
    for (query, expected) in [
        ("limit=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("timeoutSeconds=1.5", "strconv.ParseInt: parsing \"1.5\": invalid syntax"),
        (
            "continue=x&resourceVersion=5",
            "specifying resource version is not allowed when using continue",
        ),
    ] {
        let answer = server.get(&format!("{CONFIGMAPS}?{query}")).await;
        assert_eq!(answer.fails(400, "BadRequest"), expected, "{query}");
    }
}

#[tokio::test]
async fn tokens_that_nobody_made_are_refused() {
    let server = filled().await;
    for (token, expected) in [
        (json!("x"), "continue key is not valid: "),
        (
            json!({ "v": "v9", "rv": 1, "start": "a" }),
            "continue key is not valid: server does not recognize this encoded version v9",
        ),
        (
            json!({ "v": "meta.k8s.io/v1", "rv": 0, "start": "a" }),
            "continue key is not valid: incorrect encoded start resourceVersion (version \
             meta.k8s.io/v1)",
        ),
        (
            json!({ "v": "meta.k8s.io/v1", "rv": 1, "start": "" }),
            "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)",
        ),
        (
            json!({ "v": "meta.k8s.io/v1", "rv": 1, "start": "../secrets/a" }),
            "continue key is not valid: ../secrets/a",
        ),
    ] {
        let token = URL_SAFE_NO_PAD.encode(token.to_string());
        let answer = server.get(&format!("{CONFIGMAPS}?continue={token}")).await;
        let message = answer.fails(400, "BadRequest");
        let expected = format!("invalid continue token: {expected}");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[tokio::test]
async fn a_list_goes_on_although_its_first_state_is_forgotten() {
    let options = Options { history_events: 4, ..Options::default() };
    let server = Server::over(Config::default(), MemoryStore::with(options)).await;
    for name in ["a", "b", "c", "d"] {
        server.configmap(name, json!({})).await;
    }
    let first = server.get(&format!("{CONFIGMAPS}?limit=1")).await.is(200);
    let old = version(&first);
    for name in ["bb", "e", "f", "g", "h"] {
        server.configmap(name, json!({})).await;
    }
    let token = first["metadata"]["continue"].as_str().unwrap();
    let answer = server.get(&format!("{CONFIGMAPS}?limit=2&continue={token}")).await;
    let message = answer.fails(410, "Expired");
    assert!(
        message.starts_with("The provided continue parameter is too old to display"),
        "{message}"
    );
    let token = answer.json()["metadata"]["continue"].as_str().unwrap().to_owned();
    let rest = server.get(&format!("{CONFIGMAPS}?limit=2&continue={token}")).await.is(200);
    assert_eq!(names(&rest), ["b", "bb"]);
    let token = rest["metadata"]["continue"].as_str().unwrap();
    let rest = server.get(&format!("{CONFIGMAPS}?continue={token}")).await.is(200);
    assert_eq!(names(&rest), ["c", "d", "e", "f", "g", "h"]);
    let exact = format!("{CONFIGMAPS}?resourceVersion={old}&resourceVersionMatch=Exact");
    let message = server.get(&exact).await.fails(410, "Expired");
    assert_eq!(message, "The resourceVersion for the provided list is too old.");
    // A watch has begun before it can be told.
    let watch = server.get(&format!("{CONFIGMAPS}?watch=1&resourceVersion={old}")).await.is(200);
    assert_eq!((&watch["type"], &watch["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(watch["object"]["reason"], "Expired");
    let message = watch["object"]["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("too old resource version: {old} (")), "{message}");
}

#[tokio::test]
async fn a_selected_namespace_narrows_a_list() {
    let server = filled().await;
    server.post("/api/v1/namespaces", json!({ "metadata": { "name": "other" } })).await.is(201);
    let body = json!({ "metadata": { "name": "a" } });
    server.post("/api/v1/namespaces/other/configmaps", body).await.is(201);
    let path = "/api/v1/configmaps?fieldSelector=metadata.namespace%3Dother";
    assert_eq!(names(&server.get(path).await.is(200)), ["a"]);
    let first = server.get(&format!("{path}&limit=1")).await.is(200);
    assert!(first["metadata"].get("continue").is_none());
    let path = format!("{CONFIGMAPS}?fieldSelector=metadata.namespace%3Dother");
    assert_eq!(names(&server.get(&path).await.is(200)), Vec::<&str>::new());
}
