//! Input that is wrong in every way, and the errors that Kubernetes answers with.

use anyhow::{Context, Result};
use harness::{Answer, Cluster};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

/// A body, and what its sender is told.
struct Refused {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
    code: u16,
    reason: &'static str,
    message: &'static str,
}

const REFUSED: &[Refused] = &[
    Refused {
        path: MAPS,
        content_type: JSON,
        body: r#"{"apiVersion":"#,
        code: 400,
        reason: "BadRequest",
        message: "couldn't get version/kind; json parse error: ",
    },
    Refused {
        path: MAPS,
        content_type: YAML,
        body: "apiVersion: [v1\nkind: ",
        code: 400,
        reason: "BadRequest",
        message: "error converting YAML to JSON: ",
    },
    Refused {
        path: MAPS,
        content_type: JSON,
        body: "[]",
        code: 400,
        reason: "BadRequest",
        message: "couldn't get version/kind; json parse error: ",
    },
    Refused {
        path: MAPS,
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"key":5}}"#,
        code: 400,
        reason: "BadRequest",
        message: r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: json: "#,
    },
    Refused {
        path: MAPS,
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}"#,
        code: 400,
        reason: "BadRequest",
        message: r#"Secret in version "v1" cannot be handled as a ConfigMap"#,
    },
    Refused {
        path: MAPS,
        content_type: "text/plain",
        body: "hello",
        code: 415,
        reason: "UnsupportedMediaType",
        message: "the body of the request was in an unknown format - accepted media types include: \
                  application/json, application/yaml",
    },
    Refused {
        path: MAPS,
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Not_A_Name"}}"#,
        code: 422,
        reason: "Invalid",
        message: r#"ConfigMap "Not_A_Name" is invalid: metadata.name: Invalid value: "Not_A_Name": a lowercase RFC 1123 subdomain must consist of"#,
    },
    Refused {
        path: MAPS,
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"ConfigMap"}"#,
        code: 422,
        reason: "Invalid",
        message: r#"ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required"#,
    },
    Refused {
        path: MAPS,
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"other"}}"#,
        code: 400,
        reason: "BadRequest",
        message: "the namespace of the provided object does not match the namespace sent on the request",
    },
    Refused {
        path: MAPS,
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"5"}}"#,
        code: 500,
        reason: "",
        message: "resourceVersion should not be set on objects to be created",
    },
    Refused {
        path: "/api/v1/namespaces/nowhere/configmaps",
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#,
        code: 404,
        reason: "NotFound",
        message: r#"namespaces "nowhere" not found"#,
    },
    Refused {
        path: "/api/v1/namespaces/default/configmaps?fieldValidation=Strict",
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"dta":{}}"#,
        code: 400,
        reason: "BadRequest",
        message: r#"strict decoding error: unknown field "dta""#,
    },
    Refused {
        path: PODS,
        content_type: JSON,
        body: r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[]}}"#,
        code: 422,
        reason: "Invalid",
        message: "spec.containers: Required value",
    },
    Refused {
        path: PODS,
        content_type: YAML,
        body: "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: A, image: x}]}}",
        code: 422,
        reason: "Invalid",
        message: r#"spec.containers[0].name: Invalid value: "A": a lowercase RFC 1123 label must consist of"#,
    },
    Refused {
        path: PODS,
        content_type: YAML,
        body: "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: \
               [{name: a, image: x, resources: {requests: {cpu: 2}, limits: {cpu: 1}}}]}}",
        code: 422,
        reason: "Invalid",
        message: "must be less than or equal to cpu limit of 1",
    },
    Refused {
        path: "/apis/apps/v1/namespaces/default/deployments",
        content_type: YAML,
        body: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {selector: {matchLabels: \
               {app: a}}, template: {metadata: {labels: {app: b}}, spec: {containers: [{name: a, image: x}]}}}}",
        code: 422,
        reason: "Invalid",
        message: "`selector` does not match template `labels`",
    },
    Refused {
        path: "/api/v1/namespaces/default/services",
        content_type: YAML,
        body: "{apiVersion: v1, kind: Service, metadata: {name: 1a}, spec: {ports: [{port: 99999}]}}",
        code: 422,
        reason: "Invalid",
        message: "must be between 1 and 65535, inclusive",
    },
    Refused {
        path: "/api/v1/namespaces/default/nothings",
        content_type: JSON,
        body: "{}",
        code: 404,
        reason: "NotFound",
        message: "the server could not find the requested resource",
    },
];

/// The `Status` in a body.
fn status(answer: &Answer) -> Result<Value> {
    let status: Value =
        serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
    anyhow::ensure!(status["kind"] == "Status" && status["code"] == answer.code, "{answer:?}");
    Ok(status)
}

/// The cluster still does what it should.
async fn assert_sound(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    kubectl.run("create configmap sound --from-literal=a=b").await?;
    assert_eq!(kubectl.run("get configmap sound -o jsonpath={.data.a}").await?, "b");
    kubectl.run("delete configmap sound").await?;
    kubectl.run("run sound --image=pause --restart=Never").await?;
    kubectl.run("wait pod/sound --for=condition=Ready --timeout=60s").await?;
    kubectl.run("delete pod sound --timeout=60s").await?;
    assert_eq!(kubectl.run("get --raw /readyz").await?, "ok");
    Ok(())
}

#[tokio::test]
async fn wrong_bodies_are_refused_as_kubernetes_does() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut wrong = Vec::new();
    for Refused { path, content_type, body, code, reason, message } in REFUSED {
        let header = format!("Content-Type: {content_type}");
        let answer = cluster.curl(&["-H", &header, "--data-binary", body], path).await?;
        let status = status(&answer)?;
        let told = status["message"].as_str().unwrap_or_default();
        let given = status["reason"].as_str().unwrap_or_default();
        if answer.code != *code || given != *reason || !told.contains(message) {
            wrong
                .push(format!("{path} {body}\n  expected {code} {reason} {message}\n  {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A client that does not ask for strictness is warned.
    let warned = cluster
        .curl(
            &[
                "--include",
                "-H",
                "Content-Type: application/json",
                "--data-binary",
                r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"dta":{}}"#,
            ],
            &format!("{MAPS}?fieldValidation=Warn"),
        )
        .await?;
    assert_eq!(warned.code, 201, "{warned:?}");
    assert!(warned.body.contains(r#"warning: 299 - "unknown field \"dta\"""#), "{warned:?}");

    let stale =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"1"}}"#;
    let stale = ["-X", "PUT", "-H", "Content-Type: application/json", "--data-binary", stale];
    let conflict = cluster.curl(&stale, &format!("{MAPS}/a")).await?;
    assert_eq!(conflict.code, 409);
    assert_eq!(status(&conflict)?["reason"], "Conflict");
    assert_sound(&cluster).await
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() -> Result<()> {
    let cluster = Cluster::start().await?;
    let object = |length: usize| {
        let data = "x".repeat(length);
        format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"large"}},"data":{{"a":"{data}"}}}}"#
        )
    };
    for (length, protocol, code, reason, message) in [
        (1_100_000, "--http2", 422, "Invalid", "Too long: may not be more than 1048576 bytes"),
        (4 << 20, "--http1.1", 413, "RequestEntityTooLarge", "limit is 3145728"),
        (4 << 20, "--http2", 413, "RequestEntityTooLarge", "limit is 3145728"),
        (40 << 20, "--http2", 413, "RequestEntityTooLarge", "limit is 3145728"),
    ] {
        let path = cluster.directory().join("large.json");
        std::fs::write(&path, object(length))?;
        let body = format!("@{}", path.display());
        let arguments = [protocol, "-H", "Content-Type: application/json", "--data-binary", &body];
        let answer = cluster
            .curl(&arguments, MAPS)
            .await
            .with_context(|| format!("{length} bytes over {protocol}"))?;
        let status = status(&answer)?;
        assert_eq!((answer.code, status["reason"].as_str()), (code, Some(reason)), "{status}");
        assert!(status["message"].as_str().is_some_and(|told| told.contains(message)), "{status}");
    }
    assert_sound(&cluster).await
}

#[tokio::test]
async fn who_is_not_known_gets_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    for path in ["/api/v1/pods", "/apis", "/upload/default/a:v1", "/metrics", "/openapi/v2"] {
        let none = cluster.anonymous(&[], path).await?;
        assert!(matches!(none.code, 401 | 403), "{path}: {none:?}");
        let wrong = cluster.anonymous(&["-H", "Authorization: Bearer wrong"], path).await?;
        assert_eq!(wrong.code, 401, "{path}: {wrong:?}");
    }
    for path in ["/livez", "/readyz", "/version"] {
        assert_eq!(cluster.anonymous(&[], path).await?.code, 200, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn broken_connections_harm_nobody() -> Result<()> {
    let cluster = Cluster::start().await?;
    let address = cluster.url().trim_start_matches("https://").to_owned();
    let mut kept = Vec::new();
    for bytes in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0xff; 4096],
    ] {
        // Some are left open, half a greeting said; some are closed for writing; some are cut off.
        let mut open = TcpStream::connect(&address).await?;
        open.write_all(bytes).await?;
        kept.push(open);
        let mut half = TcpStream::connect(&address).await?;
        half.write_all(bytes).await?;
        half.shutdown().await?;
        let mut rest = Vec::new();
        // The server may answer or reset; either way it ends the connection by itself.
        let _ =
            tokio::time::timeout(std::time::Duration::from_secs(60), half.read_to_end(&mut rest))
                .await
                .context("the server keeps a half-closed connection")?;
        let mut cut = TcpStream::connect(&address).await?;
        cut.write_all(bytes).await?;
        drop(cut);
    }
    // A body that is announced and never comes whole.
    let announced = cluster
        .curl(
            &[
                "--http1.1",
                "--max-time",
                "2",
                "-H",
                "Content-Type: application/json",
                "-H",
                "Content-Length: 1000",
                "--data-binary",
                "{",
            ],
            MAPS,
        )
        .await;
    assert!(announced.is_err(), "{announced:?}");
    let left = cluster.kubectl().run("get configmaps -o name").await?;
    assert_eq!(left, "configmap/kube-root-ca.crt\n");
    assert_sound(&cluster).await
}
