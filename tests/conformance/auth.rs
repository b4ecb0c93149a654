//! Who somebody is and what he may do: certificates, service accounts, reviews.

use anyhow::{Context, Result, ensure};
use http::{Request, header};
use serde_json::{Value, json};

use crate::lifecycle::discovered;
use crate::world::{STRATEGIC, World, all, condition, items, name};

#[tokio::test]
async fn certificatesigningrequest_api() -> Result<()> {
    let world = World::new().await?;
    let group = "certificates.k8s.io/v1";
    let subresources = [
        "certificatesigningrequests",
        "certificatesigningrequests/approval",
        "certificatesigningrequests/status",
    ];
    discovered(&world, group, &subresources).await?;
    let key = rcgen::KeyPair::generate()?;
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "e2e-example");
    let pem = parameters.serialize_request(&key)?.pem()?;
    let request = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(pem)
    };
    let path = all(group, "certificatesigningrequests");
    let labels = json!({"test": world.namespace});
    for number in 0..3 {
        let body = json!({
            "metadata": {"name": world.unique(&format!("csr{number}")), "labels": labels},
            // A signer that nobody is.
            "spec": {"request": request, "signerName": "example.com/e2e",
                "expirationSeconds": 3600, "usages": ["client auth"]},
        });
        world.post(&path, &body).await?;
    }
    let selected = format!("{path}?labelSelector=test%3D{}", world.namespace);
    world.items(&selected, 3).await?;
    let one = format!("{path}/{}", world.unique("csr0"));
    let read = world.get(&one).await?;
    ensure!(read["spec"]["username"].is_string() && read["spec"]["request"] == request, "{read}");
    world.patch(&one, STRATEGIC, json!({"metadata": {"annotations": {"patched": "true"}}})).await?;
    world.update(&one, |csr| csr["metadata"]["annotations"]["updated"] = "true".into()).await?;
    let entry = |kind: &str| json!({"type": kind, "status": "True", "reason": "E2E", "message": "Set by a test"});
    let approval = format!("{one}/approval");
    ensure!(name(&world.get(&approval).await?) == name(&read));
    let approved = world
        .update(&approval, |csr| csr["status"]["conditions"] = json!([entry("Approved")]))
        .await?;
    ensure!(condition(&approved, "Approved")["status"] == "True", "{approved}");
    // The approved stays so, whatever is written through the other doors.
    let status = format!("{one}/status");
    let updated = world
        .update(&status, |csr| {
            let mut all = csr["status"]["conditions"].as_array().cloned().unwrap_or_default();
            all.push(entry("StatusUpdate"));
            csr["status"]["conditions"] = all.into();
        })
        .await?;
    ensure!(condition(&updated, "Approved")["status"] == "True", "{updated}");
    ensure!(!condition(&updated, "StatusUpdate").is_null(), "{updated}");
    world.delete(&one).await?;
    world.gone(&one).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    Ok(())
}

async fn account(world: &World, name: &str) -> Result<String> {
    let path = world.path("v1", "serviceaccounts");
    let labels = json!({"account": world.namespace});
    world.post(&path, &json!({"metadata": {"name": name, "labels": labels}})).await?;
    Ok(format!("{path}/{name}"))
}

/// A token of a service account for the server itself or for `audiences`.
async fn token(world: &World, account: &str, audiences: Value) -> Result<String> {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": audiences, "expirationSeconds": 3600}});
    let made = world.post(&format!("{account}/token"), &request).await?;
    ensure!(made["status"]["expirationTimestamp"].is_string(), "{made}");
    Ok(made["status"]["token"].as_str().context("a token")?.to_owned())
}

async fn review(world: &World, token: &str, audiences: Value) -> Result<Value> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token, "audiences": audiences}});
    Ok(world.post(&all("authentication.k8s.io/v1", "tokenreviews"), &body).await?["status"].clone())
}

#[tokio::test]
async fn serviceaccount_create_and_review_token() -> Result<()> {
    let world = World::new().await?;
    let account = account(&world, "robot").await?;
    let token = token(&world, &account, json!([])).await?;
    let status = review(&world, &token, json!([])).await?;
    ensure!(status["authenticated"] == true, "{status}");
    let user = format!("system:serviceaccount:{}:robot", world.namespace);
    ensure!(status["user"]["username"] == user, "{status}");
    let groups = status["user"]["groups"].to_string();
    for group in ["system:serviceaccounts", &format!("system:serviceaccounts:{}", world.namespace)]
    {
        ensure!(groups.contains(&format!("\"{group}\"")), "{groups}");
    }
    let status = review(&world, &format!("{token}x"), json!([])).await?;
    ensure!(status["authenticated"] != true, "{status}");
    // A token is nothing to those it was not made for.
    let other = self::token(&world, &account, json!(["vault"])).await?;
    ensure!(review(&world, &other, json!([])).await?["authenticated"] != true);
    ensure!(review(&world, &other, json!(["vault"])).await?["authenticated"] == true);
    // With its account goes the token.
    world.delete(&account).await?;
    for _ in 0..50 {
        if review(&world, &token, json!([])).await?["authenticated"] != true {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("the token outlives its account")
}

#[tokio::test]
async fn oidc_discovery_serviceaccountissuerdiscovery() -> Result<()> {
    let world = World::new().await?;
    let document = world.get("/.well-known/openid-configuration").await?;
    let issuer = document["issuer"].as_str().context("an issuer")?;
    let keys = document["jwks_uri"].as_str().context("keys")?;
    ensure!(keys.ends_with("/openid/v1/jwks"), "{document}");
    let keys = world.get("/openid/v1/jwks").await?;
    let keys = keys["keys"].as_array().context("keys")?;
    ensure!(!keys.is_empty() && keys.iter().all(|key| key["kid"].is_string()), "{keys:?}");
    // A token names that issuer and one of the keys.
    let account = account(&world, "robot").await?;
    let token = token(&world, &account, json!([])).await?;
    let mut parts = token.split('.').map(|part| {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part)?;
        Ok::<Value, anyhow::Error>(serde_json::from_slice(&bytes)?)
    });
    let head = parts.next().context("a header")??;
    let claims = parts.next().context("claims")??;
    ensure!(claims["iss"] == issuer, "{claims}");
    ensure!(keys.iter().any(|key| key["kid"] == head["kid"]), "{head} {keys:?}");
    // Service accounts may read both.
    for path in ["/.well-known/openid-configuration", "/openid/v1/jwks"] {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let answer = world.send(request.body(Vec::new())?).await?;
        ensure!(answer.code == 200, "{path}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn rootca_configmap_test() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "configmaps/kube-root-ca.crt");
    let map = world.until(&path, |_| true).await?;
    let certificate = map["data"]["ca.crt"].clone();
    ensure!(certificate.to_string().contains("BEGIN CERTIFICATE"), "{map}");
    world.delete(&path).await?;
    world.until(&path, |one| one["metadata"]["uid"] != map["metadata"]["uid"]).await?;
    world.merge(&path, json!({"data": {"ca.crt": ""}})).await?;
    world.until(&path, |one| one["data"]["ca.crt"] == certificate).await?;
    Ok(())
}

#[tokio::test]
async fn serviceaccount_lifecycle_test() -> Result<()> {
    let world = World::new().await?;
    let path = world.path("v1", "serviceaccounts");
    let selector = format!("labelSelector=account%3D{}", world.namespace);
    let mut watch = world.watch_from_now(&path, &selector).await?;
    let one = account(&world, "robot").await?;
    watch.until("ADDED", |one| name(one) == "robot").await?;
    let patched =
        world.patch(&one, STRATEGIC, json!({"automountServiceAccountToken": false})).await?;
    ensure!(patched["automountServiceAccountToken"] == false, "{patched}");
    watch.until("MODIFIED", |one| one["automountServiceAccountToken"] == false).await?;
    world.items(&format!("{}?{selector}", all("v1", "serviceaccounts")), 1).await?;
    world.delete(&format!("{path}?{selector}")).await?;
    watch.until("DELETED", |one| name(one) == "robot").await?;
    // The one that every namespace has is made again.
    world.delete(&format!("{path}/default")).await?;
    world.until(&format!("{path}/default"), |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn serviceaccount_update_a_serviceaccount() -> Result<()> {
    let world = World::new().await?;
    let one = account(&world, "robot").await?;
    world.update(&one, |one| one["automountServiceAccountToken"] = true.into()).await?;
    ensure!(world.get(&one).await?["automountServiceAccountToken"] == true);
    Ok(())
}

#[tokio::test]
async fn subjectreview_api_operations() -> Result<()> {
    let world = World::new().await?;
    let account = account(&world, "robot").await?;
    let token = token(&world, &account, json!([])).await?;
    let group = "authorization.k8s.io/v1";
    let user = format!("system:serviceaccount:{}:robot", world.namespace);
    let attributes =
        json!({"verb": "list", "resource": "configmaps", "namespace": world.namespace});
    let spec = json!({"user": user, "resourceAttributes": attributes});
    let allowed = async |want: bool| -> Result<()> {
        for (path, kind) in [
            (all(group, "subjectaccessreviews"), "SubjectAccessReview"),
            (world.path(group, "localsubjectaccessreviews"), "LocalSubjectAccessReview"),
        ] {
            let mut body = json!({"apiVersion": group, "kind": kind, "spec": spec});
            if kind.starts_with("Local") {
                body["metadata"] = json!({"namespace": world.namespace});
            }
            let mut status = Value::Null;
            for _ in 0..50 {
                status = world.post(&path, &body).await?["status"].clone();
                if status["allowed"] == want {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            ensure!(status["allowed"] == want, "{kind}: {status}");
        }
        // What is said of it is what it meets.
        let path = world.path("v1", "configmaps");
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let code = world.send(request.body(Vec::new())?).await?.code;
        ensure!(code == if want { 200 } else { 403 }, "{code}");
        Ok(())
    };
    allowed(false).await?;
    let rbac = "rbac.authorization.k8s.io/v1";
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]);
    world
        .post(&world.path(rbac, "roles"), &json!({"metadata": {"name": "lister"}, "rules": rules}))
        .await?;
    let binding = json!({"metadata": {"name": "lister"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lister"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": world.namespace}]});
    world.post(&world.path(rbac, "rolebindings"), &binding).await?;
    allowed(true).await?;
    let myself = json!({"apiVersion": group, "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes}});
    let request = Request::post(all(group, "selfsubjectaccessreviews"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(serde_json::to_vec(&myself)?)?;
    let answer = world.send(request).await?;
    ensure!(answer.json()?["status"]["allowed"] == true, "{answer:?}");
    ensure!(items(&world.get(&world.path(rbac, "rolebindings")).await?).len() == 1);
    Ok(())
}
