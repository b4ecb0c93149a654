//! `metadata.managedFields` on the way of writes that are no apply.

use axum::body::Body;
use http::{Method, header};
use serde_json::{Value, json};

use super::{Answer, CONFIGMAPS, PODS, Server, version};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// The owners, as `manager operation subresource fields`.
pub(super) fn owners(object: &Value) -> Vec<String> {
    let list = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let line = |entry: &Value| {
        assert_eq!(entry["fieldsType"], "FieldsV1");
        let [manager, operation, subresource] =
            ["manager", "operation", "subresource"].map(|name| word(entry, name));
        format!("{manager} {operation} {subresource} {}", entry["fieldsV1"])
    };
    list.iter().map(line).collect()
}

async fn as_agent(server: &Server, method: Method, path: &str, agent: &str, body: Value) -> Answer {
    let media =
        if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = server.request(method, path).header(header::CONTENT_TYPE, media);
    let request = request.header(header::USER_AGENT, agent);
    server.send(request.body(Body::from(body.to_string())).unwrap()).await
}

fn deployment() -> Value {
    json!({ "metadata": { "name": "d", "labels": { "app": "x" } }, "spec": {
        "selector": { "matchLabels": { "app": "x" } },
        "template": {
            "metadata": { "labels": { "app": "x" } },
            "spec": { "containers": [{ "name": "main", "image": "hello:v1" }] },
        },
    }})
}

#[tokio::test]
async fn a_creator_owns_what_he_gives_and_what_defaults_make_of_it() {
    let server = Server::new().await;
    let made = as_agent(&server, Method::POST, DEPLOYMENTS, "kubectl/v1.35 (linux)", deployment());
    let made = made.await.is(201);
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!(entry["manager"], "kubectl");
    assert_eq!((&entry["operation"], &entry["apiVersion"]), (&json!("Update"), &json!("apps/v1")));
    assert_eq!(entry["time"], made["metadata"]["creationTimestamp"]);
    assert!(entry.get("subresource").is_none());
    let fields = &entry["fieldsV1"];
    assert_eq!(fields["f:metadata"], json!({ "f:labels": { ".": {}, "f:app": {} } }));
    // As a Kubernetes answers.
    assert_eq!(
        fields["f:spec"],
        json!({
            "f:progressDeadlineSeconds": {},
            "f:replicas": {},
            "f:revisionHistoryLimit": {},
            "f:selector": {},
            "f:strategy": {
                "f:rollingUpdate": { ".": {}, "f:maxSurge": {}, "f:maxUnavailable": {} },
                "f:type": {},
            },
            "f:template": {
                "f:metadata": { "f:labels": { ".": {}, "f:app": {} } },
                "f:spec": {
                    "f:containers": { "k:{\"name\":\"main\"}": {
                        ".": {},
                        "f:image": {},
                        "f:imagePullPolicy": {},
                        "f:name": {},
                        "f:resources": {},
                        "f:terminationMessagePath": {},
                        "f:terminationMessagePolicy": {},
                    } },
                    "f:dnsPolicy": {},
                    "f:restartPolicy": {},
                    "f:schedulerName": {},
                    "f:securityContext": {},
                    "f:terminationGracePeriodSeconds": {},
                },
            },
        })
    );
    assert_eq!(server.get(&format!("{DEPLOYMENTS}/d")).await.is(200), made);
    let partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let partial = server.accept(&format!("{DEPLOYMENTS}/d"), partial).await.is(200);
    assert_eq!(partial["metadata"]["managedFields"], made["metadata"]["managedFields"]);
    let nobody = server.post(CONFIGMAPS, json!({ "metadata": { "name": "n" } })).await.is(201);
    assert_eq!(nobody["metadata"].get("managedFields"), None);
}

#[tokio::test]
async fn names_of_owners() {
    let server = Server::new().await;
    let body = |name: &str| json!({ "metadata": { "name": name }, "data": { "a": "1" } });
    let long = "x".repeat(200);
    for (agent, manager) in [
        ("", "unknown"),
        ("/1.0", "unknown"),
        ("curl/8.0", "curl"),
        ("my tool\t/1", "my tool"),
        (long.as_str(), &long[..128]),
    ] {
        let made = as_agent(&server, Method::POST, CONFIGMAPS, agent, body("a")).await.is(201);
        assert_eq!(made["metadata"]["managedFields"][0]["manager"], manager, "{agent:?}");
        server.delete(&format!("{CONFIGMAPS}/a")).await.is(200);
    }
    let path = format!("{CONFIGMAPS}?fieldManager=given");
    let made = as_agent(&server, Method::POST, &path, "curl/8.0", body("a")).await.is(201);
    assert_eq!(owners(&made), [r#"given Update  {"f:data":{".":{},"f:a":{}}}"#]);
    let path = format!("{CONFIGMAPS}?fieldManager={long}");
    let message = server.post(&path, body("b")).await.fails(422, "Invalid");
    assert_eq!(
        message,
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than \
         128 bytes"
    );
    let path = format!("{CONFIGMAPS}?fieldManager=a%07b");
    let message = server.post(&path, body("b")).await.fails(422, "Invalid");
    assert!(message.ends_with("invalid character U+0007 (at position 1)"), "{message}");
}

#[tokio::test]
async fn every_write_takes_what_it_changes() {
    let server = Server::new().await;
    let made = as_agent(&server, Method::POST, DEPLOYMENTS, "creator", deployment()).await.is(201);
    let path = format!("{DEPLOYMENTS}/d");
    let patch = json!({ "spec": { "replicas": 3 }, "metadata": { "labels": { "new": "y" } } });
    let patched = as_agent(&server, Method::PATCH, &path, "patcher", patch.clone()).await.is(200);
    let list = owners(&patched);
    assert_eq!(
        list.iter().find(|line| line.starts_with("patcher")).unwrap(),
        r#"patcher Update  {"f:metadata":{"f:labels":{"f:new":{}}},"f:spec":{"f:replicas":{}}}"#
    );
    assert!(!list.iter().any(|line| line.starts_with("creator") && line.contains("f:replicas")));
    // The same again is no change at all, whoever asks.
    let again = as_agent(&server, Method::PATCH, &path, "other", patch).await.is(200);
    assert_eq!(again, patched);

    let mut status = made.clone();
    status["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    status["metadata"]["labels"] = json!({ "not": "taken" });
    status["spec"]["replicas"] = json!(99);
    status["status"] = json!({ "replicas": 1 });
    let at = format!("{path}/status");
    let status = as_agent(&server, Method::PUT, &at, "keeper", status).await.is(200);
    assert_eq!(status["spec"]["replicas"], 3);
    assert_eq!(
        owners(&status).iter().find(|line| line.starts_with("keeper")).unwrap(),
        r#"keeper Update status {"f:status":{"f:replicas":{}}}"#
    );
    // What the object itself may not change is not owned by who tries.
    let patch = json!({ "status": { "replicas": 5 } });
    let tried = as_agent(&server, Method::PATCH, &path, "trier", patch).await.is(200);
    assert_eq!(version(&tried), version(&status));

    let scale = json!({ "metadata": { "name": "d" }, "spec": { "replicas": 7 } });
    as_agent(&server, Method::PUT, &format!("{path}/scale"), "scaler", scale).await.is(200);
    let scaled = server.get(&path).await.is(200);
    let list = owners(&scaled);
    assert!(
        list.contains(&r#"scaler Update scale {"f:spec":{"f:replicas":{}}}"#.to_owned()),
        "{list:?}"
    );
    assert!(
        list.contains(&r#"patcher Update  {"f:metadata":{"f:labels":{"f:new":{}}}}"#.to_owned())
    );
    // What is removed is nobody's.
    let patch = json!({ "metadata": { "labels": { "new": null } } });
    let removed = as_agent(&server, Method::PATCH, &path, "remover", patch).await.is(200);
    assert!(!owners(&removed).iter().any(|line| line.starts_with("patcher")));
}

#[tokio::test]
async fn what_the_server_fills_in_is_nobodys() {
    let server = Server::new().await;
    server.pod("p", None).await;
    let bind = json!({ "metadata": { "name": "p" }, "target": { "kind": "Node", "name": "n" } });
    as_agent(&server, Method::POST, &format!("{PODS}/p/binding"), "scheduler", bind).await.is(201);
    let pod = server.get(&format!("{PODS}/p")).await.is(200);
    assert_eq!(pod["spec"]["nodeName"], "n");
    assert!(pod["spec"]["tolerations"].is_array());
    let list = owners(&pod).join("\n");
    assert!(list.contains("f:containers"), "{list}");
    for field in ["f:nodeName", "f:tolerations", "f:conditions", "scheduler Update", "f:phase"] {
        assert!(!list.contains(field), "{field}: {list}");
    }
    let services = "/api/v1/namespaces/default/services";
    let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }] } });
    let service = server.post(services, service).await.is(201);
    assert!(service["spec"]["clusterIP"].is_string());
    assert_eq!(
        service["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"],
        json!({
            "f:internalTrafficPolicy": {},
            "f:ports": { ".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}":
                { ".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {} } },
            "f:sessionAffinity": {},
            "f:type": {},
        })
    );
}

#[tokio::test]
async fn the_list_itself_in_bodies() {
    let server = Server::new().await;
    let made = server.configmap("a", json!({})).await;
    let path = format!("{CONFIGMAPS}/a");
    let entry = |manager: &str, fields: Value| {
        json!({ "manager": manager, "operation": "Update", "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields })
    };
    // A list that is understood holds.
    let list = json!([entry("foreign", json!({ "f:data": { "f:a": {} } }))]);
    let mut body = made.clone();
    body["metadata"]["managedFields"] = list;
    let put = server.put(&path, &body).await.is(200);
    assert_eq!(owners(&put), [r#"foreign Update  {"f:data":{"f:a":{}}}"#]);
    // One that is not, or none at all, leaves it as it was.
    for list in [json!([entry("foreign", json!({ "nonsense": {} }))]), json!(null)] {
        let mut body = put.clone();
        body["metadata"]["managedFields"] = list;
        assert_eq!(owners(&server.put(&path, &body).await.is(200)), owners(&put));
    }
    // Through the subresource it cannot be changed.
    let namespace = "/api/v1/namespaces/default";
    let before = server.get(namespace).await.is(200);
    let mut body = before.clone();
    body["metadata"]["managedFields"] = json!([{}]);
    let after = server.put(&format!("{namespace}/status"), &body).await.is(200);
    assert_eq!(after, before);
    // An empty list, or one empty entry, has everything forgotten; nobody keeps count then.
    for (kind, patch) in [
        ("merge-patch", json!({ "metadata": { "managedFields": [{}] } })),
        ("merge-patch", json!({ "metadata": { "managedFields": [] } })),
        (
            "json-patch",
            json!([{ "op": "replace", "path": "/metadata/managedFields", "value": [{}] }]),
        ),
    ] {
        server.put(&path, &put_without_version(&put)).await.is(200);
        let reset = server.patch(&path, kind, patch).await.is(200);
        assert_eq!(reset["metadata"].get("managedFields"), None);
        let later = json!({ "data": { "b": "2" } });
        let later = server.patch(&path, "merge-patch", later).await.is(200);
        assert_eq!(later["metadata"].get("managedFields"), None);
    }
    let test = json!([{ "op": "test", "path": "/metadata/managedFields/0/manager", "value": "x" }]);
    server.patch(&path, "json-patch", test).await.is(422);
}

fn put_without_version(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    object
}

#[tokio::test]
async fn deletions_and_dry_runs_keep_and_show_the_list() {
    let server = Server::new().await;
    let body = json!({ "metadata": { "name": "a", "finalizers": ["x/y"] }, "data": { "a": "1" } });
    let tried = server.post(&format!("{CONFIGMAPS}?dryRun=All"), body.clone()).await.is(201);
    assert_eq!(owners(&tried).len(), 1);
    let made = server.post(CONFIGMAPS, body).await.is(201);
    let path = format!("{CONFIGMAPS}/a");
    let patch = json!({ "data": { "b": "2" } });
    let at = format!("{path}?dryRun=All");
    let tried = as_agent(&server, Method::PATCH, &at, "dry", patch).await.is(200);
    assert_eq!(owners(&tried).len(), 2);
    let marked = server.delete(&path).await.is(200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(owners(&marked), owners(&made));
    let freed = json!({ "metadata": { "finalizers": null } });
    server.patch(&path, "merge-patch", freed).await.is(200);
    server.get(&path).await.is(404);
}

#[tokio::test]
async fn other_versions_have_owners_of_their_own() {
    let server = Server::new().await;
    let v1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    let v2 = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let body = json!({ "metadata": { "name": "a" }, "spec": { "maxReplicas": 3,
        "scaleTargetRef": { "kind": "Deployment", "name": "d" },
        "targetCPUUtilizationPercentage": 50 } });
    let made = as_agent(&server, Method::POST, v1, "one", body).await.is(201);
    let list = owners(&made);
    assert!(list[0].contains("f:targetCPUUtilizationPercentage"), "{list:?}");
    assert_eq!(made["metadata"]["managedFields"][0]["apiVersion"], "autoscaling/v1");
    // A change in the one version takes the field in the other.
    let patch = json!({ "spec": { "metrics": [{ "type": "Resource", "resource": { "name": "cpu",
        "target": { "type": "Utilization", "averageUtilization": 70 } } }] } });
    let changed = as_agent(&server, Method::PATCH, &format!("{v2}/a"), "two", patch).await.is(200);
    let list = owners(&changed);
    assert_eq!(list.len(), 2, "{list:?}");
    let one = list.iter().find(|line| line.starts_with("one")).unwrap();
    assert!(!one.contains("f:targetCPU") && one.contains("f:maxReplicas"), "{one}");
    let two = list.iter().find(|line| line.starts_with("two")).unwrap();
    assert_eq!(two, r#"two Update  {"f:spec":{"f:metrics":{}}}"#);
}
