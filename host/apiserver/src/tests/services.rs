//! What Services are given.

use serde_json::{Value, json};

use super::{Answer, Server};

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, spec: Value) -> Value {
    let mut body = json!({ "metadata": { "name": name }, "spec": spec });
    body["spec"]["ports"] = json!([{ "port": 80 }]);
    body
}

async fn create(server: &Server, name: &str, spec: Value) -> Answer {
    server.post(SERVICES, service(name, spec)).await
}

#[tokio::test]
async fn addresses_are_given_out_once() {
    let server = Server::new().await;
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..20 {
        let made = create(&server, &format!("s{n}"), json!({})).await.is(201);
        let address = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
        assert!(address.starts_with("10.96."), "{address}");
        assert_eq!(made["spec"]["clusterIPs"], json!([address]));
        assert!(seen.insert(address));
    }
    create(&server, "chosen", json!({ "clusterIP": "10.96.0.10" })).await.is(201);
    let message =
        create(&server, "again", json!({ "clusterIP": "10.96.0.10" })).await.fails(422, "Invalid");
    assert!(message.contains("provided IP is already allocated"), "{message}");
    let message =
        create(&server, "outside", json!({ "clusterIP": "10.1.0.10" })).await.fails(422, "Invalid");
    assert!(message.contains("is not in the valid range. The range of valid IPs is 10.96.0.0/16"));
    // What is deleted is free again.
    server.delete(&format!("{SERVICES}/chosen")).await.is(200);
    create(&server, "again", json!({ "clusterIP": "10.96.0.10" })).await.is(201);
    let headless = create(&server, "headless", json!({ "clusterIP": "None" })).await.is(201);
    assert_eq!(headless["spec"]["clusterIP"], "None");
}

#[tokio::test]
async fn node_ports_come_and_go_with_the_type() {
    let server = Server::new().await;
    let made = create(&server, "a", json!({ "type": "NodePort" })).await.is(201);
    let port = made["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30000..=32767).contains(&port));
    let mut taken = service("b", json!({ "type": "NodePort" }));
    taken["spec"]["ports"][0]["nodePort"] = json!(port);
    let message = server.post(SERVICES, taken.clone()).await.fails(422, "Invalid");
    assert!(message.contains("provided port is already allocated"), "{message}");
    taken["spec"]["ports"][0]["nodePort"] = json!(80);
    let message = server.post(SERVICES, taken).await.fails(422, "Invalid");
    assert!(message.contains("The range of valid ports is 30000-32767"), "{message}");
    // An update that leaves it open keeps it.
    let path = format!("{SERVICES}/a");
    let mut open = made.clone();
    open["spec"]["ports"][0].as_object_mut().unwrap().remove("nodePort");
    open["spec"].as_object_mut().unwrap().remove("clusterIP");
    open["spec"].as_object_mut().unwrap().remove("clusterIPs");
    let kept = server.put(&path, &open).await.is(200);
    assert_eq!(kept["spec"]["ports"][0]["nodePort"], port);
    assert_eq!(kept["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    let patch = json!({ "spec": { "type": "ClusterIP" } });
    let plain = server.patch(&path, "merge-patch", patch).await.is(200);
    assert!(plain["spec"]["ports"][0].get("nodePort").is_none(), "{plain}");
}

#[tokio::test]
async fn what_is_said_in_vain_is_warned_of() {
    let server = Server::new().await;
    let spec = json!({ "clusterIP": "None", "sessionAffinity": "ClientIP" });
    let answer = server.post(SERVICES, service("web", spec)).await;
    answer.is(201);
    let warnings: Vec<_> = answer.headers.get_all(http::header::WARNING).iter().collect();
    assert_eq!(warnings, [r#"299 - "spec.SessionAffinity is ignored for headless services""#]);
}
