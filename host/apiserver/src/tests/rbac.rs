//! Roles and bindings.

use serde_json::json;

use super::Server;

const ROOT: &str = "/apis/rbac.authorization.k8s.io/v1";

#[tokio::test]
async fn roles_and_bindings_are_kept() {
    let server = Server::new().await;
    let roles = format!("{ROOT}/clusterroles");
    let rules = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }]);
    let role = json!({ "metadata": { "name": "system:reader" }, "rules": rules });
    // An update of what does not exist makes it.
    server.put(&format!("{roles}/system:reader"), &role).await.is(201);
    let message = server
        .post(&roles, json!({ "metadata": { "name": "a" }, "rules": [{}] }))
        .await
        .fails(422, "Invalid");
    assert!(message.starts_with("ClusterRole.rbac.authorization.k8s.io \"a\" is invalid: [rules[0].verbs: Required value"), "{message}");
    let message = server
        .post(&roles, json!({ "metadata": { "name": "a%b" }, "rules": rules }))
        .await
        .fails(422, "Invalid");
    assert!(message.ends_with("metadata.name: Invalid value: \"a%b\": may not contain '%'"));

    let bindings = format!("{ROOT}/namespaces/default/rolebindings");
    let binding = json!({
        "metadata": { "name": "b" },
        "roleRef": { "kind": "ClusterRole", "name": "system:reader" },
        "subjects": [
            { "kind": "User", "name": "jane" },
            { "kind": "ServiceAccount", "name": "robot", "namespace": "default" },
        ],
    });
    let mut made = server.post(&bindings, binding).await.is(201);
    assert_eq!(made["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    assert_eq!(made["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
    assert!(made["subjects"][1].get("apiGroup").is_none());
    made["roleRef"]["name"] = json!("other");
    let message = server.put(&format!("{bindings}/b"), &made).await.fails(422, "Invalid");
    assert!(message.ends_with("cannot change roleRef"), "{message}");

    let table = "application/json;as=Table;g=meta.k8s.io;v=v1";
    let table = server.accept(&bindings, table).await.is(200);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[1], "ClusterRole/system:reader");
    assert_eq!(&cells[3..], ["jane", "", "default/robot"]);
}
