//! Who waits for whom.

use axum::body::Body;
use http::{Request, header};
use serde_json::json;

use super::{CONFIGMAPS, Server};
use crate::{Config, Identity, StaticToken};

#[tokio::test]
async fn requests_are_put_into_the_level_of_their_schema() {
    let tokens =
        vec![StaticToken { token: "jane".into(), identity: Identity::new("jane", &["devs"]) }];
    let server = Server::with(Config { tokens, ..Config::default() }).await;
    server.bind("cluster-admin", json!([{ "kind": "User", "name": "jane" }])).await;
    let flowcontrol = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let level = json!({ "metadata": { "name": "closed" }, "spec": { "type": "Limited", "limited": {
        "nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "lendablePercent": 0,
        "limitResponse": { "type": "Reject" },
    } } });
    let levels = format!("{flowcontrol}/prioritylevelconfigurations");
    let level = server.post(&levels, level).await.is(201);
    let schema = json!({ "metadata": { "name": "devs" }, "spec": {
        "matchingPrecedence": 10,
        "priorityLevelConfiguration": { "name": "closed" },
        "rules": [{
            "subjects": [{ "kind": "Group", "group": { "name": "devs" } }],
            "resourceRules": [{ "verbs": ["list"], "apiGroups": [""], "resources": ["configmaps"], "namespaces": ["*"] }],
        }],
    } });
    let schema = server.post(&format!("{flowcontrol}/flowschemas"), schema).await.is(201);
    let ask = async |path: &str| {
        let request = Request::get(path).header(header::AUTHORIZATION, "Bearer jane");
        server.send(request.body(Body::empty()).unwrap()).await
    };
    let refused = ask(CONFIGMAPS).await;
    let message = refused.fails(429, "TooManyRequests");
    assert_eq!(message, "Too many requests, please try again later.");
    assert_eq!(refused.headers["retry-after"], "1");
    let uid = |object: &serde_json::Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(refused.headers["x-kubernetes-pf-flowschema-uid"], uid(&schema));
    assert_eq!(refused.headers["x-kubernetes-pf-prioritylevel-uid"], uid(&level));
    // Other requests are of other schemas, or of none.
    ask(super::PODS).await.is(200);
    server.get(CONFIGMAPS).await.is(200);
    server.delete(&format!("{flowcontrol}/flowschemas/devs")).await.is(200);
    ask(CONFIGMAPS).await.is(200);
}
