//! Tokens of service accounts and of bootstrapping nodes, and acting as somebody else.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request, header};
use serde_json::{Value, json};

use super::{Answer, PODS, Server};
use crate::{Config, Identity, ServiceAccountIssuer, ServiceAccountKey};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const REVIEW: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A server with the service account `robot`.
async fn with_robot() -> (Server, Value) {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    let account = json!({ "metadata": { "name": "robot" } });
    let account = server.post(ACCOUNTS, account).await.is(201);
    (server, account)
}

async fn token(server: &Server, spec: Value) -> Answer {
    server.post(&format!("{ACCOUNTS}/robot/token"), json!({ "spec": spec })).await
}

async fn issued(server: &Server, spec: Value) -> String {
    token(server, spec).await.is(201)["status"]["token"].as_str().unwrap().to_owned()
}

async fn bearer(server: &Server, method: Method, path: &str, token: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json");
    server.send(request.body(Body::from("{}")).unwrap()).await
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_speaks_for_its_service_account() {
    let (server, account) = with_robot().await;
    let text = issued(&server, json!({})).await;
    let said = claims(&text);
    assert_eq!(said["aud"], json!([ISSUER]));
    assert_eq!(
        (&said["iss"], &said["sub"]),
        (&json!(ISSUER), &json!("system:serviceaccount:default:robot"))
    );
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 3600);
    assert_eq!(said["kubernetes.io"]["serviceaccount"]["uid"], account["metadata"]["uid"]);
    let user =
        bearer(&server, Method::POST, REVIEW, &text).await.is(201)["status"]["userInfo"].clone();
    assert_eq!(user["username"], "system:serviceaccount:default:robot");
    assert_eq!(user["uid"], account["metadata"]["uid"]);
    assert_eq!(
        user["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    let id = format!("JTI={}", said["jti"].as_str().unwrap());
    assert_eq!(user["extra"]["authentication.kubernetes.io/credential-id"], json!([id]));

    // RBAC holds for it as for everybody.
    let refused = bearer(&server, Method::GET, PODS, &text).await.fails(403, "Forbidden");
    assert!(
        refused.contains("User \"system:serviceaccount:default:robot\" cannot list"),
        "{refused}"
    );
    let subject = json!([{ "kind": "ServiceAccount", "name": "robot", "namespace": "default" }]);
    server.bind("cluster-admin", subject).await;
    bearer(&server, Method::GET, PODS, &text).await.is(200);
    bearer(&server, Method::GET, "/.well-known/openid-configuration", &text).await.is(200);
    let keys = bearer(&server, Method::GET, "/openid/v1/jwks", &text).await.is(200);
    assert_eq!((&keys["keys"][0]["alg"], &keys["keys"][0]["kty"]), (&json!("ES256"), &json!("EC")));

    // A token ends with its account, and one of the same name is another.
    server.delete(&format!("{ACCOUNTS}/robot")).await.is(200);
    bearer(&server, Method::GET, PODS, &text).await.fails(401, "Unauthorized");
    server.post(ACCOUNTS, json!({ "metadata": { "name": "robot" } })).await.is(201);
    bearer(&server, Method::GET, PODS, &text).await.fails(401, "Unauthorized");
    let mut forged = text.into_bytes();
    let middle = forged.len() / 2;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    bearer(&server, Method::GET, PODS, &forged).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn tokens_are_given_for_what_they_may_be() {
    let (server, _) = with_robot().await;
    let pod = json!({
        "metadata": { "name": "p" },
        "spec": {
            "serviceAccountName": "robot",
            "nodeName": "n",
            "containers": [{ "name": "c", "image": "hello:v1" }],
        },
    });
    let pod = server.post(PODS, pod).await.is(201);
    server.pod("other", None).await;
    let bound = |kind: &str, name: &str, uid: &str| json!({ "boundObjectRef": { "apiVersion": "v1", "kind": kind, "name": name, "uid": uid } });
    for (spec, status, reason, message) in [
        (
            json!({ "expirationSeconds": 599 }),
            422,
            "Invalid",
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid \
             value: 599: may not specify a duration less than 10 minutes",
        ),
        (
            json!({ "expirationSeconds": 4_294_967_297_i64 }),
            422,
            "Invalid",
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid \
             value: 4294967297: may not specify a duration larger than 2^32 seconds",
        ),
        (bound("Pod", "none", ""), 404, "NotFound", "pods \"none\" not found"),
        (
            bound("Pod", "other", ""),
            400,
            "BadRequest",
            "cannot bind token for serviceaccount \"robot\" to pod running with different \
             serviceaccount name.",
        ),
        (
            bound("ConfigMap", "c", ""),
            400,
            "BadRequest",
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            bound("Pod", "p", "another"),
            409,
            "Conflict",
            "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference \
             (another) does not match the UID in record. The object might have been deleted and \
             then recreated",
        ),
    ] {
        assert_eq!(token(&server, spec).await.fails(status, reason), message);
    }
    let missing = server.post(&format!("{ACCOUNTS}/none/token"), json!({})).await;
    assert_eq!(missing.fails(404, "NotFound"), "serviceaccounts \"none\" not found");

    let mut spec = bound("Pod", "p", pod["metadata"]["uid"].as_str().unwrap());
    spec["expirationSeconds"] = json!(3607);
    let text = issued(&server, spec).await;
    let said = claims(&text);
    assert_eq!(said["kubernetes.io"]["pod"]["name"], "p");
    assert_eq!(said["kubernetes.io"]["node"], json!({ "name": "n" }));
    let begin = said["iat"].as_i64().unwrap();
    assert_eq!(said["kubernetes.io"]["warnafter"], begin + 3607);
    assert_eq!(said["exp"], begin + 365 * 24 * 3600);
    let user =
        bearer(&server, Method::POST, REVIEW, &text).await.is(201)["status"]["userInfo"].clone();
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));
    assert_eq!(user["extra"]["authentication.kubernetes.io/node-name"], json!(["n"]));
    // It ends with its pod.
    server.delete_with(&format!("{PODS}/p"), json!({ "gracePeriodSeconds": 0 })).await.is(200);
    bearer(&server, Method::POST, REVIEW, &text).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn nodes_get_tokens_for_what_their_pods_need() {
    let (server, _) = with_robot().await;
    let volume = json!({ "name": "vault", "projected": { "sources": [
        { "serviceAccountToken": { "audience": "vault", "path": "token" } },
    ] } });
    let inline = json!({ "name": "disk", "csi": { "driver": "disks.example.com" } });
    let claimed = json!({ "name": "claimed", "persistentVolumeClaim": { "claimName": "c" } });
    let pod = json!({
        "metadata": { "name": "p" },
        "spec": {
            "serviceAccountName": "robot",
            "nodeName": "n",
            "volumes": [volume, inline, claimed],
            "containers": [{ "name": "c", "image": "hello:v1" }],
        },
    });
    let uid = server.post(PODS, pod).await.is(201)["metadata"]["uid"].clone();
    for (name, audience) in [("disks.example.com", "disks"), ("tapes.example.com", "tapes")] {
        let driver = json!({ "metadata": { "name": name },
            "spec": { "tokenRequests": [{ "audience": audience }] } });
        server.post("/apis/storage.k8s.io/v1/csidrivers", driver).await.is(201);
    }
    let resources = json!({ "requests": { "storage": "1Gi" } });
    let claim = json!({ "metadata": { "name": "c" }, "spec": {
        "accessModes": ["ReadWriteOnce"], "volumeName": "v", "resources": resources } });
    server.post("/api/v1/namespaces/default/persistentvolumeclaims", claim).await.is(201);
    let backing = json!({ "metadata": { "name": "v" }, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" },
        "csi": { "driver": "tapes.example.com", "volumeHandle": "7" } } });
    server.post("/api/v1/persistentvolumes", backing).await.is(201);
    let role = json!({ "metadata": { "name": "pulls" }, "rules": [{ "apiGroups": [""],
        "verbs": ["request-serviceaccounts-token-audience"], "resources": ["registry"] }] });
    server.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", role).await.is(201);
    server.bind("pulls", json!([{ "kind": "User", "name": "system:node:n" }])).await;

    let own = Identity::component("system:node:n");
    let ask = async |node: &Identity, audiences: Value, uid: &Value| {
        let bound = json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid });
        let spec = json!({ "audiences": audiences, "boundObjectRef": bound });
        let body = Some(json!({ "spec": spec }));
        server.as_user(node, Method::POST, &format!("{ACCOUNTS}/robot/token"), body).await
    };
    for audiences in
        [json!([]), json!(["vault"]), json!(["disks"]), json!(["tapes"]), json!(["registry"])]
    {
        ask(&own, audiences, &uid).await.is(201);
    }
    let other = Identity::component("system:node:m");
    let unfit = "serviceaccounts \"robot\" is forbidden: ";
    for (answer, why) in [
        (
            ask(&own, json!(["x"]), &uid).await,
            "audience \"x\" not found in pod spec volume, system:node:n is not authorized to \
             request tokens for this audience",
        ),
        (ask(&own, json!(["vault", "x"]), &uid).await, "node may only request 0 or 1 audiences"),
        (
            ask(&own, json!([]), &json!("")).await,
            "node requested token with a pod binding without a uid",
        ),
        (
            ask(&own, json!([]), &json!("z")).await,
            "the UID in the bound object reference (z) does not match the UID in record. The \
             object might have been deleted and then recreated",
        ),
        (
            server
                .as_user(&own, Method::POST, &format!("{ACCOUNTS}/robot/token"), Some(json!({})))
                .await,
            "node requested token not bound to a pod",
        ),
    ] {
        assert_eq!(answer.fails(403, "Forbidden"), format!("{unfit}{why}"));
    }
    // No pod of that node runs as this account.
    ask(&other, json!([]), &uid).await.fails(403, "Forbidden");
}

#[tokio::test]
async fn a_token_in_a_secret_holds_while_it_stands_there() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_der();
    let read = || ServiceAccountKey::read(&key).unwrap();
    let issuer = ServiceAccountIssuer { key: Some(read()), ..ServiceAccountIssuer::default() };
    let config = Config { service_accounts: issuer, ..Config::default() };
    let server = Server::with(config).await;
    server.api.bootstrap().await.unwrap();
    let account = json!({ "metadata": { "name": "robot" } });
    let account = server.post(ACCOUNTS, account).await.is(201);
    let uid = account["metadata"]["uid"].as_str().unwrap();
    let text = read().secret_token("default", "robot", uid, "kept").unwrap();
    bearer(&server, Method::POST, REVIEW, &text).await.fails(401, "Unauthorized");
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({
        "metadata": { "name": "kept",
            "annotations": { "kubernetes.io/service-account.name": "robot" } },
        "type": "kubernetes.io/service-account-token",
        "stringData": { "token": text },
    });
    server.post(secrets, secret.clone()).await.is(201);
    let user =
        bearer(&server, Method::POST, REVIEW, &text).await.is(201)["status"]["userInfo"].clone();
    assert_eq!(user["username"], "system:serviceaccount:default:robot");
    assert_eq!(user["uid"], uid);
    server.delete(&format!("{secrets}/kept")).await.is(200);
    bearer(&server, Method::POST, REVIEW, &text).await.fails(401, "Unauthorized");
    // Not even under the same name does another token count.
    let mut other = secret;
    other["stringData"]["token"] = json!("another");
    server.post(secrets, other).await.is(201);
    bearer(&server, Method::POST, REVIEW, &text).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn tokens_are_for_their_audience() {
    let (server, _) = with_robot().await;
    let text = issued(&server, json!({ "audiences": ["vault"] })).await;
    bearer(&server, Method::POST, REVIEW, &text).await.fails(401, "Unauthorized");
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let review = async |audiences: Value| {
        let spec = json!({ "spec": { "token": text, "audiences": audiences } });
        server.post(path, spec).await.is(201)["status"].clone()
    };
    let known = review(json!(["vault", "other"])).await;
    assert_eq!((&known["authenticated"], &known["audiences"]), (&json!(true), &json!(["vault"])));
    let other = review(json!([])).await;
    assert_eq!(other["authenticated"], false);
    let error = other["error"].as_str().unwrap();
    assert!(error.contains("is invalid for the target audiences"), "{error}");
    let nothing = server.post(path, json!({})).await.fails(400, "BadRequest");
    assert_eq!(nothing, "token is required for TokenReview in authentication");
}

#[tokio::test]
async fn nodes_make_themselves_known_by_bootstrap_tokens() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    let secret = json!({
        "metadata": { "name": "bootstrap-token-abcdef" },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": "abcdef",
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:workers",
        },
    });
    server.post("/api/v1/namespaces/kube-system/secrets", secret).await.is(201);
    let text = "abcdef.0123456789abcdef";
    let user =
        bearer(&server, Method::POST, REVIEW, text).await.is(201)["status"]["userInfo"].clone();
    assert_eq!(user["username"], "system:bootstrap:abcdef");
    assert_eq!(
        user["groups"],
        json!(["system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"])
    );
    let wrong = "abcdef.0123456789abcdee";
    bearer(&server, Method::POST, REVIEW, wrong).await.fails(401, "Unauthorized");
    server.delete("/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef").await.is(200);
    bearer(&server, Method::POST, REVIEW, text).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn callers_act_as_others_if_they_may() {
    let server = Server::new().await;
    let act = async |caller: Identity, headers: &[(&str, &str)]| {
        let mut request = Request::post(REVIEW).extension(std::sync::Arc::new(caller));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        server.send(request.body(Body::from("{}")).unwrap()).await
    };
    server.api.bootstrap().await.unwrap();
    let master = || Identity::master("root");
    let seen = act(
        master(),
        &[
            ("Impersonate-User", "joe"),
            ("Impersonate-Group", "devs"),
            ("Impersonate-Group", "ops"),
            ("Impersonate-Uid", "7"),
            ("Impersonate-Extra-Reason%2Fwhy", "test"),
        ],
    )
    .await
    .is(201)["status"]["userInfo"]
        .clone();
    assert_eq!(
        seen,
        json!({
            "username": "joe",
            "uid": "7",
            "groups": ["devs", "ops", "system:authenticated"],
            "extra": { "reason/why": ["test"] },
        })
    );
    let robot = ("Impersonate-User", "system:serviceaccount:a:robot");
    let seen = act(master(), &[robot]).await.is(201)["status"]["userInfo"]["groups"].clone();
    assert_eq!(
        seen,
        json!(["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"])
    );
    let jane = || Identity::new("jane", &["system:authenticated"]);
    for (headers, message) in [
        (
            vec![("Impersonate-User", "joe")],
            "users \"joe\" is forbidden: User \"jane\" cannot impersonate resource \"users\" in API \
             group \"\" at the cluster scope",
        ),
        (
            vec![robot],
            "serviceaccounts \"robot\" is forbidden: User \"jane\" cannot impersonate resource \
             \"serviceaccounts\" in API group \"\" in the namespace \"a\"",
        ),
    ] {
        assert_eq!(act(jane(), &headers).await.fails(403, "Forbidden"), message);
    }
    let rules = json!([{
        "verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["joe"],
    }]);
    let role = json!({ "metadata": { "name": "actor" }, "rules": rules });
    server.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", role).await.is(201);
    server.bind("actor", json!([{ "kind": "User", "name": "jane" }])).await;
    act(jane(), &[("Impersonate-User", "joe")]).await.is(201);
    let more = [("Impersonate-User", "joe"), ("Impersonate-Group", "system:masters")];
    let refused = act(jane(), &more).await.fails(403, "Forbidden");
    assert!(refused.starts_with("groups \"system:masters\" is forbidden"), "{refused}");
    act(master(), &[("Impersonate-Group", "devs")]).await.fails(400, "BadRequest");
}
