//! Requests for certificates from the outside.

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};
use x509_parser::pem::Pem;

use crate::harness::Cluster;

fn request(name: &str, common_name: &str, organization: &str, spec: Value) -> Value {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec![]).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.distinguished_name.push(DnType::OrganizationName, organization);
    let pem = parameters.serialize_request(&key).unwrap().pem().unwrap();
    let mut whole = json!({
        "request": ByteString(pem.into_bytes()),
        "usages": ["client auth"],
        "signerName": "kubernetes.io/kube-apiserver-client",
    });
    json_patch::merge(&mut whole, &spec);
    json!({"metadata": {"name": name}, "spec": whole})
}

async fn make(client: &Client, request: Value) -> CertificateSigningRequest {
    let api = Api::all(client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(request).unwrap()).await.unwrap()
}

async fn approve(client: &Client, name: &str) {
    let api = Api::<CertificateSigningRequest>::all(client.clone());
    let condition = json!({"type": "Approved", "status": "True", "reason": "Fine", "message": ""});
    let patch = Patch::Merge(json!({"status": {"conditions": [condition]}}));
    api.patch_approval(name, &PatchParams::default(), &patch).await.unwrap();
}

/// What became of a request: the reasons of its conditions, and its certificate.
async fn state(client: &Client, name: &str) -> Option<(Vec<String>, Option<ByteString>)> {
    let api = Api::<CertificateSigningRequest>::all(client.clone());
    let status = api.get_opt(name).await.unwrap()?.status.unwrap_or_default();
    let reasons = status.conditions.unwrap_or_default().into_iter();
    Some((reasons.filter_map(|condition| condition.reason).collect(), status.certificate))
}

#[tokio::test(start_paused = true)]
async fn what_is_approved_is_signed_and_later_taken_away() {
    let cluster = Cluster::new(0).await;
    let client = &cluster.client;
    let asked = request("jane", "jane", "dev", json!({"expirationSeconds": 7200}));
    make(client, asked).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(state(client, "jane").await.unwrap(), (vec![], None), "nobody has approved it");
    approve(client, "jane").await;
    let certificate =
        cluster.until("it is signed", async || state(client, "jane").await.unwrap().1).await;
    let block = Pem::iter_from_buffer(&certificate.0).next().unwrap().unwrap();
    let certificate = block.parse_x509().unwrap();
    let validity = certificate.validity();
    let life = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(life, 7200 + 300);
    assert_eq!(certificate.subject().to_string(), "CN=jane, O=dev");
    tokio::time::sleep(std::time::Duration::from_secs(59 * 60)).await;
    assert!(state(client, "jane").await.is_some(), "it is kept for an hour");
    cluster
        .until("nobody needs the request any longer", async || {
            state(client, "jane").await.is_none().then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_signer_does_not_sign_fails() {
    let cluster = Cluster::new(0).await;
    let client = &cluster.client;
    let serving = json!({"usages": ["server auth", "client auth"]});
    make(client, request("web", "web", "dev", serving)).await;
    approve(client, "web").await;
    let (reasons, certificate) = cluster
        .until("it has failed", async || {
            let state = state(client, "web").await.unwrap();
            (state.0.len() == 2).then_some(state)
        })
        .await;
    assert_eq!(reasons, ["Fine", "SignerValidationFailure"]);
    assert!(certificate.is_none());
}

#[tokio::test(start_paused = true)]
async fn new_nodes_are_approved_if_whoever_asks_may_have_them() {
    let cluster = Cluster::new(0).await;
    let client = &cluster.client;
    let kubelet = || {
        json!({"signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"]})
    };
    // The one who asks here may do everything.
    make(client, request("node", "system:node:new", "system:nodes", kubelet())).await;
    let (reasons, _) = cluster
        .until("it is signed", async || {
            let state = state(client, "node").await.unwrap();
            state.1.is_some().then_some(state)
        })
        .await;
    assert_eq!(reasons, ["AutoApproved"]);
    // Whoever asks for something else is left to a person.
    make(client, request("other", "system:node:new", "dev", kubelet())).await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(state(client, "other").await.unwrap(), (vec![], None));
}
