//! Requests to a server over memory: nothing may end in a 500 or not at all.

use std::sync::Arc;

use axum::Router;
use axum::body::Body as Content;
use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_store::MemoryStore;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Body, Run, Target, Verdict};

const CORE: &str = "/api/v1/namespaces/default";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A server with an object of each kind that targets change.
pub struct Server(Router);

impl Server {
    /// A fresh one.
    pub async fn start() -> anyhow::Result<Self> {
        let api = ApiServer::new(Config::default(), Arc::new(MemoryStore::new()));
        api.bootstrap().await?;
        let server = Self(api.router());
        for (path, body) in fixtures() {
            let request = send(Method::POST, &path, "application/json");
            let code = server.answer(request, body.to_string().into_bytes()).await?.0;
            // What exists already, or is no kind of this server, is no loss.
            anyhow::ensure!(code < 500, "{path}: {code}");
        }
        Ok(server)
    }

    async fn answer(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> anyhow::Result<(u16, bytes::Bytes)> {
        let mut request = request.body(Content::from(body))?;
        if !request.headers().contains_key(header::AUTHORIZATION) {
            let identity = Arc::new(Identity::new("fuzz", &["system:masters"]));
            request.extensions_mut().insert(identity);
        }
        let response = self.0.clone().oneshot(request).await?;
        let code = response.status().as_u16();
        Ok((
            code,
            response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default(),
        ))
    }

    pub(crate) async fn judge(&self, request: http::request::Builder, body: Vec<u8>) -> Verdict {
        // What cannot even be a request never reaches a server.
        if request.headers_ref().is_none() {
            return Ok(false);
        }
        let (code, body) = self.answer(request, body).await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&body);
        // Kubernetes' own code for applied fields that no schema knows.
        let untyped = text.contains("failed to create typed patch object");
        if code == 500 && !untyped || text.contains("panicked") {
            return Err(format!("{code} {text}"));
        }
        Ok(code < 300)
    }
}

fn send(method: Method, path: &str, media: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, media)
}

fn container() -> Value {
    json!({"name": "c", "image": "pause", "args": ["a"], "ports": [{"containerPort": 80}],
        "env": [{"name": "A", "value": "$(B)"}],
        "resources": {"requests": {"cpu": "10m", "memory": "1Mi"}},
        "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}]})
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "seed", "labels": {"a": "b"}, "annotations": {"c": "d"},
            "finalizers": ["example.com/f"]},
        "spec": {"containers": [container()], "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute"}],
            "nodeSelector": {"x": "y"}, "securityContext": {"runAsUser": 1}}})
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "seed"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container()],
                "volumes": [{"name": "v", "configMap": {"name": "m"}}]}}}})
}

fn map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seed",
        "managedFields": [{"manager": "m", "operation": "Apply", "apiVersion": "v1",
            "time": "2026-01-02T03:04:05Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:a": {}}}}]}, "data": {"a": "1"}})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "seed"},
        "spec": {"type": "NodePort", "selector": {"a": "b"},
            "ports": [{"name": "p", "port": 80, "targetPort": "http", "protocol": "TCP"}]}})
}

fn crd(plural: &str, kind: &str) -> Value {
    let rule = json!({"rule": "self.size < 10 && self.names.all(n, n != '')", "message": "no",
        "fieldPath": ".size"});
    let names = json!({"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set",
        "items": {"type": "string", "pattern": "^[a-z]*$", "maxLength": 9}});
    let spec = json!({"type": "object", "required": ["size"], "x-kubernetes-validations": [rule],
        "properties": {"size": {"type": "integer", "default": 1, "minimum": 0}, "names": names,
            "any": {"x-kubernetes-int-or-string": true},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.com")}, "spec": {"group": "example.com",
            "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size",
                    "statusReplicasPath": ".status.size"}},
                "selectableFields": [{"jsonPath": ".spec.size"}],
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}]}})
}

fn policy() -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "seed"}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"],
                "operations": ["CREATE"], "resources": ["*"]}]},
            "variables": [{"name": "v", "expression": "object.metadata.name"}],
            "validations": [{"expression": "variables.v.size() < 300", "messageExpression": "'x'"}]}})
}

fn custom(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Seed", "metadata": {"name": name},
        "spec": {"size": 3, "names": ["a"], "any": "1%", "open": {"x": [1]}}})
}

fn custom_path() -> String {
    "/apis/example.com/v1/namespaces/default/seeds".into()
}

fn fixtures() -> Vec<(String, Value)> {
    vec![
        ("/api/v1/namespaces".into(), json!({"metadata": {"name": "default"}})),
        (format!("{CORE}/serviceaccounts"), json!({"metadata": {"name": "default"}})),
        (format!("{CORE}/configmaps"), map()),
        (format!("{CORE}/services"), service()),
        (format!("{CORE}/pods"), pod()),
        ("/apis/apps/v1/namespaces/default/deployments".into(), deployment()),
        (CRDS.into(), crd("seeds", "Seed")),
        (custom_path(), custom("seed")),
    ]
}

fn json_seeds(all: &[Value]) -> Vec<Vec<u8>> {
    all.iter().map(|value| value.to_string().into_bytes()).collect()
}

/// The path of the collection that an input of some kind belongs to: by what it says of itself, so
/// that a mutated body still meets the decoder of its kind.
fn home(input: &[u8]) -> String {
    let says = |word: &str| input.windows(word.len()).any(|window| window == word.as_bytes());
    match () {
        () if says("ValidatingAdmissionPolicy") => {
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies".into()
        }
        () if says("CustomResourceDefinition") => CRDS.into(),
        () if says("Deployment") => "/apis/apps/v1/namespaces/default/deployments".into(),
        () if says("example.com/v1") => custom_path(),
        () if says("Service") => format!("{CORE}/services"),
        () if says("Pod") => format!("{CORE}/pods"),
        () => format!("{CORE}/configmaps"),
    }
}

fn dry(path: &str) -> String {
    format!("{path}?dryRun=All&fieldValidation=Warn")
}

fn bodies() -> Vec<Vec<u8>> {
    json_seeds(&[
        map(),
        pod(),
        deployment(),
        service(),
        crd("sprouts", "Sprout"),
        custom("fresh"),
        policy(),
    ])
}

/// Kubernetes' envelope around a message with a name.
fn protobuf_seeds() -> Vec<Vec<u8>> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len().min(127)).unwrap_or(0);
        [&[number << 3 | 2, length], &bytes[..usize::from(length)]].concat()
    };
    let message = |kind: &str| {
        let metadata = [field(1, b"fresh"), field(11, &[field(1, b"a"), field(2, b"b")].concat())];
        let raw =
            [field(1, &metadata.concat()), field(2, &[field(1, b"k"), field(2, b"v")].concat())];
        let kind = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [&b"k8s\0"[..], &field(1, &kind), &field(2, &raw.concat())].concat()
    };
    vec![message("ConfigMap"), message("Pod"), message("Service")]
}

fn patches() -> Vec<Vec<u8>> {
    let containers = json!([{"name": "c", "image": "x"}, {"$patch": "delete", "name": "d"}]);
    let spec = json!({"$setElementOrder/containers": [{"name": "c"}], "containers": containers,
        "$retainKeys": ["containers"], "nodeSelector": {"x": null}});
    let mut all = json_seeds(&[
        json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]),
        json!({"spec": {"replicas": 3, "template": {"spec": spec}}}),
        json!({"metadata": {"labels": {"x": null}, "$deleteFromPrimitiveList/finalizers": ["a"]}}),
        json!([{"op": "add", "path": "/metadata/labels/a~1b", "value": "c"},
            {"op": "test", "path": "/spec/replicas", "value": 2},
            {"op": "move", "from": "/spec/replicas", "path": "/spec/x"},
            {"op": "copy", "from": "/metadata", "path": "/metadata/annotations"},
            {"op": "remove", "path": "/spec/template/spec/containers/0"}]),
        deployment(),
    ]);
    all.push(
        b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: seed}\nspec: {replicas: 1}\n"
            .to_vec(),
    );
    all
}

fn percent(input: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'a'..=b'z'
        | b'A'..=b'Z'
        | b'0'..=b'9'
        | b'-'
        | b'.'
        | b'_'
        | b'~'
        | b'&'
        | b'='
        | b'/' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    input.iter().take(4096).map(escape).collect()
}

fn queries() -> Vec<Vec<u8>> {
    [
        "labelSelector=a in (b,c),d!=e&fieldSelector=metadata.name=seed&limit=1",
        "limit=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJzZWVkXHUwMDAwIn0",
        "resourceVersion=1&resourceVersionMatch=NotOlderThan&timeoutSeconds=1",
        "watch=1&resourceVersion=1&allowWatchBookmarks=true&timeoutSeconds=1",
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1",
        "pretty=true&dryRun=All&fieldManager=x&fieldValidation=Strict",
        "gracePeriodSeconds=0&propagationPolicy=Orphan&orphanDependents=true",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn words(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A request with the input as one header's value, or none that a client could send.
fn with_header(
    method: Method,
    path: &str,
    name: header::HeaderName,
    input: &[u8],
) -> http::request::Builder {
    let value = http::HeaderValue::from_bytes(input);
    let value = value.unwrap_or_else(|_| http::HeaderValue::from_static("x"));
    Request::builder().method(method).uri(path).header(name, value)
}

pub(crate) fn targets() -> Vec<Target> {
    let target =
        |name, seeds, request, body| Target { name, seeds, run: Run::Request(request, body) };
    let patch = |name, request| target(name, patches, request, Body::Input);
    vec![
        target(
            "json",
            bodies,
            |input| send(Method::POST, &dry(&home(input)), "application/json"),
            Body::Input,
        ),
        target(
            "yaml",
            bodies,
            |input| send(Method::POST, &dry(&home(input)), "application/yaml"),
            Body::Input,
        ),
        target(
            "put",
            bodies,
            |input| send(Method::PUT, &dry(&format!("{}/seed", home(input))), "application/json"),
            Body::Input,
        ),
        target(
            "protobuf",
            protobuf_seeds,
            |input| send(Method::POST, &dry(&home(input)), PROTOBUF),
            Body::Input,
        ),
        // Not dry: what is stored must be readable by everything that comes later.
        target(
            "definition",
            || json_seeds(&[crd("sprouts", "Sprout")]),
            |_| send(Method::POST, CRDS, "application/json"),
            Body::Input,
        ),
        target(
            "custom",
            || json_seeds(&[custom("fresh")]),
            |_| send(Method::POST, &dry(&custom_path()), "application/json"),
            Body::Input,
        ),
        patch("json-patch", |_| {
            send(Method::PATCH, &dry(DEPLOYMENT), "application/json-patch+json")
        }),
        patch("merge-patch", |_| {
            send(Method::PATCH, &dry(DEPLOYMENT), "application/merge-patch+json")
        }),
        patch("strategic-patch", |_| {
            send(Method::PATCH, &dry(DEPLOYMENT), "application/strategic-merge-patch+json")
        }),
        patch("apply-patch", |_| {
            let path = format!("{}&fieldManager=fuzz&force=true", dry(DEPLOYMENT));
            send(Method::PATCH, &path, "application/apply-patch+yaml")
        }),
        target(
            "delete-options",
            || {
                json_seeds(&[
                    json!({"apiVersion": "v1", "kind": "DeleteOptions",
            "gracePeriodSeconds": 1, "propagationPolicy": "Foreground", "dryRun": ["All"],
            "preconditions": {"uid": "x", "resourceVersion": "1"}}),
                    json!({"propagationPolicy": "Orphan"}),
                ])
            },
            |_| {
                send(
                    Method::DELETE,
                    &format!("{CORE}/configmaps/seed?dryRun=All"),
                    "application/json",
                )
            },
            Body::Input,
        ),
        target(
            "query",
            queries,
            |input| {
                send(Method::GET, &format!("{CORE}/pods?{}", percent(input)), "application/json")
            },
            Body::Empty,
        ),
        target(
            "path",
            || {
                words(&[
                    "api/v1/namespaces/default/pods/seed/log",
                    "apis/apps/v1/deployments",
                    "openapi/v3/apis/apps/v1",
                    "api/v1/namespaces/default/services/https:seed:p/proxy/x",
                ])
            },
            |input| send(Method::GET, &format!("/{}", percent(input)), "application/json"),
            Body::Empty,
        ),
        target(
            "accept",
            || {
                words(&[
                    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                    "application/vnd.kubernetes.protobuf;q=0.5, application/yaml",
                    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                ])
            },
            |input| with_header(Method::GET, &format!("{CORE}/pods"), header::ACCEPT, input),
            Body::Empty,
        ),
        target(
            "token",
            || {
                words(&[
                    "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJ4In0.c2ln",
                    "Bearer abcdef.0123456789abcdef",
                    "Basic YTpi",
                    "Bearer x",
                ])
            },
            |input| with_header(Method::GET, &format!("{CORE}/pods"), header::AUTHORIZATION, input),
            Body::Empty,
        ),
        target(
            "content-type",
            || words(&["application/json; charset=utf-8", PROTOBUF, "text/plain"]),
            |input| {
                with_header(
                    Method::DELETE,
                    &format!("{CORE}/configmaps/seed?dryRun=All"),
                    header::CONTENT_TYPE,
                    input,
                )
            },
            Body::Empty,
        ),
    ]
}

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/seed";
