//! Requests for certificates.

use http::{Method, header};
use serde_json::{Value, json};

use super::Server;
use crate::Identity;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// A request for jane's certificate, with these fields of its `spec` besides.
fn certificate_request(spec: Value) -> Value {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    let pem = parameters.serialize_request(&key).unwrap().pem().unwrap();
    let mut whole = json!({
        "request": k8s_openapi::ByteString(pem.into_bytes()),
        "usages": ["client auth"],
        "signerName": "example.com/signer",
    });
    json_patch::merge(&mut whole, &spec);
    json!({ "metadata": { "name": "csr" }, "spec": whole })
}

#[tokio::test]
async fn requests_are_approved_and_signed() {
    let server = Server::new().await;
    let mut request = certificate_request(json!({
        "username": "somebody else", "expirationSeconds": 3600,
    }));
    request["status"] = json!({ "conditions": [{ "type": "Approved", "status": "True" }] });
    let caller = Identity { uid: "7".into(), ..Identity::new("jane", &["system:masters", "dev"]) };
    let sent = server.request(Method::POST, REQUESTS);
    let sent = sent.extension(std::sync::Arc::new(caller));
    let sent = sent.header(header::CONTENT_TYPE, "application/json");
    let made = server.send(sent.body(request.to_string().into()).unwrap()).await.is(201);
    assert_eq!(made["spec"]["username"], "jane");
    assert_eq!(made["spec"]["uid"], "7");
    assert_eq!(made["spec"]["groups"], json!(["system:masters", "dev"]));
    assert_eq!(made["status"], json!({}));

    // Nothing about a request changes once it is made.
    let path = format!("{REQUESTS}/csr");
    let other = json!({ "spec": { "signerName": "example.com/other" } });
    let same = server.patch(&path, "merge-patch", other).await.is(200);
    assert_eq!(same["spec"], made["spec"]);

    let approved = json!({ "status": { "conditions": [
        { "type": "Approved", "status": "True", "reason": "Fine", "message": "" },
    ] } });
    let message = server.patch(&format!("{path}/status"), "merge-patch", approved.clone()).await;
    assert!(message.fails(422, "Invalid").contains("updates may not add a condition of type"));
    let approval = format!("{path}/approval");
    let mut whole = server.get(&approval).await.is(200);
    whole["status"] = approved["status"].clone();
    whole["status"]["certificate"] = json!("eA==");
    let made = server.put(&approval, &whole).await.is(200);
    let condition = &made["status"]["conditions"][0];
    assert!(condition["lastUpdateTime"].is_string() && condition["lastTransitionTime"].is_string());
    // Approval is not signing.
    assert!(made["status"].get("certificate").is_none());
    let denied = json!([{ "op": "add", "path": "/status/conditions/-",
        "value": { "type": "Denied", "status": "True" } }]);
    let message = server.patch(&approval, "json-patch", denied).await.fails(422, "Invalid");
    assert!(message.contains("Approved and Denied conditions are mutually exclusive"), "{message}");

    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem();
    let signed = json!({ "status": { "certificate": k8s_openapi::ByteString(pem.into_bytes()) } });
    server.patch(&format!("{path}/status"), "merge-patch", signed).await.is(200);
    let table = server.accept(REQUESTS, "application/json;as=Table;g=meta.k8s.io;v=v1").await;
    let table = table.is(200);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(&cells[2..], ["example.com/signer", "jane", "60m", "Approved,Issued"]);

    let names = |list: &Value| list["items"].as_array().unwrap().len();
    let selected = format!("{REQUESTS}?fieldSelector=spec.signerName%3Dexample.com%2Fsigner");
    assert_eq!(names(&server.get(&selected).await.is(200)), 1);
    let selected = format!("{REQUESTS}?fieldSelector=spec.signerName%3Dother");
    assert_eq!(names(&server.get(&selected).await.is(200)), 0);
}

#[tokio::test]
async fn who_approves_and_signs_may_do_so_for_that_signer() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    server.post(REQUESTS, certificate_request(json!({}))).await.is(201);
    let role = |name: &str, verb: &str, signer: &str| {
        let rule = |verb: &str, resource: &str| {
            json!({ "apiGroups": ["certificates.k8s.io"], "verbs": [verb],
                "resources": [resource] })
        };
        let mut signers = rule(verb, "signers");
        signers["resourceNames"] = json!([signer]);
        let parts = ["certificatesigningrequests/approval", "certificatesigningrequests/status"];
        json!({ "metadata": { "name": name },
            "rules": [rule("patch", parts[0]), rule("patch", parts[1]), signers] })
    };
    for (name, verb, signer) in [
        ("stranger", "approve", "example.com/other"),
        ("approver", "approve", "example.com/*"),
        ("signer", "sign", "example.com/signer"),
    ] {
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
        server.post(path, role(name, verb, signer)).await.is(201);
        server.bind(name, json!([{ "kind": "User", "name": name }])).await;
    }
    let change = async |user: &str, part: &str, status: Value| {
        let identity = Identity::new(user, &["system:authenticated"]);
        let request = server
            .request(Method::PATCH, &format!("{REQUESTS}/csr/{part}"))
            .extension(std::sync::Arc::new(identity))
            .header(header::CONTENT_TYPE, "application/merge-patch+json");
        let body = json!({ "status": status }).to_string();
        server.send(request.body(body.into()).unwrap()).await
    };
    let approved = || json!({ "conditions": [{ "type": "Approved", "status": "True" }] });
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem();
    let signed = json!({ "certificate": k8s_openapi::ByteString(pem.into_bytes()) });
    let refused = |verb: &str| {
        format!(
            "certificatesigningrequests.certificates.k8s.io \"csr\" is forbidden: user not \
             permitted to {verb} requests with signerName \"example.com/signer\""
        )
    };
    for user in ["stranger", "signer"] {
        let why = change(user, "approval", approved()).await.fails(403, "Forbidden");
        assert_eq!(why, refused("approve"), "{user}");
    }
    change("approver", "approval", approved()).await.is(200);
    let why = change("approver", "status", signed.clone()).await.fails(403, "Forbidden");
    assert_eq!(why, refused("sign"));
    // To change nothing is no signing.
    change("approver", "status", json!({})).await.is(200);
    change("signer", "status", signed).await.is(200);
}

#[tokio::test]
async fn a_node_asks_for_certificates_of_its_own() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    let request = |signer: &str| {
        let mut request = certificate_request(json!({ "signerName": signer }));
        request["metadata"] = json!({ "generateName": "csr-" });
        request
    };
    let node = Identity::component("system:node:n");
    let ask = async |signer: &str| {
        server.as_user(&node, Method::POST, REQUESTS, Some(request(signer))).await
    };
    // The subject of these requests is no node.
    ask("kubernetes.io/kube-apiserver-client").await.is(201);
    for signer in ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"] {
        let why = ask(signer).await.fails(403, "Forbidden");
        assert!(why.ends_with("can only create a node CSR with CN=system:node:n"), "{why}");
    }
}
