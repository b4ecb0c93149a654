//! Who may do what.

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::json;

use super::{Answer, PODS, Server};
use crate::Identity;
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
    server.api.bootstrap().await.unwrap();
    with_token(&server, Method::GET, PODS, "master").await.is(200);
    for path in ["/api", "/apis", "/api/v1", "/version", "/openapi/v3"] {
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
    assert_eq!(known["status"]["audiences"], json!([ISSUER]));
    let other = server.post(path, json!({ "spec": { "token": "x" } })).await.is(201);
    assert_eq!(
        other["status"],
        json!({ "authenticated": false, "user": {}, "error": "invalid bearer token" })
    );
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
    let limits = crate::Limits { reading: 0, mutating: 0, ..Default::default() };
    let server = Server::with(crate::Config { tokens, limits, ..Default::default() }).await;
    let jane = json!([{ "kind": "User", "name": "jane" }]);
    server.bind("cluster-admin", jane).await;
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

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn reader() -> serde_json::Value {
    json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }])
}

/// `jane` may write roles and bindings, and read pods; nothing else.
async fn with_jane() -> (Server, Identity) {
    let server = Server::new().await;
    let rules = json!([
        { "verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": [
            "roles", "rolebindings", "clusterroles", "clusterrolebindings",
        ] },
        { "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] },
    ]);
    // `*` would include `escalate` and `bind`.
    let mut rules = rules;
    rules[0]["verbs"] = json!(["create", "update", "patch", "get"]);
    let role = json!({ "metadata": { "name": "granter" }, "rules": rules });
    server.post(&format!("{RBAC}/clusterroles"), role).await.is(201);
    server.bind("granter", json!([{ "kind": "User", "name": "jane" }])).await;
    (server, Identity::new("jane", &["system:authenticated"]))
}

#[tokio::test]
async fn nobody_grants_what_he_does_not_hold() {
    let (server, jane) = with_jane().await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let role = |name: &str, rules| Some(json!({ "metadata": { "name": name }, "rules": rules }));
    let secrets = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"] }]);
    server.as_user(&jane, Method::POST, &roles, role("pods", reader())).await.is(201);
    let refused =
        server.as_user(&jane, Method::POST, &roles, role("secrets", secrets.clone())).await;
    assert_eq!(
        refused.fails(403, "Forbidden"),
        "roles.rbac.authorization.k8s.io \"secrets\" is forbidden: user \"jane\" \
         (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently \
         held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
    );
    let pods = format!("{roles}/pods");
    let changed = server.as_user(&jane, Method::PUT, &pods, role("pods", secrets.clone())).await;
    changed.fails(403, "Forbidden");
    // Letting an object go is no granting.
    server.post(&roles, role("secrets", secrets).unwrap()).await.is(201);
    let path = format!("{roles}/secrets");
    let mut held = server.get(&path).await.is(200);
    held["metadata"]["finalizers"] = json!(["example.com/x"]);
    server.as_user(&jane, Method::PUT, &path, Some(held)).await.is(200);

    let cluster = format!("{RBAC}/clusterroles");
    let collecting = json!({
        "metadata": { "name": "all" },
        "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "a": "b" } }] },
    });
    let refused = server.as_user(&jane, Method::POST, &cluster, Some(collecting)).await;
    assert_eq!(
        refused.fails(403, "Forbidden"),
        "clusterroles.rbac.authorization.k8s.io \"all\" is forbidden: must have cluster-admin \
         privileges to use the aggregationRule"
    );
    let escalate = json!([{
        "verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"],
    }]);
    server.post(&cluster, role("escalator", escalate).unwrap()).await.is(201);
    server.bind("escalator", json!([{ "kind": "User", "name": "jane" }])).await;
    let all = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
    server.as_user(&jane, Method::POST, &roles, role("any", all)).await.is(201);
}

#[tokio::test]
async fn nobody_binds_to_what_he_does_not_hold() {
    let (server, jane) = with_jane().await;
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    let binding = |name: &str, role: &str| {
        Some(json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "User", "name": "joe" }],
        }))
    };
    let refused =
        server.as_user(&jane, Method::POST, &bindings, binding("a", "cluster-admin")).await;
    let message = refused.fails(403, "Forbidden");
    assert!(
        message.starts_with(
            "rolebindings.rbac.authorization.k8s.io \"a\" is forbidden: user \"jane\""
        ),
        "{message}"
    );
    assert!(message.ends_with("{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}"), "{message}");
    let missing = server.as_user(&jane, Method::POST, &bindings, binding("a", "none")).await;
    let expected = "clusterrole.rbac.authorization.k8s.io \"none\" not found";
    assert_eq!(missing.fails(404, "NotFound"), expected);
    server.as_user(&jane, Method::POST, &bindings, binding("a", "granter")).await.is(201);
    let rules = json!([{
        "verbs": ["bind"],
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles"],
        "resourceNames": ["cluster-admin"],
    }]);
    let role = json!({ "metadata": { "name": "binder" }, "rules": rules });
    server.post(&format!("{RBAC}/clusterroles"), role).await.is(201);
    server.bind("binder", json!([{ "kind": "User", "name": "jane" }])).await;
    server.as_user(&jane, Method::POST, &bindings, binding("b", "cluster-admin")).await.is(201);
    let joe = Identity::new("joe", &[]);
    server.as_user(&joe, Method::GET, "/api/v1/namespaces/default/secrets", None).await.is(200);
    let elsewhere = server.as_user(&joe, Method::GET, "/api/v1/secrets", None).await;
    elsewhere.fails(403, "Forbidden");
}

#[tokio::test]
async fn nodes_read_what_their_pods_name_and_write_what_is_theirs() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    let node = Identity::component("system:node:n");
    let ask = async |method, path: &str, body| server.as_user(&node, method, path, body).await;
    let secret = "/api/v1/namespaces/default/secrets/s";
    server
        .post("/api/v1/namespaces/default/secrets", json!({ "metadata": { "name": "s" } }))
        .await
        .is(201);
    let refused = ask(Method::GET, secret, None).await.fails(403, "Forbidden");
    assert_eq!(
        refused,
        "secrets \"s\" is forbidden: User \"system:node:n\" cannot get resource \"secrets\" in API \
         group \"\" in the namespace \"default\": no relationship found between node 'n' and this \
         object"
    );
    let pod = |name: &str, node: &str| {
        json!({
            "metadata": { "name": name },
            "spec": {
                "nodeName": node,
                "containers": [{ "name": "c", "image": "hello:v1" }],
                "volumes": [{ "name": "v", "secret": { "secretName": "s" } }],
            },
        })
    };
    server.post(PODS, pod("other", "m")).await.is(201);
    ask(Method::GET, secret, None).await.fails(403, "Forbidden");
    server.post(PODS, pod("own", "n")).await.is(201);
    ask(Method::GET, secret, None).await.is(200);
    let watch = "/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Ds";
    ask(Method::GET, watch, None).await.is(200);
    ask(Method::GET, "/api/v1/namespaces/default/secrets", None).await.fails(403, "Forbidden");
    ask(Method::GET, "/api/v1/pods?fieldSelector=spec.nodeName%3Dn", None).await.is(200);
    ask(Method::GET, "/api/v1/pods", None).await.fails(403, "Forbidden");

    let status = |name: &str| format!("{PODS}/{name}/status");
    let ready = |name: &str| {
        Some(json!({ "metadata": { "name": name }, "status": { "phase": "Running" } }))
    };
    ask(Method::PUT, &status("own"), ready("own")).await.is(200);
    let other = ask(Method::PUT, &status("other"), ready("other")).await.fails(403, "Forbidden");
    assert_eq!(
        other,
        "pods \"other\" is forbidden: node \"n\" can only update pod status for pods with \
         spec.nodeName set to itself"
    );
    let nodes = "/api/v1/nodes";
    let named = |name: &str, label: &str| {
        Some(json!({ "metadata": { "name": name, "labels": { label: "x" } } }))
    };
    ask(Method::POST, nodes, named("m", "a")).await.fails(403, "Forbidden");
    let labelled = ask(Method::POST, nodes, named("n", "kubernetes.io/role")).await;
    assert_eq!(
        labelled.fails(403, "Forbidden"),
        "nodes \"n\" is forbidden: node \"n\" is not allowed to set the following labels: \
         kubernetes.io/role"
    );
    ask(Method::POST, nodes, named("n", "kubernetes.io/os")).await.is(201);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let namespace = json!({ "metadata": { "name": "kube-node-lease" } });
    server.post("/api/v1/namespaces", namespace).await.is(201);
    let body = |name: &str| Some(json!({ "metadata": { "name": name } }));
    ask(Method::POST, lease, body("m")).await.fails(403, "Forbidden");
    ask(Method::POST, lease, body("n")).await.is(201);
    ask(Method::DELETE, &format!("{PODS}/other"), None).await.fails(403, "Forbidden");
    ask(Method::DELETE, &format!("{PODS}/own"), None).await.is(200);
}

#[tokio::test]
async fn callers_learn_their_rules() {
    let (server, jane) = with_jane().await;
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let review = Some(json!({ "spec": { "namespace": "default" } }));
    let answer = server.as_user(&jane, Method::POST, path, review).await.is(201);
    let status = &answer["status"];
    assert_eq!(status["incomplete"], false);
    let rules = status["resourceRules"].as_array().unwrap();
    assert!(
        rules
            .iter()
            .any(|rule| rule["resources"] == json!(["pods"]) && rule["verbs"] == json!(["get"]))
    );
    let paths = status["nonResourceRules"].as_array().unwrap();
    assert!(paths.iter().any(|rule| rule["nonResourceURLs"][0] == "/api"), "{paths:?}");
    let nowhere = server.as_user(&jane, Method::POST, path, Some(json!({}))).await;
    assert_eq!(nowhere.fails(400, "BadRequest"), "no namespace on request");

    let ask = json!({ "spec": {
        "user": "jane",
        "resourceAttributes": { "verb": "get", "resource": "pods", "namespace": "default" },
    } });
    let all = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let status = server.post(all, ask.clone()).await.is(201)["status"].clone();
    assert_eq!(status["allowed"], true);
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.starts_with("RBAC: allowed by ClusterRoleBinding \"test-"), "{reason}");
    assert!(reason.ends_with("of ClusterRole \"granter\" to User \"jane\""), "{reason}");
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    assert_eq!(server.post(local, ask.clone()).await.is(201)["status"]["allowed"], true);
    let mut elsewhere = ask;
    elsewhere["spec"]["resourceAttributes"]["namespace"] = json!("other");
    let message = server.post(local, elsewhere).await.fails(422, "Invalid");
    assert!(message.contains("must match metadata.namespace"), "{message}");
}

#[tokio::test]
async fn the_policy_is_completed_and_left_alone() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    let role = format!("{RBAC}/clusterroles/system:basic-user");
    let binding = format!("{RBAC}/clusterrolebindings/system:basic-user");
    let before = server.get(&role).await.is(200);
    assert_eq!(before["metadata"]["labels"]["kubernetes.io/bootstrapping"], "rbac-defaults");
    let unchanged = server.get(&binding).await.is(200);
    server.patch(&role, "merge-patch", json!({ "rules": reader() })).await.is(200);
    server.api.bootstrap().await.unwrap();
    let rules = server.get(&role).await.is(200)["rules"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 4, "one kept, three added again: {rules}");
    assert_eq!(server.get(&binding).await.is(200), unchanged);
    let annotation = json!({ "rbac.authorization.kubernetes.io/autoupdate": "false" });
    let own = json!({ "metadata": { "annotations": annotation }, "rules": reader() });
    server.patch(&role, "merge-patch", own).await.is(200);
    server.api.bootstrap().await.unwrap();
    assert_eq!(server.get(&role).await.is(200)["rules"], reader());
}
