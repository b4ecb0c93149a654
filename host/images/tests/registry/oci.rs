//! The distribution API, as its specification's conformance suite goes through it.

use axum::body::Body;
use coracle_images::Digest;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::cluster::{Answer, COMMAND, Cluster, Stranger, wasm};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

async fn push_blob(cluster: &Cluster, repository: &str, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let answer = cluster.call(Method::POST, &path, bytes.to_vec()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), format!("/v2/{repository}/blobs/{digest}"));
    digest
}

fn manifest(layer: &[u8], media_type: &str) -> Value {
    let descriptor = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() });
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.wasm.config.v0+json", b"{}"),
        "layers": [descriptor(media_type, layer)],
    })
}

async fn push_manifest(cluster: &Cluster, path: &str, manifest: &Value) -> Answer {
    let request = Request::put(format!("/v2/{path}")).header("content-type", MANIFEST);
    cluster.send(request.body(Body::from(manifest.to_string())).unwrap()).await
}

/// Pushes a module the ordinary way; its manifest's digest.
async fn push(cluster: &Cluster, repository: &str, tag: &str, bytes: &[u8]) -> Digest {
    push_blob(cluster, repository, b"{}").await;
    push_blob(cluster, repository, bytes).await;
    let manifest = manifest(bytes, "application/wasm");
    let answer = push_manifest(cluster, &format!("{repository}/manifests/{tag}"), &manifest).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    let digest = Digest::of(manifest.to_string().as_bytes());
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    digest
}

#[tokio::test]
async fn the_base_says_that_it_is_a_registry() {
    let cluster = Cluster::new();
    for path in ["/v2/", "/v2"] {
        let answer = cluster.get(path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
    assert_eq!(cluster.get("/v2/hello/tags/list").await.error(), (400, "NAME_INVALID".into()));
    assert_eq!(cluster.get("/v2/a/b/c/tags/list").await.error(), (400, "NAME_INVALID".into()));
    assert_eq!(cluster.get("/v2/default/no/tags/list").await.error(), (404, "NAME_UNKNOWN".into()));
}

#[tokio::test]
async fn what_is_pushed_can_be_pulled() {
    let cluster = Cluster::new();
    let bytes = wasm(COMMAND);
    let digest = push(&cluster, "default/hello", "v1", &bytes).await;

    for reference in ["v1", &digest.to_string()] {
        let path = format!("/v2/default/hello/manifests/{reference}");
        let answer = cluster.get(&path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), MANIFEST);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(Digest::of(&answer.body), digest);
        let head = cluster.call(Method::HEAD, &path, Body::empty()).await;
        assert_eq!(head.header("content-length"), answer.body.len().to_string());
        assert!(head.body.is_empty());
    }
    let blob = format!("/v2/default/hello/blobs/{}", Digest::of(&bytes));
    assert_eq!(cluster.get(&blob).await.body, bytes);
    let head = cluster.call(Method::HEAD, &blob, Body::empty()).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "36"));

    let part = Request::get(&blob).header("range", "bytes=1-3").body(Body::empty()).unwrap();
    let part = cluster.send(part).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &b"asm"[..]));
    assert_eq!(part.header("content-range"), "bytes 1-3/36");
    let beyond = Request::get(&blob).header("range", "bytes=99-").body(Body::empty()).unwrap();
    assert_eq!(cluster.send(beyond).await.status, 416);
    assert_eq!(cluster.modules.get("default", "hello").unwrap().spec.tags[0].name, "v1");
}

#[tokio::test]
async fn a_plain_upload_can_be_pulled_too() {
    let cluster = Cluster::new();
    let bytes = wasm(COMMAND);
    cluster.upload("default/hello:v1", bytes.clone()).await;
    let manifest = cluster.get("/v2/default/hello/manifests/v1").await.json();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(cluster.get(&format!("/v2/default/hello/blobs/{layer}")).await.body, bytes);
    let config = manifest["config"]["digest"].as_str().unwrap();
    let config = cluster.get(&format!("/v2/default/hello/blobs/{config}")).await.json();
    assert_eq!(config["os"], "wasip1");
    assert_eq!(config["layerDigests"], json!([layer]));
}

#[tokio::test]
async fn blobs_come_in_chunks() {
    let cluster = Cluster::new();
    let bytes = wasm(COMMAND);
    let digest = Digest::of(&bytes);
    let start = cluster.call(Method::POST, "/v2/default/hello/blobs/uploads/", Body::empty()).await;
    assert_eq!((start.status.as_u16(), start.header("range")), (202, "0-0"));
    let location = start.header("location").to_owned();
    let chunk = |range: &str, bytes: &[u8]| {
        let request = Request::patch(&location).header("content-range", range);
        request.body(Body::from(bytes.to_vec())).unwrap()
    };
    let first = cluster.send(chunk("0-9", &bytes[..10])).await;
    assert_eq!((first.status.as_u16(), first.header("range")), (202, "0-9"));
    let wrong = cluster.send(chunk("20-29", &bytes[20..30])).await;
    assert_eq!((wrong.status.as_u16(), wrong.header("range")), (416, "0-9"));
    let status = cluster.get(&location).await;
    assert_eq!((status.status.as_u16(), status.header("range")), (204, "0-9"));
    assert_eq!(cluster.send(chunk("10-19", &bytes[10..20])).await.status, 202);
    let path = format!("{location}?digest={digest}");
    let last = cluster.call(Method::PUT, &path, bytes[20..].to_vec()).await;
    assert_eq!(last.status, 201);
    assert_eq!(cluster.get(last.header("location")).await.body, bytes);
    assert_eq!(cluster.get(&location).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
}

#[tokio::test]
async fn an_upload_must_be_what_it_says() {
    let cluster = Cluster::with_limit(100);
    let start = cluster.call(Method::POST, "/v2/default/hello/blobs/uploads/", Body::empty()).await;
    let location = start.header("location").to_owned();
    let wrong = format!("{location}?digest={}", Digest::of(b"other"));
    let answer = cluster.call(Method::PUT, &wrong, "bytes").await;
    assert_eq!(answer.error(), (400, "DIGEST_INVALID".into()));

    let start = cluster.call(Method::POST, "/v2/default/hello/blobs/uploads/", Body::empty()).await;
    let location = start.header("location").to_owned();
    let elsewhere = location.replace("hello", "other");
    assert_eq!(cluster.get(&elsewhere).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
    let large = cluster.call(Method::PATCH, &location, vec![0; 101]).await;
    assert_eq!(large.error(), (413, "SIZE_INVALID".into()));
    let cancelled = cluster.call(Method::DELETE, &location, Body::empty()).await;
    assert_eq!(cancelled.status, 404);
}

#[tokio::test]
async fn blobs_are_mounted_from_repositories_that_have_them() {
    let cluster = Cluster::new();
    let bytes = wasm(COMMAND);
    push(&cluster, "default/hello", "v1", &bytes).await;
    let digest = Digest::of(&bytes);
    assert_eq!(
        cluster.get(&format!("/v2/default/copy/blobs/{digest}")).await.error(),
        (404, "BLOB_UNKNOWN".into())
    );
    let mount = |from: &str| format!("/v2/default/copy/blobs/uploads/?mount={digest}&from={from}");
    let no = cluster.call(Method::POST, &mount("default/none"), Body::empty()).await;
    assert_eq!(no.status, 202);
    let yes = cluster.call(Method::POST, &mount("default/hello"), Body::empty()).await;
    assert_eq!(yes.status, 201);
    assert_eq!(cluster.get(yes.header("location")).await.body, bytes);
}

#[tokio::test]
async fn manifests_of_what_cannot_run_are_refused() {
    let cluster = Cluster::new();
    push_blob(&cluster, "default/hello", b"{}").await;
    push_blob(&cluster, "default/hello", b"\x1f\x8b\x08").await;
    let path = "default/hello/manifests/v1";

    let layer = manifest(b"\x1f\x8b\x08", "application/vnd.oci.image.layer.v1.tar+gzip");
    let answer = push_manifest(&cluster, path, &layer).await;
    assert_eq!(answer.error(), (400, "MANIFEST_INVALID".into()));
    assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains("a gzip file"));

    let absent = manifest(b"absent", "application/wasm");
    let answer = push_manifest(&cluster, path, &absent).await;
    assert_eq!(answer.error(), (404, "MANIFEST_BLOB_UNKNOWN".into()));

    let mut lying = manifest(b"\x1f\x8b\x08", "application/wasm");
    lying["layers"][0]["size"] = json!(4);
    let answer = push_manifest(&cluster, path, &lying).await;
    assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains("not 4"));

    let answer = push_manifest(&cluster, "default/hello/manifests/-v", &lying).await;
    assert_eq!(answer.error(), (400, "TAG_INVALID".into()));
    assert!(cluster.modules.get("default", "hello").is_none());
}

#[tokio::test]
async fn lists_come_in_pages() {
    let cluster = Cluster::new();
    for image in ["default/hello:b", "default/hello:a", "default/hello:c", "team/web:v1"] {
        cluster.upload(image, wasm(COMMAND)).await;
    }
    let first = cluster.get("/v2/default/hello/tags/list?n=2").await;
    assert_eq!(first.json(), json!({ "name": "default/hello", "tags": ["a", "b"] }));
    assert_eq!(first.header("link"), "</v2/default/hello/tags/list?n=2&last=b>; rel=\"next\"");
    let second = cluster.get("/v2/default/hello/tags/list?n=2&last=b").await;
    assert_eq!(second.json()["tags"], json!(["c"]));
    assert_eq!(second.header("link"), "");
    let catalog = cluster.get("/v2/_catalog").await;
    assert_eq!(catalog.json(), json!({ "repositories": ["default/hello", "team/web"] }));
}

#[tokio::test]
async fn tags_and_manifests_are_deleted() {
    let cluster = Cluster::new();
    let bytes = wasm(COMMAND);
    let digest = push(&cluster, "default/hello", "v1", &bytes).await;
    push(&cluster, "default/hello", "v2", &bytes).await;
    let delete = async |what: &str| {
        let path = format!("/v2/default/hello/{what}");
        cluster.call(Method::DELETE, &path, Body::empty()).await
    };
    assert_eq!(delete("manifests/v1").await.status, 202);
    assert_eq!(delete("manifests/v1").await.error(), (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(cluster.get("/v2/default/hello/manifests/v2").await.status, 200);
    assert_eq!(delete(&format!("manifests/{digest}")).await.status, 202);
    assert!(cluster.modules.get("default", "hello").is_none());
    let blob = format!("blobs/{}", Digest::of(&bytes));
    assert_eq!(delete(&blob).await.status, 202);
    assert_eq!(delete(&blob).await.error(), (404, "BLOB_UNKNOWN".into()));
}

#[tokio::test]
async fn who_may_not_read_a_module_may_not_pull_it() {
    let cluster = Cluster::new();
    let bytes = wasm(COMMAND);
    push(&cluster, "default/hello", "v1", &bytes).await;
    let blob = format!("/v2/default/hello/blobs/{}", Digest::of(&bytes));
    let requests = [
        (Method::GET, "/v2/default/hello/manifests/v1"),
        (Method::GET, blob.as_str()),
        (Method::GET, "/v2/default/hello/tags/list"),
        (Method::GET, "/v2/_catalog"),
        (Method::POST, "/v2/default/hello/blobs/uploads/"),
        (Method::DELETE, "/v2/default/hello/manifests/v1"),
        (Method::DELETE, blob.as_str()),
    ];
    for (method, path) in requests {
        let request = Request::builder().method(&method).uri(path).extension(Stranger);
        let answer = cluster.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.error(), (403, "DENIED".into()), "{method} {path}");
    }
}
