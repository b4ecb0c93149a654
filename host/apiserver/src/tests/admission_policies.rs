//! ValidatingAdmissionPolicies and MutatingAdmissionPolicies, Kubernetes' documented ones among
//! them.

use std::sync::Arc;

use coracle_store::{MemoryStore, Store, Value as Stored};
use http::header;
use serde_json::{Value, json};

use super::{CONFIGMAPS, Server};
use crate::{ApiServer, Config};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// A server whose store the test can write to.
pub(super) struct Configurable {
    pub(super) server: Server,
    store: Arc<MemoryStore>,
}

impl Configurable {
    pub(super) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(super) async fn with(config: Config) -> Self {
        let store = Arc::new(MemoryStore::new());
        let api = ApiServer::new(config, store.clone());
        let server = Server { router: api.router(), api };
        let namespace = json!({ "metadata": { "name": "default", "labels": { "env": "test" } } });
        server.post("/api/v1/namespaces", namespace).await.is(201);
        Self { server, store }
    }

    /// Puts an object of `admissionregistration.k8s.io/v1` into force.
    pub(super) async fn configure(&self, plural: &str, name: &str, mut object: Value) {
        object["metadata"] = json!({ "name": name });
        let key = format!("/registry/admissionregistration.k8s.io/{plural}/{name}");
        if let Some(old) = self.store.get(&key).await.unwrap() {
            self.store.delete(&key, old.reopened(), old.modified).await.unwrap();
        }
        self.store.create(&key, Stored::plain(object.to_string())).await.unwrap();
    }

    async fn remove(&self, plural: &str, name: &str) {
        let key = format!("/registry/admissionregistration.k8s.io/{plural}/{name}");
        let old = self.store.get(&key).await.unwrap().unwrap();
        self.store.delete(&key, old.reopened(), old.modified).await.unwrap();
    }

    /// A policy for some resource, and a binding.
    async fn policy(&self, name: &str, resource: &str, mut spec: Value, binding: Value) {
        spec["matchConstraints"] = constraints(resource);
        self.configure("validatingadmissionpolicies", name, json!({ "spec": spec })).await;
        self.bind(name, name, binding).await;
    }

    async fn bind(&self, name: &str, policy: &str, mut binding: Value) {
        binding["policyName"] = json!(policy);
        if binding.get("validationActions").is_none() {
            binding["validationActions"] = json!(["Deny"]);
        }
        let object = json!({ "spec": binding });
        self.configure("validatingadmissionpolicybindings", name, object).await;
    }

    async fn mutation(&self, name: &str, resource: &str, mut spec: Value) {
        spec["matchConstraints"] = constraints(resource);
        spec["reinvocationPolicy"] = json!("IfNeeded");
        self.configure("mutatingadmissionpolicies", name, json!({ "spec": spec })).await;
        let binding = json!({ "spec": { "policyName": name } });
        self.configure("mutatingadmissionpolicybindings", name, binding).await;
    }
}

fn constraints(resource: &str) -> Value {
    json!({ "resourceRules": [{
        "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": [resource],
    }] })
}

fn deployment(name: &str, replicas: i32) -> Value {
    let labels = json!({ "app": name });
    json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "main", "image": "hello:v1" }] },
            },
        },
    })
}

fn configmap(name: &str, data: Value) -> Value {
    json!({ "metadata": { "name": name }, "data": data })
}

#[tokio::test]
async fn replicas_are_limited_where_a_binding_says() {
    let own = Configurable::new().await;
    let spec = json!({
        "failurePolicy": "Fail",
        "validations": [{ "expression": "object.spec.replicas <= 5" }],
    });
    let selector = json!({ "matchResources": {
        "namespaceSelector": { "matchLabels": { "env": "test" } } } });
    own.policy("demo-policy.example.com", "deployments", spec, selector).await;
    let server = &own.server;
    server.post(DEPLOYMENTS, deployment("small", 5)).await.is(201);
    let refused = server.post(DEPLOYMENTS, deployment("large", 6)).await;
    let message = "deployments.apps \"large\" is forbidden: ValidatingAdmissionPolicy \
                   'demo-policy.example.com' with binding 'demo-policy.example.com' denied \
                   request: failed expression: object.spec.replicas <= 5";
    assert_eq!(refused.fails(422, "Invalid"), message);
    let cause = &refused.json()["details"]["causes"][0];
    assert!(cause["message"].as_str().unwrap().starts_with("ValidatingAdmissionPolicy"));
    assert_eq!(cause.get("reason"), None);
    // Elsewhere the binding does not hold.
    server.post("/api/v1/namespaces", json!({ "metadata": { "name": "free" } })).await.is(201);
    let free = DEPLOYMENTS.replace("default", "free");
    server.post(&free, deployment("large", 6)).await.is(201);
    // What is removed holds no longer.
    own.remove("validatingadmissionpolicybindings", "demo-policy.example.com").await;
    server.post(DEPLOYMENTS, deployment("large", 6)).await.is(201);
}

#[tokio::test]
async fn parameters_come_from_objects() {
    let own = Configurable::new().await;
    let spec = json!({
        "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
        "validations": [{
            "expression": "object.spec.replicas <= int(params.data.max)",
            "messageExpression":
                "'object.spec.replicas must be no greater than ' + params.data.max",
            "reason": "Forbidden",
        }],
    });
    let binding = json!({ "paramRef": {
        "name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny" } });
    own.policy("limits", "deployments", spec, binding).await;
    let server = &own.server;
    let denied = server.post(DEPLOYMENTS, deployment("a", 1)).await.fails(422, "Invalid");
    assert!(
        denied.ends_with(
            "failed to configure binding: no params found for policy binding with `Deny` \
             parameterNotFoundAction"
        ),
        "{denied}"
    );
    server.post(CONFIGMAPS, configmap("limits", json!({ "max": "3" }))).await.is(201);
    server.post(DEPLOYMENTS, deployment("a", 3)).await.is(201);
    let denied = server.post(DEPLOYMENTS, deployment("b", 4)).await.fails(403, "Forbidden");
    assert!(denied.ends_with("object.spec.replicas must be no greater than 3"), "{denied}");
    // Every parameter that is selected must agree.
    let mut second = configmap("low", json!({ "max": "2" }));
    second["metadata"]["labels"] = json!({ "limits": "yes" });
    server.post(CONFIGMAPS, second).await.is(201);
    let selector = json!({ "paramRef": {
        "selector": { "matchLabels": { "limits": "yes" } }, "parameterNotFoundAction": "Allow" } });
    own.bind("limits", "limits", selector).await;
    server.post(DEPLOYMENTS, deployment("c", 3)).await.fails(403, "Forbidden");
    server.post(DEPLOYMENTS, deployment("c", 2)).await.is(201);
}

#[tokio::test]
async fn variables_conditions_and_what_is_said() {
    let own = Configurable::new().await;
    let spec = json!({
        "variables": [
            { "name": "environment", "expression":
                "'env' in namespaceObject.metadata.labels ? namespaceObject.metadata.labels.env : 'prod'" },
            { "name": "broken", "expression": "object.data.nothing == '1'" },
            { "name": "both", "expression": "variables.environment + '-' + object.metadata.name" },
        ],
        "matchConditions": [
            { "name": "not-spared", "expression": "object.metadata.name != 'spared'" },
            { "name": "root-is-free", "expression": "request.userInfo.username != 'root'" },
        ],
        "validations": [
            { "expression": "has(object.data.skip) || variables.both == 'test-good'",
              "message": "only good ones", "messageExpression": "'not ' + variables.both" },
            { "expression": "has(object.data.skip) || !variables.broken" },
        ],
    });
    own.policy("p", "configmaps", spec, json!({})).await;
    let server = &own.server;
    let post = |name: &str, data: Value| server.post(CONFIGMAPS, configmap(name, data));
    let denied = post("bad", json!({ "nothing": "0" })).await.fails(422, "Invalid");
    assert!(denied.ends_with("denied request: not test-bad"), "{denied}");
    post("good", json!({ "nothing": "0" })).await.is(201);
    // What fails is told, and only where it is looked at.
    let denied = post("good2", json!({})).await.fails(422, "Invalid");
    assert!(denied.ends_with("not test-good2"), "{denied}");
    post("skipped", json!({ "skip": "1" })).await.is(201);
    post("spared", json!({})).await.is(201);
    server.delete(&format!("{CONFIGMAPS}/good")).await.fails(422, "Invalid");
}

#[tokio::test]
async fn failures_count_as_the_policy_says() {
    let own = Configurable::new().await;
    let spec = |policy: &str| {
        json!({
            "failurePolicy": policy,
            "validations": [{ "expression": "object.data.missing == 'x'" }],
        })
    };
    let server = &own.server;
    own.policy("p", "configmaps", spec("Fail"), json!({})).await;
    let denied = server.post(CONFIGMAPS, configmap("a", json!({}))).await.fails(422, "Invalid");
    let why = "expression 'object.data.missing == 'x'' resulted in error: no such key: missing";
    assert!(denied.ends_with(why), "{denied}");
    own.policy("p", "configmaps", spec("Ignore"), json!({})).await;
    server.post(CONFIGMAPS, configmap("a", json!({}))).await.is(201);
    let missing = json!({ "paramKind": { "apiVersion": "v9", "kind": "Foo" },
        "validations": [{ "expression": "false" }] });
    own.policy("p", "configmaps", missing, json!({ "paramRef": { "name": "x" } })).await;
    let denied = server.post(CONFIGMAPS, configmap("b", json!({}))).await.fails(422, "Invalid");
    assert!(denied.contains("failed to find resource referenced by paramKind: 'v9, Kind=Foo'"));
}

#[tokio::test]
async fn warnings_do_not_refuse() {
    let own = Configurable::new().await;
    let spec = json!({ "validations": [{ "expression": "false", "message": "mind this" }] });
    own.policy("p", "configmaps", spec, json!({ "validationActions": ["Warn", "Audit"] })).await;
    let answer = own.server.post(CONFIGMAPS, configmap("a", json!({}))).await;
    answer.is(201);
    let warning = answer.headers[header::WARNING].to_str().unwrap();
    assert_eq!(
        warning,
        "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p': mind this\""
    );
}

#[tokio::test]
async fn expressions_may_ask_who_may_what() {
    let own = Configurable::new().await;
    let spec = json!({ "validations": [{
        "expression": "authorizer.requestResource.check('create').allowed() && \
            !authorizer.serviceAccount('default', 'x').group('').resource('pods').check('get').allowed() \
            && oldObject == null && request.operation == 'CREATE'" }] });
    own.policy("p", "configmaps", spec, json!({})).await;
    own.server.post(CONFIGMAPS, configmap("a", json!({}))).await.is(201);
}

#[tokio::test]
async fn a_policy_for_everything_leaves_reading_and_subresources_alone() {
    let own = Configurable::new().await;
    let spec = json!({ "validations": [{ "expression": "false" }] });
    own.policy("p", "*", spec, json!({})).await;
    own.server.post(CONFIGMAPS, configmap("a", json!({}))).await.fails(422, "Invalid");
    own.server.get(CONFIGMAPS).await.is(200);
    let namespaces = "/api/v1/namespaces";
    own.server.post(namespaces, json!({ "metadata": { "name": "x" } })).await.fails(422, "Invalid");
    let finalize = format!("{namespaces}/default/finalize");
    let namespace = json!({ "metadata": { "name": "default" }, "spec": { "finalizers": [] } });
    own.server.put(&finalize, &namespace).await.is(200);
}

#[tokio::test]
async fn objects_are_changed_by_patches_and_by_what_is_applied() {
    let own = Configurable::new().await;
    let sidecar = json!({
        "matchConditions": [{ "name": "once", "expression":
            "!object.spec.template.spec.?initContainers.orValue([]).exists(c, c.name == 'mesh')" }],
        "mutations": [{ "patchType": "ApplyConfiguration", "applyConfiguration": { "expression":
            "Object{ spec: Object.spec{ template: Object.spec.template{ \
             spec: Object.spec.template.spec{ initContainers: [ \
             Object.spec.template.spec.initContainers.item{ name: 'mesh', image: 'mesh:v1', \
             restartPolicy: 'Always' } ] } } } }" } }],
    });
    own.mutation("sidecar.example.com", "deployments", sidecar).await;
    let labels = json!({
        "variables": [{ "name": "key", "expression": "'example.com/by_policy'" }],
        "mutations": [
            { "patchType": "JSONPatch", "jsonPatch": { "expression":
                "has(object.metadata.annotations) ? [] : \
                 [JSONPatch{op: 'add', path: '/metadata/annotations', value: {}}]" } },
            { "patchType": "JSONPatch", "jsonPatch": { "expression":
                "[JSONPatch{op: 'add', path: '/metadata/annotations/' + \
                 jsonpatch.escapeKey(variables.key), value: object.metadata.name}]" } },
        ],
    });
    own.mutation("labels.example.com", "deployments", labels).await;
    let made = own.server.post(DEPLOYMENTS, deployment("a", 1)).await.is(201);
    assert_eq!(made["metadata"]["annotations"]["example.com/by_policy"], "a");
    let containers = &made["spec"]["template"]["spec"]["initContainers"];
    assert_eq!(containers.as_array().unwrap().len(), 1);
    assert_eq!(containers[0]["name"], "mesh");
    // What was left out has been completed.
    assert_eq!(containers[0]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["name"], "main");
}

#[tokio::test]
async fn changes_that_cannot_be_made_refuse() {
    let own = Configurable::new().await;
    let mutations = |expression: &str| {
        json!({ "mutations": [{ "patchType": "JSONPatch",
            "jsonPatch": { "expression": expression } }] })
    };
    own.mutation("p", "configmaps", mutations("[JSONPatch{op: 'remove', path: '/nothing'}]")).await;
    let denied = own.server.post(CONFIGMAPS, configmap("a", json!({}))).await.fails(422, "Invalid");
    assert!(denied.contains("policy 'p' with binding 'p' denied request: JSON Patch"), "{denied}");
    let mut lenient = mutations("[JSONPatch{op: 'remove', path: '/nothing'}]");
    lenient["failurePolicy"] = json!("Ignore");
    own.mutation("p", "configmaps", lenient).await;
    own.server.post(CONFIGMAPS, configmap("a", json!({}))).await.is(201);
}

#[tokio::test]
async fn expressions_that_do_not_fit_are_refused() {
    const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
    let server = Server::new().await;
    let policy = |expression: &str, variable: &str| {
        json!({
            "metadata": { "name": "p.example.com" },
            "spec": {
                "matchConstraints": constraints("pods"),
                "variables": [{ "name": "v", "expression": variable }],
                "validations": [{ "expression": expression }],
            },
        })
    };
    let policies = format!("{GROUP}/validatingadmissionpolicies");
    for (expression, variable, why) in [
        (
            "object.x",
            "1",
            "spec.validations[0].expression: Invalid value: \"object.x\": must evaluate to bool",
        ),
        ("foo == 1", "1", "undeclared reference to 'foo' (in container '')"),
        (
            "variables.v == 'x'",
            "1",
            "found no matching overload for '_==_' applied to '(int, string)'",
        ),
        ("variables.w == 1", "1", "undefined field 'w'"),
        ("params == null", "1", "undeclared reference to 'params'"),
        ("request.userInfo.groups.exists(g, g == 1)", "1", "applied to '(string, int)'"),
        ("true", "1 +", "spec.variables[0].expression: Invalid value: \"1 +\": compilation failed"),
    ] {
        let message = server.post(&policies, policy(expression, variable)).await;
        let message = message.fails(422, "Invalid");
        assert!(message.contains(why), "{expression}: {message}");
    }
    server.post(&policies, policy("variables.v == 1", "1")).await.is(201);
    let mutation = json!({
        "metadata": { "name": "m.example.com" },
        "spec": {
            "matchConstraints": constraints("pods"), "reinvocationPolicy": "Never",
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": "[Object{}]" } }],
        },
    });
    let answer = server.post(&format!("{GROUP}/mutatingadmissionpolicies"), mutation).await;
    let message = answer.fails(422, "Invalid");
    let why = "spec.mutations[0].jsonPatch.expression: Invalid value: \"[Object{}]\": must evaluate to list(JSONPatch)";
    assert!(message.contains(why), "{message}");
}

#[tokio::test]
async fn a_policy_holds_from_the_moment_that_it_is_acknowledged() {
    const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
    let server = Server::new().await;
    let policy = json!({
        "metadata": { "name": "p.example.com" },
        "spec": {
            "matchConstraints": constraints("configmaps"),
            "validations": [{ "expression": "object.metadata.name != 'bad'" }],
        },
    });
    let binding = json!({
        "metadata": { "name": "p.example.com" },
        "spec": { "policyName": "p.example.com", "validationActions": ["Deny"] },
    });
    server.post(CONFIGMAPS, configmap("bad", json!({}))).await.is(201);
    server.delete(&format!("{CONFIGMAPS}/bad")).await.is(200);
    server.post(&format!("{GROUP}/validatingadmissionpolicies"), policy).await.is(201);
    let bindings = format!("{GROUP}/validatingadmissionpolicybindings");
    server.post(&bindings, binding).await.is(201);
    server.post(CONFIGMAPS, configmap("bad", json!({}))).await.fails(422, "Invalid");
    server.delete(&format!("{bindings}/p.example.com")).await.is(200);
    server.post(CONFIGMAPS, configmap("bad", json!({}))).await.is(201);
}
