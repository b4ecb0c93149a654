//! Server-side apply, rule by rule.

use axum::body::Body;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::owners::owners;
use super::{Answer, CONFIGMAPS, Server, version};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

impl Server {
    async fn apply(&self, path: &str, query: &str, config: &Value) -> Answer {
        self.apply_text(&format!("{path}?{query}"), config.to_string()).await
    }

    async fn apply_text(&self, path: &str, config: String) -> Answer {
        self.body(Method::PATCH, path, "application/apply-patch+yaml", config).await
    }
}

fn configmap(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

fn deployment(spec: Value) -> Value {
    let mut whole = json!({
        "selector": { "matchLabels": { "app": "x" } },
        "template": {
            "metadata": { "labels": { "app": "x" } },
            "spec": { "containers": [{ "name": "main", "image": "hello:v1" }] },
        },
    });
    json_patch::merge(&mut whole, &spec);
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" }, "spec": whole })
}

#[tokio::test]
async fn creates_and_changes() {
    let server = Server::new().await;
    let path = format!("{CONFIGMAPS}/a");
    let config = configmap("a", json!({ "x": "1", "y": "2" }));
    let made = server.apply(&path, "fieldManager=me", &config).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    assert_eq!(owners(&made), [r#"me Apply  {"f:data":{"f:x":{},"f:y":{}}}"#]);
    assert_eq!(made["metadata"]["namespace"], "default");
    // The same again changes nothing, not even the time.
    assert_eq!(server.apply(&path, "fieldManager=me", &config).await.is(200), made);
    // What is no longer applied goes.
    let less = configmap("a", json!({ "x": "3" }));
    let changed = server.apply(&path, "fieldManager=me", &less).await.is(200);
    assert_eq!(changed["data"], json!({ "x": "3" }));
    assert!(version(&changed) > version(&made));
    assert_eq!(owners(&changed), [r#"me Apply  {"f:data":{"f:x":{}}}"#]);
    // Another applier adds his own.
    let other = configmap("a", json!({ "z": "9" }));
    let both = server.apply(&path, "fieldManager=other", &other).await.is(200);
    assert_eq!(both["data"], json!({ "x": "3", "z": "9" }));
    let gone = server.apply(&path, "fieldManager=other", &configmap("a", json!({}))).await.is(200);
    assert_eq!(gone["data"], json!({ "x": "3" }));
}

#[tokio::test]
async fn yaml_and_dry_runs() {
    let server = Server::new().await;
    let path = format!("{CONFIGMAPS}/a?fieldManager=me");
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: \"1\"\n";
    let tried = server.apply_text(&format!("{path}&dryRun=All"), yaml.into()).await.is(201);
    assert_eq!(owners(&tried).len(), 1);
    server.get(&format!("{CONFIGMAPS}/a")).await.is(404);
    let made = server.apply_text(&path, yaml.into()).await.is(201);
    let tried =
        server.apply_text(&format!("{path}&dryRun=All"), yaml.replace("\"1\"", "\"2\"")).await;
    assert_eq!(tried.is(200)["data"]["x"], "2");
    assert_eq!(server.get(&format!("{CONFIGMAPS}/a")).await.is(200), made);
    let bad = server.apply_text(&path, "a: [".into()).await.fails(400, "BadRequest");
    assert!(bad.starts_with("error decoding YAML: "), "{bad}");
    server.apply_text(&path, "- a".into()).await.fails(400, "BadRequest");
}

#[tokio::test]
async fn conflicts() {
    let server = Server::new().await;
    let path = format!("{DEPLOYMENTS}/d");
    let request = server
        .request(Method::POST, DEPLOYMENTS)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "creator/1");
    let body = deployment(json!({ "replicas": 1, "paused": true })).to_string();
    server.send(request.body(Body::from(body)).unwrap()).await.is(201);
    let config = deployment(json!({ "replicas": 2 }));
    let refused = server.apply(&path, "fieldManager=me", &config).await.is(409);
    assert_eq!(
        refused,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Apply failed with 1 conflict: conflict with \"creator\" using apps/v1: \
                .spec.replicas",
            "reason": "Conflict",
            "details": { "causes": [{
                "reason": "FieldManagerConflict",
                "message": "conflict with \"creator\" using apps/v1",
                "field": ".spec.replicas",
            }] },
            "code": 409,
        })
    );
    let config = deployment(json!({ "replicas": 2, "paused": false, "template": { "spec": {
        "containers": [{ "name": "main", "image": "hello:v2" }] } } }));
    let message = server.apply(&path, "fieldManager=me", &config).await.fails(409, "Conflict");
    assert_eq!(
        message,
        "Apply failed with 3 conflicts: conflicts with \"creator\" using apps/v1:\n- .spec.paused\n\
         - .spec.replicas\n- .spec.template.spec.containers[name=\"main\"].image"
    );
    let forced = server.apply(&path, "fieldManager=me&force=true", &config).await.is(200);
    assert_eq!(forced["spec"]["replicas"], 2);
    assert_eq!(forced["spec"]["template"]["spec"]["containers"][0]["image"], "hello:v2");
    let list = owners(&forced);
    assert!(list[0].starts_with("me Apply"), "{list:?}");
    assert!(!list[1].contains("f:replicas") && list[1].contains("f:strategy"), "{list:?}");
    // Who wants what is there already is an owner too, and keeps others from removing it.
    let newer = json!({ "spec": { "containers": [{ "name": "main", "image": "hello:v2" }] } });
    let same = deployment(json!({ "replicas": 2, "template": newer }));
    server.apply(&path, "fieldManager=you", &same).await.is(200);
    let less = deployment(json!({ "template": newer }));
    let kept = server.apply(&path, "fieldManager=me", &less).await.is(200);
    assert_eq!(kept["spec"]["replicas"], 2);
    let config = deployment(json!({ "replicas": 3, "template": newer }));
    let message = server.apply(&path, "fieldManager=me", &config).await.fails(409, "Conflict");
    assert!(message.contains("conflict with \"you\": .spec.replicas"), "{message}");
}

#[tokio::test]
async fn lists_are_merged_by_their_keys() {
    let server = Server::new().await;
    let path = format!("{DEPLOYMENTS}/d");
    let container = |name: &str, image: &str| json!({ "name": name, "image": image });
    let with = |containers: Value| {
        deployment(json!({ "template": { "spec": { "containers": containers } } }))
    };
    let names = |object: &Value| -> Vec<String> {
        let list = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let one = with(json!([container("a", "i"), container("b", "i")]));
    server.apply(&path, "fieldManager=one", &one).await.is(201);
    let two = with(json!([container("c", "i")]));
    let both = server.apply(&path, "fieldManager=two", &two).await.is(200);
    assert_eq!(names(&both), ["a", "b", "c"]);
    let env = json!([{ "name": "b", "image": "i", "env": [{ "name": "X", "value": "1" }] }]);
    let less = server.apply(&path, "fieldManager=one", &with(env)).await.is(200);
    assert_eq!(names(&less), ["b", "c"]);
    let twice = with(json!([container("b", "i"), container("b", "j")]));
    let message = server.apply(&path, "fieldManager=one", &twice).await.is(500);
    assert_eq!(
        message["message"],
        "failed to create typed patch object (/d; apps/v1, Kind=Deployment): \
         .spec.template.spec.containers: duplicate entries for key [name=\"b\"]"
    );
    let services = "/api/v1/namespaces/default/services";
    let service = |ports: Value| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" },
            "spec": { "ports": ports } })
    };
    let path = format!("{services}/s");
    let one = service(json!([{ "name": "a", "port": 53, "protocol": "UDP" }]));
    server.apply(&path, "fieldManager=one", &one).await.is(201);
    // The protocol that is left out is TCP: another port, not the same.
    let two = service(json!([{ "name": "b", "port": 53 }]));
    let both = server.apply(&path, "fieldManager=two", &two).await.is(200);
    assert_eq!(both["spec"]["ports"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn malformed_configurations() {
    let server = Server::new().await;
    let path = format!("{CONFIGMAPS}/a");
    let fine = configmap("a", json!({ "x": "1" }));
    let message = server.apply(&path, "", &fine).await.fails(422, "Invalid");
    assert_eq!(
        message,
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for \
         apply patch"
    );
    let forced = server.patch(&format!("{path}?force=true"), "merge-patch", json!({})).await;
    assert_eq!(
        forced.fails(422, "Invalid"),
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for \
         non-apply patch"
    );
    let cbor = server.body(Method::PATCH, &path, "application/apply-patch+cbor", "".into()).await;
    assert_eq!(
        cbor.fails(415, "UnsupportedMediaType"),
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, \
         application/strategic-merge-patch+json, application/apply-patch+yaml"
    );
    for (change, status, expected) in [
        (json!({ "kind": "Secret" }), 400, "invalid object type: /v1, Kind=Secret"),
        (json!({ "apiVersion": "apps/v1" }), 400, "invalid object type: apps/v1, Kind=ConfigMap"),
        (json!({ "metadata": { "managedFields": [] } }), 400, "metadata.managedFields must be nil"),
        (
            json!({ "metadata": { "name": "b" } }),
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            json!({ "metadata": { "namespace": "other" } }),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            json!({ "spec": {} }),
            500,
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .spec: field not \
             declared in schema",
        ),
        (
            json!({ "data": { "x": 1 } }),
            500,
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.x: expected \
             string, got &value.valueUnstructured{Value:1}",
        ),
        (
            json!({ "metadata": { "uid": "u" } }),
            409,
            "Operation cannot be fulfilled on configmaps \"a\": uid mismatch: the provided object \
             specified uid u, and no existing object was found",
        ),
    ] {
        let mut config = fine.clone();
        json_patch::merge(&mut config, &change);
        let answer = server.apply(&path, "fieldManager=me", &config).await.is(status);
        assert_eq!(answer["message"], expected, "{change}");
    }
    let twice = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1","x":"2"}}"#;
    let query = format!("{path}?fieldManager=me&fieldValidation=Strict");
    server.apply_text(&query, twice.into()).await.fails(400, "BadRequest");
    let query = format!("{path}?fieldManager=me");
    let warned = server.apply_text(&query, twice.into()).await;
    assert_eq!(warned.is(201)["data"]["x"], "2");
    assert!(warned.headers.contains_key(header::WARNING));
}

#[tokio::test]
async fn identity_and_version() {
    let server = Server::new().await;
    let made = server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let mut config = configmap("a", json!({ "x": "1" }));
    config["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    let message = server.apply(&path, "fieldManager=me", &config).await.fails(409, "Conflict");
    assert!(message.contains("Precondition failed: UID in precondition"), "{message}");
    config["metadata"]["uid"] = made["metadata"]["uid"].clone();
    config["metadata"]["resourceVersion"] = json!("1");
    let message = server.apply(&path, "fieldManager=me", &config).await.fails(409, "Conflict");
    assert!(message.contains("the object has been modified"), "{message}");
    config["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    let applied = server.apply(&path, "fieldManager=me", &config).await.is(200);
    assert_eq!(applied["data"], json!({ "a": "1", "x": "1" }));
    assert_eq!(owners(&applied)[0], r#"me Apply  {"f:data":{"f:x":{}}}"#);
}

#[tokio::test]
async fn objects_whose_owners_nobody_counted() {
    let server = Server::new().await;
    server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let reset = json!({ "metadata": { "managedFields": [{}] } });
    server.patch(&path, "merge-patch", reset).await.is(200);
    let config = configmap("a", json!({ "a": "2" }));
    let message = server.apply(&path, "fieldManager=me", &config).await.fails(409, "Conflict");
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
    );
    let same = configmap("a", json!({ "a": "1" }));
    let applied = server.apply(&path, "fieldManager=me", &same).await.is(200);
    assert_eq!(
        owners(&applied),
        [
            r#"me Apply  {"f:data":{"f:a":{}}}"#,
            r#"before-first-apply Update  {"f:data":{".":{},"f:a":{}}}"#,
        ]
    );
}

#[tokio::test]
async fn from_the_clients_apply_to_the_servers() {
    let server = Server::new().await;
    let key = "kubectl.kubernetes.io/last-applied-configuration";
    let config = configmap("a", json!({ "x": "1" }));
    let mut body = config.clone();
    body["metadata"]["annotations"][key] = json!(format!("{config}\n"));
    let query = format!("{CONFIGMAPS}?fieldManager=kubectl-client-side-apply");
    server.post(&query, body).await.is(201);
    let path = format!("{CONFIGMAPS}/a");
    let next = configmap("a", json!({ "x": "2" }));
    server.apply(&path, "fieldManager=somebody", &next).await.is(409);
    let applied = server.apply(&path, "fieldManager=kubectl", &next).await.is(200);
    assert_eq!(applied["data"]["x"], "2");
    // The annotation goes on to say what was applied last.
    let last = applied["metadata"]["annotations"][key].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap(), next);
    assert!(owners(&applied)[0].starts_with("kubectl Apply"));
}

#[tokio::test]
async fn status_and_scale() {
    let server = Server::new().await;
    let path = format!("{DEPLOYMENTS}/d");
    server.apply(&path, "fieldManager=me", &deployment(json!({ "replicas": 1 }))).await.is(201);
    let status = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" },
        "spec": { "replicas": 50 }, "status": { "replicas": 4 } });
    let refused = server.apply(&format!("{path}/status"), "fieldManager=keeper", &status).await;
    // What it says of the rest is not heard, and is no conflict either.
    let changed = refused.is(200);
    assert_eq!(
        (&changed["status"]["replicas"], &changed["spec"]["replicas"]),
        (&json!(4), &json!(1))
    );
    let list = owners(&changed);
    assert!(
        list.contains(&r#"keeper Apply status {"f:status":{"f:replicas":{}}}"#.to_owned()),
        "{list:?}"
    );
    server
        .apply(&format!("{DEPLOYMENTS}/none/status"), "fieldManager=keeper", &status)
        .await
        .is(404);

    let scale = |replicas: u32| {
        json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": { "name": "d" },
            "spec": { "replicas": replicas } })
    };
    let at = format!("{path}/scale");
    let message = server.apply(&at, "fieldManager=hpa", &scale(3)).await.fails(409, "Conflict");
    assert_eq!(message, "Apply failed with 1 conflict: conflict with \"me\": .spec.replicas");
    let scaled = server.apply(&at, "fieldManager=hpa&force=true", &scale(3)).await.is(200);
    assert_eq!((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(3)));
    let changed = server.get(&path).await.is(200);
    let list = owners(&changed);
    assert!(
        list.contains(&r#"hpa Apply scale {"f:spec":{"f:replicas":{}}}"#.to_owned()),
        "{list:?}"
    );
    // Who applies again without the field gives it up.
    let config = deployment(json!({}));
    let kept = server.apply(&path, "fieldManager=me", &config).await.is(200);
    assert_eq!(kept["spec"]["replicas"], 3);
    let wrong = deployment(json!({}));
    let message = server.apply(&at, "fieldManager=hpa", &wrong).await.fails(400, "BadRequest");
    assert_eq!(message, "invalid object type: apps/v1, Kind=Deployment");
}

#[tokio::test]
async fn an_applier_may_change_the_version() {
    let server = Server::new().await;
    let path = |version: &str| {
        format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers/a")
    };
    let config = |version: &str, more: Value| {
        let mut config = json!({ "apiVersion": format!("autoscaling/{version}"),
            "kind": "HorizontalPodAutoscaler", "metadata": { "name": "a" },
            "spec": { "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "d" } } });
        json_patch::merge(&mut config, &json!({ "spec": more }));
        config
    };
    let one = config("v1", json!({ "targetCPUUtilizationPercentage": 50, "minReplicas": 2 }));
    let made = server.apply(&path("v1"), "fieldManager=me", &one).await.is(201);
    assert_eq!(made["metadata"]["managedFields"][0]["apiVersion"], "autoscaling/v1");
    // What was applied in the one version and is not in the other goes.
    let two = config("v2", json!({}));
    let changed = server.apply(&path("v2"), "fieldManager=me", &two).await.is(200);
    assert_eq!(changed["metadata"]["managedFields"].as_array().unwrap().len(), 1, "{changed}");
    assert_eq!(changed["metadata"]["managedFields"][0]["apiVersion"], "autoscaling/v2");
    assert_eq!(changed["spec"]["minReplicas"], 1);
}

#[tokio::test]
async fn a_caller_who_may_patch_but_not_create() {
    let server = Server::new().await;
    let config = configmap("a", json!({})).to_string();
    let request = http::Request::builder()
        .method(Method::PATCH)
        .uri(format!("{CONFIGMAPS}/a?fieldManager=me"))
        .header(header::AUTHORIZATION, "Bearer nobody")
        .header(header::CONTENT_TYPE, "application/apply-patch+yaml");
    server.send(request.body(Body::from(config)).unwrap()).await.fails(403, "Forbidden");
}

#[tokio::test]
async fn custom_resources() {
    let server = Server::new().await;
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": { "status": {}, "scale": { "specReplicasPath": ".spec.size",
                    "statusReplicasPath": ".status.size" } },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "status": { "type": "object", "properties": { "size": { "type": "integer" } } },
                    "spec": { "type": "object", "properties": {
                        "size": { "type": "integer" },
                        "color": { "type": "string", "default": "red" },
                        "parts": { "type": "array", "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["id"],
                            "items": { "type": "object", "required": ["id"], "properties": {
                                "id": { "type": "string" }, "value": { "type": "integer" } } } },
                        "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                    } },
                } } },
            }],
        },
    });
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com";
    server.apply(crds, "fieldManager=me", &crd).await.is(201);
    let path = "/apis/example.com/v1/namespaces/default/widgets/w";
    let widget = |spec: Value| {
        json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "w" },
            "spec": spec })
    };
    let one = widget(json!({ "size": 1, "parts": [{ "id": "a", "value": 1 }],
        "free": { "x": [1], "y": { "z": 1 } } }));
    let made = server.apply(path, "fieldManager=one", &one).await.is(201);
    assert_eq!(made["spec"]["color"], "red");
    // A default is nobody's.
    assert_eq!(
        owners(&made),
        [concat!(
            r#"one Apply  {"f:spec":{"f:free":{"f:x":{},"f:y":{".":{},"f:z":{}}},"#,
            r#""f:parts":{"k:{\"id\":\"a\"}":{".":{},"f:id":{},"f:value":{}}},"f:size":{}}}"#
        )]
    );
    assert_eq!(server.apply(path, "fieldManager=one", &one).await.is(200), made);
    let two = widget(json!({ "parts": [{ "id": "b", "value": 2 }] }));
    let both = server.apply(path, "fieldManager=two", &two).await.is(200);
    assert_eq!(both["spec"]["parts"].as_array().unwrap().len(), 2);
    let less = widget(json!({ "size": 1 }));
    let less = server.apply(path, "fieldManager=one", &less).await.is(200);
    assert_eq!(
        less["spec"],
        json!({ "size": 1, "color": "red", "parts": [{ "id": "b", "value": 2 }] })
    );
    let unknown =
        server.apply(path, "fieldManager=one", &widget(json!({ "odd": 1 }))).await.is(500);
    assert_eq!(
        unknown["message"],
        "failed to create typed patch object (/w; example.com/v1, Kind=Widget): .spec.odd: field \
         not declared in schema"
    );
    // Without pointers there is nothing that stands by itself.
    let mut body = widget(json!({ "size": 3 }));
    body["metadata"]["name"] = json!("v");
    let made = server.post("/apis/example.com/v1/namespaces/default/widgets", body).await.is(201);
    assert_eq!(owners(&made), [r#"unknown Update  {"f:spec":{".":{},"f:color":{},"f:size":{}}}"#]);
    let scale = json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": { "name": "w" },
        "spec": { "replicas": 4 } });
    server.apply(&format!("{path}/scale"), "fieldManager=hpa&force=1", &scale).await.is(200);
    let scaled = server.get(path).await.is(200);
    assert_eq!(scaled["spec"]["size"], 4);
    let list = owners(&scaled);
    assert!(list.contains(&r#"hpa Apply scale {"f:spec":{"f:size":{}}}"#.to_owned()), "{list:?}");
}
