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
        (
            Method::GET,
            PODS,
            "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
        (
            Method::GET,
            "/api/v1/nodes/n",
            "nodes \"n\" is forbidden: User \"jane\" cannot get resource \"nodes\" in API group \"\" at the cluster scope",
        ),
        (
            Method::DELETE,
            "/apis/apps/v1/namespaces/a/deployments",
            "deployments.apps is forbidden: User \"jane\" cannot deletecollection resource \"deployments\" in API group \"apps\" in the namespace \"a\"",
        ),
        (
            Method::PATCH,
            "/api/v1/namespaces/a/pods/p/status",
            "pods \"p\" is forbidden: User \"jane\" cannot patch resource \"pods/status\" in API group \"\" in the namespace \"a\"",
        ),
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

#[tokio::test]
async fn certificates_name_their_holder() {
    let mut params = rcgen::CertificateParams::default();
    let name = &mut params.distinguished_name;
    name.push(rcgen::DnType::CommonName, "alice");
    name.push(rcgen::DnType::OrganizationName, "system:masters");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let server = Server::new().await;
    let certificate = PeerCertificate(certificate.der().as_ref().into());
    for _ in 0..2 {
        let request = Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .extension(certificate.clone())
            .body(Body::from("{}"))
            .unwrap();
        let user = server.send(request).await.is(201)["status"]["userInfo"].clone();
        assert_eq!(user["username"], "alice");
        assert_eq!(user["groups"], json!(["system:masters", "system:authenticated"]));
    }
}

#[tokio::test]
async fn a_full_server_sends_callers_away() {
    let tokens = vec![crate::StaticToken {
        token: "nobody".into(),
        identity: crate::Identity::new("jane", &[]),
    }];
    let limits = crate::Limits { mutating: 0, ..Default::default() };
    let server = Server::with(crate::Config { tokens, limits, ..Default::default() }).await;
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let request = Request::post(path).header(header::AUTHORIZATION, "Bearer nobody");
    let answer = server.send(request.body(Body::from("{}")).unwrap()).await;
    answer.fails(429, "TooManyRequests");
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn other_routes_stand_behind_the_same_filters() {
    let whoami = axum::routing::get(
        async |axum::Extension(identity): axum::Extension<std::sync::Arc<crate::Identity>>| {
            identity.name.clone()
        },
    );
    let extra = axum::Router::new().route("/ui/", whoami.clone()).route("/upload", whoami);
    let server = Server::with(crate::Config { extra, ..Default::default() }).await;
    assert_eq!(unknown(&server, "/ui/").await.text(), "system:anonymous");
    unknown(&server, "/upload").await.fails(401, "Unauthorized");
    assert_eq!(server.get("/upload").await.text(), "tester");
    server.get("/elsewhere").await.fails(404, "NotFound");
}
