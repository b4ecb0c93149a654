//! Ingresses, network policies, and the addresses of Services.

use serde_json::json;

use super::Server;

const ROOT: &str = "/apis/networking.k8s.io/v1";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

#[tokio::test]
async fn network_policies_are_completed() {
    let server = Server::new().await;
    let policies = format!("{ROOT}/namespaces/default/networkpolicies");
    // The database is there for the frontend only.
    let policy = json!({
        "metadata": { "name": "db" },
        "spec": {
            "podSelector": { "matchLabels": { "app": "db" } },
            "ingress": [{
                "from": [{ "podSelector": { "matchLabels": { "app": "frontend" } } }],
                "ports": [{ "port": 6379 }],
            }],
        },
    });
    let made = server.post(&policies, policy).await.is(201);
    assert_eq!(made["spec"]["policyTypes"], json!(["Ingress"]));
    assert_eq!(made["spec"]["ingress"][0]["ports"][0]["protocol"], "TCP");
    assert_eq!(made["metadata"]["generation"], 1);
    let table = server.accept(&policies, TABLE).await.is(200);
    assert_eq!(table["rows"][0]["cells"][1], "app=db");
    let closed = json!({ "spec": { "ingress": null } });
    let changed = server.patch(&format!("{policies}/db"), "merge-patch", closed).await.is(200);
    assert_eq!(changed["metadata"]["generation"], 2);
    let message = server
        .post(
            &policies,
            json!({ "metadata": { "name": "x" }, "spec": { "ingress": [{ "from": [{}] }] } }),
        )
        .await
        .fails(422, "Invalid");
    assert_eq!(
        message,
        "NetworkPolicy.networking.k8s.io \"x\" is invalid: spec.ingress[0].from[0]: Required value: must specify a peer"
    );
}

#[tokio::test]
async fn ingresses_and_their_classes() {
    let server = Server::new().await;
    let classes = format!("{ROOT}/ingressclasses");
    let class = json!({ "metadata": { "name": "web" }, "spec": {
        "controller": "example.com/web", "parameters": { "kind": "ConfigMap", "name": "c" } } });
    let made = server.post(&classes, class).await.is(201);
    assert_eq!(made["spec"]["parameters"]["scope"], "Cluster");
    let other = json!({ "spec": { "controller": "example.com/other" } });
    let message = server.patch(&format!("{classes}/web"), "merge-patch", other).await;
    assert!(message.fails(422, "Invalid").contains("spec.controller: Invalid value"));

    let ingresses = format!("{ROOT}/namespaces/default/ingresses");
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let ingress = json!({
        "metadata": { "name": "i", "annotations": { "kubernetes.io/ingress.class": "old" } },
        "spec": {
            "ingressClassName": "web",
            "rules": [{ "host": "a.example.com", "http": { "paths": [
                { "path": "/", "pathType": "Prefix", "backend": backend },
            ] } }],
            "tls": [{ "hosts": ["a.example.com"] }],
        },
    });
    let message = server.post(&ingresses, ingress.clone()).await.fails(422, "Invalid");
    assert!(message.contains("must match `ingressClassName`"), "{message}");
    let mut ingress = ingress;
    ingress["metadata"].as_object_mut().unwrap().remove("annotations");
    let made = server.post(&ingresses, ingress).await.is(201);
    assert_eq!(made["status"], json!({ "loadBalancer": {} }));
    let path = format!("{ingresses}/i");
    // An older one may say two things.
    let said = json!({ "metadata": { "annotations": { "kubernetes.io/ingress.class": "old" } } });
    server.patch(&path, "merge-patch", said).await.is(200);
    let point = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "10.0.0.1" }] } } });
    server.patch(&format!("{path}/status"), "merge-patch", point).await.is(200);
    let wrong = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "x" }] } } });
    server.patch(&format!("{path}/status"), "merge-patch", wrong).await.fails(422, "Invalid");
    let table = server.accept(&ingresses, TABLE).await.is(200);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(&cells[1..5], ["web", "a.example.com", "10.0.0.1", "80, 443"]);
}

#[tokio::test]
async fn service_addresses_have_a_range() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    let range = server.get(&format!("{ROOT}/servicecidrs/kubernetes")).await.is(200);
    assert_eq!(range["spec"]["cidrs"], json!(["10.96.0.0/16"]));
    assert_eq!(range["status"]["conditions"][0]["type"], "Ready");
    let address = json!({
        "metadata": { "name": "10.96.0.1" },
        "spec": { "parentRef": { "resource": "services", "namespace": "default", "name": "a" } },
    });
    let addresses = format!("{ROOT}/ipaddresses");
    server.post(&addresses, address).await.is(201);
    let table = server.accept(&addresses, TABLE).await.is(200);
    assert_eq!(table["rows"][0]["cells"][1], "services/default/a");
}
