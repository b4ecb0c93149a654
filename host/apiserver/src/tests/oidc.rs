//! Tokens of an issuer of ours on loopback.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Json;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Request, header};
use serde_json::{Value, json};

use super::listener::Listener;
use super::{Answer, Server};
use crate::{AuthenticationConfiguration, Config, OidcOptions, ServiceAccountKey};

const REVIEW: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const TOKEN_REVIEW: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// An issuer: what it tells of itself, its keys, and how often it was asked for them.
struct Issuer {
    listener: Listener,
    url: String,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    configuration: Value,
    keys: Vec<Value>,
    asked: usize,
}

impl Issuer {
    async fn new(key: &ServiceAccountKey) -> Self {
        let told: Arc<Mutex<Told>> = Arc::default();
        let (configured, keys) = (told.clone(), told.clone());
        let configuration =
            move || async move { Json(configured.lock().unwrap().configuration.clone()) };
        let keys = move || async move {
            let mut told = keys.lock().unwrap();
            told.asked += 1;
            Json(json!({ "keys": told.keys }))
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration.clone()))
            .route("/elsewhere", get(configuration))
            .route("/keys", get(keys));
        let listener = Listener::new(&["localhost"], None, router).await;
        let url = format!("https://localhost:{}", listener.address.port());
        {
            let mut told = told.lock().unwrap();
            told.configuration = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
            told.keys = vec![key.jwk()];
        }
        Self { listener, url, told }
    }

    fn authorities(&self) -> String {
        String::from_utf8(BASE64_STANDARD.decode(&self.listener.bundle).unwrap()).unwrap()
    }

    fn asked(&self) -> usize {
        self.told.lock().unwrap().asked
    }

    fn options(&self) -> OidcOptions {
        OidcOptions {
            issuer_url: self.url.clone(),
            client_id: "cluster".into(),
            username_claim: "sub".into(),
            groups_claim: "groups".into(),
            groups_prefix: "oidc:".into(),
            authorities: self.authorities(),
            signing_algorithms: vec!["ES256".into()],
            ..OidcOptions::default()
        }
    }

    /// The claims of a token that holds, and changes of them.
    fn claims(&self, change: Value) -> Value {
        let now = coracle_api::clock::now().as_second();
        let mut claims = json!({
            "iss": self.url, "aud": ["cluster", "other"], "sub": "jane",
            "groups": ["dev"], "iat": now, "exp": now + 600,
        });
        json_patch::merge(&mut claims, &change);
        claims
    }
}

async fn server(authentication: AuthenticationConfiguration) -> Server {
    let server = Server::with(Config { authentication, ..Config::default() }).await;
    server.api.bootstrap().await.unwrap();
    server
}

async fn who(server: &Server, token: &str) -> Answer {
    let request = Request::post(REVIEW).header(header::AUTHORIZATION, format!("Bearer {token}"));
    server.send(request.body(Body::from("{}")).unwrap()).await
}

/// Why a token does not count.
async fn why(server: &Server, token: &str) -> String {
    let review = json!({ "spec": { "token": token } });
    let status = server.post(TOKEN_REVIEW, review).await.is(201)["status"].clone();
    assert_eq!(status["authenticated"], false);
    status["error"].as_str().unwrap().to_owned()
}

/// Why a server with these options does not believe a token.
async fn refused_by(options: OidcOptions, token: &str) -> String {
    let server = server(AuthenticationConfiguration::of(options).unwrap()).await;
    why(&server, token).await
}

#[tokio::test]
async fn an_issuers_tokens_stand_for_its_users() {
    let key = ServiceAccountKey::generate().unwrap();
    let issuer = Issuer::new(&key).await;
    let server = server(AuthenticationConfiguration::of(issuer.options()).unwrap()).await;
    let token = |change: Value| key.sign(&issuer.claims(change)).unwrap();
    let user = who(&server, &token(json!({}))).await.is(201)["status"]["userInfo"].clone();
    assert_eq!(user["username"], format!("{}#jane", issuer.url));
    assert_eq!(user["groups"], json!(["oidc:dev", "system:authenticated"]));
    // Its keys are known from now on.
    who(&server, &token(json!({ "sub": "joe" }))).await.is(201);
    assert_eq!(issuer.asked(), 1);
    // Its tokens are for this server and no other audience of it.
    let review = json!({ "spec": { "token": token(json!({})), "audiences": ["cluster"] } });
    let status = server.post(TOKEN_REVIEW, review).await.is(201)["status"].clone();
    assert_eq!(status["authenticated"], false);

    let second = coracle_api::clock::now().as_second();
    for (change, expected) in [
        (
            json!({ "aud": "other" }),
            "oidc: verify token: expected audience in [\"cluster\"] got [\"other\"]",
        ),
        (json!({ "exp": second - 1 }), "oidc: verify token: token is expired"),
        (json!({ "exp": null }), "oidc: verify token: token is expired"),
        (
            json!({ "nbf": second + 900 }),
            "oidc: verify token: current time is before the nbf (not before) time",
        ),
        (json!({ "sub": null }), "oidc: parse username claims \"sub\": claim not present"),
        (json!({ "iss": "https://else.example.com" }), "invalid bearer token"),
    ] {
        let token = token(change.clone());
        assert_eq!(why(&server, &token).await, expected, "{change}");
        who(&server, &token).await.fails(401, "Unauthorized");
    }
    let forged = ServiceAccountKey::generate().unwrap().sign(&issuer.claims(json!({}))).unwrap();
    let refused = why(&server, &forged).await;
    assert!(refused.contains("failed to verify id token signature"), "{refused}");
    assert_eq!(issuer.asked(), 1, "keys are not asked for at every bad token");
}

#[tokio::test]
async fn keys_that_are_changed_are_fetched_anew() {
    let (first, second) =
        (ServiceAccountKey::generate().unwrap(), ServiceAccountKey::generate().unwrap());
    let issuer = Issuer::new(&first).await;
    let server = server(AuthenticationConfiguration::of(issuer.options()).unwrap()).await;
    let claims = issuer.claims(json!({}));
    let (old, new) = (first.sign(&claims).unwrap(), second.sign(&claims).unwrap());
    who(&server, &old).await.is(201);
    issuer.told.lock().unwrap().keys = vec![second.jwk()];
    who(&server, &new).await.fails(401, "Unauthorized");
    assert_eq!(issuer.asked(), 1, "it is too soon");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    who(&server, &new).await.is(201);
    assert_eq!(issuer.asked(), 2);
    who(&server, &old).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn an_issuer_is_believed_who_is_the_one() {
    let key = ServiceAccountKey::generate().unwrap();
    let issuer = Issuer::new(&key).await;
    let token = key.sign(&issuer.claims(json!({}))).unwrap();
    issuer.told.lock().unwrap().configuration["issuer"] = json!("https://else.example.com");
    let refused = refused_by(issuer.options(), &token).await;
    assert!(refused.contains("issuer did not match the issuer returned by provider"), "{refused}");
    // Nobody known vouches for its server.
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).unwrap();
    let options = OidcOptions { authorities: other.cert.pem(), ..issuer.options() };
    let refused = refused_by(options, &token).await;
    assert!(refused.contains("certificate"), "{refused}");
    assert_eq!(issuer.asked(), 0);
    // Only what it is known to sign with counts.
    let options = OidcOptions { signing_algorithms: vec![], ..issuer.options() };
    let refused = refused_by(options, &token).await;
    assert!(refused.contains("expected [\"RS256\"] got \"ES256\""), "{refused}");
}

#[tokio::test]
async fn a_file_says_what_claims_mean() {
    let key = ServiceAccountKey::generate().unwrap();
    let issuer = Issuer::new(&key).await;
    let file = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {
                "url": issuer.url,
                "discoveryURL": format!("{}/elsewhere", issuer.url),
                "certificateAuthority": issuer.authorities(),
                "audiences": ["cluster"],
            },
            "claimMappings": {
                "username": { "expression": "'staff:' + claims.sub" },
                "groups": { "expression": "claims.groups.filter(g, g != 'secret')" },
                "extra": [{ "key": "example.com/via", "valueExpression": "claims.via" }],
            },
            "claimValidationRules": [{ "claim": "via", "requiredValue": "phone" }],
            "userValidationRules":
                [{ "expression": "!user.username.startsWith('system:')", "message": "reserved" }],
        }],
    });
    let configuration = AuthenticationConfiguration::read(&file.to_string()).unwrap();
    let server = server(configuration).await;
    let token = |change: Value| key.sign(&issuer.claims(change)).unwrap();
    let good = token(json!({ "via": "phone", "groups": ["dev", "secret"] }));
    let user = who(&server, &good).await.is(201)["status"]["userInfo"].clone();
    assert_eq!(user["username"], "staff:jane");
    assert_eq!(user["groups"], json!(["dev", "system:authenticated"]));
    assert_eq!(user["extra"], json!({ "example.com/via": ["phone"] }));
    let refused = why(&server, &token(json!({ "via": "post" }))).await;
    assert!(refused.contains("required claim via value does not match"), "{refused}");
}
