//! Create, get, update and patch, and what they refuse.

use http::Method;
use serde_json::{Value, json};

use super::{CONFIGMAPS, Server, version};

#[tokio::test]
async fn an_object_is_stored_and_completed() {
    let server = Server::new().await;
    let created = server.configmap("a", json!({})).await;
    let meta = &created["metadata"];
    assert_eq!((&created["kind"], &created["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
    assert_eq!(meta["namespace"], "default");
    assert_eq!(meta["uid"].as_str().unwrap().len(), 36);
    assert!(meta["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert!(!meta["creationTimestamp"].as_str().unwrap().contains('.'));
    let read = server.get(&format!("{CONFIGMAPS}/a")).await.is(200);
    assert_eq!(read, created);
}

#[tokio::test]
async fn what_cannot_be_created_is_refused_as_kubernetes_words_it() {
    let server = Server::new().await;
    server.configmap("taken", json!({})).await;
    let named = |name: &str| json!({ "metadata": { "name": name } });
    let dry = format!("{CONFIGMAPS}?dryRun=Some");
    let cases = [
        (CONFIGMAPS, named("taken"), 409, "AlreadyExists", "configmaps \"taken\" already exists"),
        (
            CONFIGMAPS,
            named("No_DNS"),
            422,
            "Invalid",
            "ConfigMap \"No_DNS\" is invalid: metadata.name: Invalid value: \"No_DNS\": a lowercase RFC 1123 subdomain must consist of",
        ),
        (
            CONFIGMAPS,
            json!({}),
            422,
            "Invalid",
            "metadata.name: Required value: name or generateName is required",
        ),
        (
            "/api/v1/namespaces/missing/configmaps",
            named("a"),
            404,
            "NotFound",
            "namespaces \"missing\" not found",
        ),
        (
            CONFIGMAPS,
            json!({ "metadata": { "name": "a", "namespace": "other" } }),
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            CONFIGMAPS,
            json!({ "metadata": { "name": "a" }, "data": 5 }),
            400,
            "BadRequest",
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal \
             number into Go struct field ConfigMap.data of type map[string]string",
        ),
        (
            CONFIGMAPS,
            json!({ "apiVersion": "v2", "metadata": { "name": "a" } }),
            400,
            "BadRequest",
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            CONFIGMAPS,
            json!({ "kind": "Secret", "metadata": { "name": "a" } }),
            400,
            "BadRequest",
            "Secret in version \"v1\" cannot be handled as a ConfigMap",
        ),
        (
            "/api/v1/configmaps",
            named("a"),
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        (
            "/api/v1/namespaces/default/nothings",
            named("a"),
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            dry.as_str(),
            named("a"),
            422,
            "Invalid",
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\"",
        ),
    ];
    for (path, body, status, reason, message) in cases {
        let found = server.post(path, body.clone()).await.fails(status, reason);
        assert!(found.contains(message), "{body}: {found}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_objects_are_refused() {
    let server = Server::new().await;
    let large = format!("{{\"data\":{{\"a\":\"{}\"}}}}", "x".repeat(3 << 20));
    let stored = format!(
        "{{\"metadata\":{{\"name\":\"big\"}},\"data\":{{\"a\":\"{}\"}}}}",
        "x".repeat(2 << 20)
    );
    for (media, body, status, reason) in [
        ("application/json", "{\"metadata\":", 400, "BadRequest"),
        ("application/json", "", 400, "BadRequest"),
        ("application/json", "[]", 400, "BadRequest"),
        ("application/yaml", "a: [", 400, "BadRequest"),
        ("application/cbor", "", 415, "UnsupportedMediaType"),
        ("application/vnd.kubernetes.protobuf", "k8s\0", 400, "BadRequest"),
        ("application/json", &large, 413, "RequestEntityTooLarge"),
    ] {
        let answer = server.body(Method::POST, CONFIGMAPS, media, body.to_owned()).await;
        answer.fails(status, reason);
    }
    let answer = server.body(Method::POST, CONFIGMAPS, "application/json", stored).await;
    assert!(matches!(answer.status.as_u16(), 413 | 422), "{answer:?}");
}

#[tokio::test]
async fn yaml_is_read() {
    let server = Server::new().await;
    let yaml = "metadata:\n  name: y\ndata:\n  a: one\n".to_owned();
    let answer = server.body(Method::POST, CONFIGMAPS, "application/yaml", yaml).await;
    assert_eq!(answer.is(201)["data"]["a"], "one");
}

#[tokio::test]
async fn names_are_generated() {
    let server = Server::new().await;
    let body = json!({ "metadata": { "generateName": "web-" } });
    let created = server.post(CONFIGMAPS, body).await.is(201);
    let name = created["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    let body = json!({ "metadata": { "generateName": "x".repeat(80) } });
    let created = server.post(CONFIGMAPS, body).await.is(201);
    assert_eq!(created["metadata"]["name"].as_str().unwrap().len(), 63);
    // Selectors name namespaces by a label, whoever named them.
    let body = json!({ "metadata": { "generateName": "team-" } });
    let created = server.post("/api/v1/namespaces", body).await.is(201);
    let labels = &created["metadata"]["labels"];
    assert_eq!(labels["kubernetes.io/metadata.name"], created["metadata"]["name"]);
}

#[tokio::test]
async fn fields_are_checked_as_strictly_as_asked() {
    let server = Server::new().await;
    let body = |name: &str| json!({ "metadata": { "name": name }, "nonsense": 1 });
    let message = server
        .post(&format!("{CONFIGMAPS}?fieldValidation=Strict"), body("a"))
        .await
        .fails(400, "BadRequest");
    assert_eq!(
        message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: \
         unknown field \"nonsense\""
    );
    let warned = server.post(CONFIGMAPS, body("b")).await;
    assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"nonsense\\\"\"");
    let ignored = server.post(&format!("{CONFIGMAPS}?fieldValidation=Ignore"), body("c")).await;
    ignored.is(201);
    assert!(!ignored.headers.contains_key("warning"));
    let twice = "metadata: {name: d}\ndata:\n  a: b\n  a: c\n".to_owned();
    let path = format!("{CONFIGMAPS}?fieldValidation=Strict");
    let refused = server.body(Method::POST, &path, "application/yaml", twice.clone()).await;
    let message = refused.fails(400, "BadRequest");
    assert!(message.ends_with("duplicate field \"data.a\""), "{message}");
    let warned = server.body(Method::POST, CONFIGMAPS, "application/yaml", twice).await;
    assert_eq!(warned.headers["warning"], "299 - \"duplicate field \\\"data.a\\\"\"");
    assert_eq!(warned.is(201)["data"], json!({ "a": "c" }));
}

#[tokio::test]
async fn dry_runs_write_nothing() {
    let server = Server::new().await;
    let body = json!({ "metadata": { "name": "dry" } });
    let created = server.post(&format!("{CONFIGMAPS}?dryRun=All"), body).await.is(201);
    assert!(created["metadata"]["uid"].is_string());
    server.get(&format!("{CONFIGMAPS}/dry")).await.fails(404, "NotFound");
    let mut kept = server.configmap("kept", json!({})).await;
    let before = kept.clone();
    kept["data"] = json!({ "b": "2" });
    let path = format!("{CONFIGMAPS}/kept?dryRun=All");
    assert_eq!(server.put(&path, &kept).await.is(200)["data"], json!({ "b": "2" }));
    server.delete(&path).await.is(200);
    assert_eq!(server.get(&format!("{CONFIGMAPS}/kept")).await.is(200), before);
}

#[tokio::test]
async fn updates_build_on_the_version_they_name() {
    let server = Server::new().await;
    let first = server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let mut new = first.clone();
    new["data"] = json!({ "b": "2" });
    new["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    let second = server.put(&path, &new).await.is(200);
    assert!(version(&second) > version(&first));
    assert_eq!(second["metadata"]["creationTimestamp"], first["metadata"]["creationTimestamp"]);
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(
        server.put(&path, &new).await.fails(409, "Conflict"),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please \
         apply your changes to the latest version and try again"
    );
    // Without a version it holds for whatever is there; without a change nothing is written.
    new["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    // The owners of fields that the first state had are not those of the second.
    new["metadata"].as_object_mut().unwrap().remove("managedFields");
    let same = server.put(&path, &new).await.is(200);
    assert_eq!(version(&same), version(&second));
    new["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    let message = server.put(&path, &new).await.fails(409, "Conflict");
    assert!(message.contains("Precondition failed: UID in precondition"), "{message}");
}

#[tokio::test]
async fn updates_speak_of_the_object_of_their_path() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let put = |body: Value| {
        let server = &server;
        let path = &path;
        async move { server.put(path, &body).await.fails(400, "BadRequest") }
    };
    assert_eq!(
        put(json!({ "metadata": { "name": "b" } })).await,
        "the name of the object (b) does not match the name on the URL (a)"
    );
    assert_eq!(
        put(json!({ "metadata": { "name": "a", "namespace": "b" } })).await,
        "the namespace of the object (b) does not match the namespace on the request (default)"
    );
    let missing = json!({ "metadata": { "name": "x" } });
    let message = server.put(&format!("{CONFIGMAPS}/x"), &missing).await.fails(404, "NotFound");
    assert_eq!(message, "configmaps \"x\" not found");
}

#[tokio::test]
async fn leases_need_a_version_and_are_created_by_updates() {
    let server = Server::new().await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let lease = json!({ "metadata": { "name": "l" }, "spec": { "holderIdentity": "me" } });
    let created = server.put(path, &lease).await.is(201);
    let message = server.put(path, &lease).await.fails(422, "Invalid");
    assert!(message.contains("metadata.resourceVersion"), "{message}");
    assert!(message.contains("must be specified for an update"), "{message}");
    server.put(path, &created).await.is(200);
}

#[tokio::test]
async fn patches_change_what_they_name() {
    let server = Server::new().await;
    server.configmap("a", json!({ "x": "1" })).await;
    let path = format!("{CONFIGMAPS}/a");
    let cases = [
        ("merge-patch", json!({ "data": { "b": "2", "a": null } }), json!({ "b": "2" })),
        ("strategic-merge-patch", json!({ "data": { "c": "3" } }), json!({ "b": "2", "c": "3" })),
        ("json-patch", json!([{ "op": "remove", "path": "/data/b" }]), json!({ "c": "3" })),
    ];
    for (kind, patch, data) in cases {
        assert_eq!(server.patch(&path, kind, patch).await.is(200)["data"], data, "{kind}");
    }
    let before = server.get(&path).await.is(200);
    let same = server.patch(&path, "merge-patch", json!({ "data": { "c": "3" } })).await.is(200);
    assert_eq!(same, before);
}

#[tokio::test]
async fn patches_that_do_not_fit_are_refused() {
    let server = Server::new().await;
    let first = server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let stale = json!({ "metadata": { "resourceVersion": "1" }, "data": { "b": "2" } });
    assert_ne!(version(&first), 1);
    server.patch(&path, "merge-patch", stale).await.fails(409, "Conflict");
    let test = json!([{ "op": "test", "path": "/data/a", "value": "other" }]);
    let answer = server.patch(&path, "json-patch", test).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    let answer = server.patch(&path, "apply-patch", json!({})).await;
    let message = answer.fails(415, "UnsupportedMediaType");
    assert!(message.contains("application/strategic-merge-patch+json"), "{message}");
    let strict = format!("{path}?fieldValidation=Strict");
    let answer = server.patch(&strict, "merge-patch", json!({ "nonsense": 1 })).await;
    let message = answer.fails(422, "Invalid");
    assert!(message.contains("strict decoding error: unknown field \"nonsense\""), "{message}");
    let missing = format!("{CONFIGMAPS}/x");
    server.patch(&missing, "merge-patch", json!({})).await.fails(404, "NotFound");
}

#[tokio::test]
async fn many_patches_at_once_all_arrive() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let patches = (0..8).map(|n| {
        let key = format!("k{n}");
        server.patch(&path, "merge-patch", json!({ "data": { key: "v" } }))
    });
    for answer in futures::future::join_all(patches).await {
        answer.is(200);
    }
    let data = server.get(&path).await.is(200)["data"].clone();
    assert_eq!(data.as_object().unwrap().len(), 9);
}
