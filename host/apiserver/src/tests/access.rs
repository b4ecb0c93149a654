//! Who may do what.

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::json;

use super::{Answer, PODS, Server};
use crate::authn::PeerCertificate;

async fn with_token(server: &Server, method: Method, path: &str, token: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    server.send(request.body(Body::empty()).unwrap()).await
}

async fn unknown(server: &Server, path: &str) -> Answer {
    server.send(Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn strangers_see_only_health_and_version() {
    let server = Server::new().await;
    for path in ["/healthz", "/livez", "/readyz", "/readyz/etcd", "/version"] {
        assert_eq!(unknown(&server, path).await.status, 200, "{path}");
    }
    for path in [PODS, "/api", "/apis", "/metrics", "/openapi/v3", "/", "/upload"] {
        assert_eq!(unknown(&server, path).await.fails(401, "Unauthorized"), "Unauthorized");
    }
    with_token(&server, Method::GET, PODS, "wrong").await.fails(401, "Unauthorized");
    let certificate = PeerCertificate(b"no certificate".as_slice().into());
    let request = Request::get(PODS).extension(certificate).body(Body::empty()).unwrap();
    server.send(request).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn masters_may_do_everything_and_others_look_around() {
    let server = Server::new().await;
    with_token(&server, Method::GET, PODS, "master").await.is(200);
    for path in ["/api", "/apis", "/api/v1", "/version", "/"] {
        assert_eq!(with_token(&server, Method::GET, path, "nobody").await.status, 200, "{path}");
    }
    let cases = [
        (Method::GET, PODS, "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""),
        (Method::GET, "/api/v1/nodes/n", "nodes \"n\" is forbidden: User \"jane\" cannot get resource \"nodes\" in API group \"\" at the cluster scope"),
        (Method::DELETE, "/apis/apps/v1/namespaces/a/deployments", "deployments.apps is forbidden: User \"jane\" cannot deletecollection resource \"deployments\" in API group \"apps\" in the namespace \"a\""),
        (Method::PATCH, "/api/v1/namespaces/a/pods/p/status", "pods \"p\" is forbidden: User \"jane\" cannot patch resource \"pods/status\" in API group \"\" in the namespace \"a\""),
        (Method::GET, "/metrics", "forbidden: User \"jane\" cannot get path \"/metrics\""),
    ];
    for (method, path, message) in cases {
        let answer = with_token(&server, method, path, "nobody").await;
        assert_eq!(answer.fails(403, "Forbidden"), message);
    }
}

#[tokio::test]
async fn callers_can_ask_about_themselves_and_others() {
    let server = Server::new().await;
    let who = server.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await;
    let who = who.is(201);
    assert_eq!(who["status"]["userInfo"]["username"], "tester");
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let ask = json!({ "spec": { "resourceAttributes": { "verb": "get", "resource": "pods" } } });
    assert_eq!(server.post(path, ask).await.is(201)["status"]["allowed"], true);
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let ask = json!({ "spec": {
        "user": "jane",
        "resourceAttributes": { "verb": "get", "resource": "pods" },
    } });
    assert_eq!(server.post(path, ask).await.is(201)["status"]["allowed"], false);
    server.post(path, json!({ "spec": {} })).await.fails(422, "Invalid");
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let known = server.post(path, json!({ "spec": { "token": "nobody" } })).await.is(201);
    assert_eq!(known["status"]["user"]["username"], "jane");
    let other = server.post(path, json!({ "spec": { "token": "x" } })).await.is(201);
    assert_eq!(other["status"], json!({ "authenticated": false }));
    server.get(path).await.fails(405, "MethodNotAllowed");
}
