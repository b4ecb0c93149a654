//! Webhooks and policies of admission, priority and fairness, registered APIs.

use serde_json::json;

use super::Server;

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const FLOW: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";
const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

#[tokio::test]
async fn webhooks_and_policies_are_completed() {
    let server = Server::new().await;
    let hooks = format!("{ADMISSION}/mutatingwebhookconfigurations");
    let hook = json!({
        "metadata": { "name": "h" },
        "webhooks": [{
            "name": "a.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": { "service": { "name": "a", "namespace": "b" } },
            "rules": [{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods"] }],
        }],
    });
    let made = server.post(&hooks, hook).await.is(201);
    let hook = &made["webhooks"][0];
    assert_eq!(hook["clientConfig"]["service"]["port"], 443);
    assert_eq!(
        (&hook["failurePolicy"], &hook["matchPolicy"]),
        (&json!("Fail"), &json!("Equivalent"))
    );
    assert_eq!(
        (&hook["timeoutSeconds"], &hook["reinvocationPolicy"]),
        (&json!(10), &json!("Never"))
    );
    assert_eq!((&hook["rules"][0]["scope"], &hook["objectSelector"]), (&json!("*"), &json!({})));
    let slow = json!([{ "op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 20 }]);
    let changed = server.patch(&format!("{hooks}/h"), "json-patch", slow).await.is(200);
    assert_eq!(changed["metadata"]["generation"], 2);

    let policies = format!("{ADMISSION}/validatingadmissionpolicies");
    let policy = json!({
        "metadata": { "name": "p.example.com" },
        "spec": {
            "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
            "matchConstraints": { "resourceRules": [{ "operations": ["CREATE"],
                "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"] }] },
            "validations": [{ "expression": "object.spec.replicas <= 5" }],
        },
    });
    let made = server.post(&policies, policy).await.is(201);
    assert_eq!(made["spec"]["failurePolicy"], "Fail");
    assert_eq!(made["spec"]["matchConstraints"]["matchPolicy"], "Equivalent");
    let table = server.accept(&policies, TABLE).await.is(200);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(&cells[1..3], [json!(1), json!("v1/ConfigMap")]);
    let binding = json!({
        "metadata": { "name": "b" },
        "spec": { "policyName": "p.example.com", "validationActions": ["Deny"],
            "paramRef": { "name": "x", "namespace": "default", "parameterNotFoundAction": "Deny" } },
    });
    let bindings = format!("{ADMISSION}/validatingadmissionpolicybindings");
    server.post(&bindings, binding).await.is(201);
    let table = server.accept(&bindings, TABLE).await.is(200);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(&cells[1..3], ["p.example.com", "default/x"]);
}

#[tokio::test]
async fn every_cluster_has_flow_schemas_and_levels() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    let levels = server.get(&format!("{FLOW}/prioritylevelconfigurations")).await.is(200);
    assert_eq!(levels["items"].as_array().unwrap().len(), 8);
    let schemas = server.get(&format!("{FLOW}/flowschemas")).await.is(200);
    assert_eq!(schemas["items"].as_array().unwrap().len(), 13);
    let change = json!({ "spec": { "matchingPrecedence": 5 } });
    let path = format!("{FLOW}/flowschemas/catch-all");
    let message = server.patch(&path, "merge-patch", change).await.fails(422, "Invalid");
    assert!(message.ends_with("spec of 'catch-all' must equal the fixed value"), "{message}");
    let table = server.accept(&format!("{FLOW}/prioritylevelconfigurations/system"), TABLE).await;
    let table = table.is(200);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(&cells[..6], ["system", "Limited", "30", "64", "6", "50"]);
    // What a person has made of a suggested one stays.
    let path = format!("{FLOW}/flowschemas/probes");
    server
        .patch(&path, "merge-patch", json!({ "spec": { "matchingPrecedence": 7 } }))
        .await
        .is(200);
    server.api.bootstrap().await.unwrap();
    assert_eq!(server.get(&path).await.is(200)["spec"]["matchingPrecedence"], 7);
}

#[tokio::test]
async fn own_groups_are_registered() {
    let server = Server::new().await;
    server.api.bootstrap().await.unwrap();
    let apps = server.get(&format!("{SERVICES}/v1.apps")).await.is(200);
    assert_eq!(apps["spec"]["groupPriorityMinimum"], 17_800);
    assert_eq!(apps["status"]["conditions"][0]["reason"], "Local");
    let core = server.accept(&format!("{SERVICES}/v1."), TABLE).await.is(200);
    let cells = core["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(&cells[..3], ["v1.", "Local", "True"]);
    let other = json!({
        "metadata": { "name": "v1.metrics.example.com" },
        "spec": { "group": "metrics.example.com", "version": "v1", "groupPriorityMinimum": 100,
            "versionPriority": 100, "service": { "name": "m", "namespace": "default" } },
    });
    let made = server.post(SERVICES, other).await.is(201);
    assert_eq!(made["spec"]["service"]["port"], 443);
    assert_eq!(made["status"], json!({}));
    let wrong = json!({ "metadata": { "name": "x" }, "spec": { "group": "a", "version": "v1",
        "groupPriorityMinimum": 100, "versionPriority": 100 } });
    let message = server.post(SERVICES, wrong).await.fails(422, "Invalid");
    assert!(message.contains("must be `spec.version+\".\"+spec.group`: \"v1.a\""), "{message}");
}
