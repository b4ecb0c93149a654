//! One `PUT`, and what it leaves behind.

use std::time::Duration;

use axum::body::Body;
use coracle_api::module::Form;
use coracle_images::{Digest, collect};
use http::Request;
use serde_json::json;

use crate::cluster::{COMMAND, Cluster, Stranger, wasm};

#[tokio::test]
async fn an_upload_becomes_a_tag() {
    let cluster = Cluster::new();
    let bytes = wasm(COMMAND);
    let answer = cluster.upload("default/hello:v1", bytes.clone()).await;
    assert_eq!(answer.status, 201);
    let digest = Digest::of(&bytes);
    assert_eq!(answer.json()["image"], "hello:v1");
    assert_eq!(answer.json()["digest"], digest.to_string());
    assert_eq!(answer.json()["form"], "CoreCommand");

    let module = cluster.modules.get("default", "hello").unwrap();
    let [tag] = module.spec.tags.as_slice() else { panic!("{:?}", module.spec.tags) };
    assert_eq!((tag.name.as_str(), tag.form), ("v1", Form::CoreCommand));
    assert_eq!(tag.size, bytes.len() as i64);
    assert_eq!(cluster.images.open_bytes(&digest).await.unwrap(), bytes);
}

#[tokio::test]
async fn the_newest_tag_comes_first_and_a_tag_is_replaced() {
    let cluster = Cluster::new();
    let other = wasm(r#"(module (func (export "_start")) (func (export "other")))"#);
    for path in ["default/hello:v1", "default/hello", "default/hello:v3"] {
        assert_eq!(cluster.upload(path, wasm(COMMAND)).await.status, 201);
    }
    cluster.modules.conflict_times(3);
    assert_eq!(cluster.upload("default/hello:v1", other.clone()).await.status, 201);
    let tags = cluster.modules.get("default", "hello").unwrap().spec.tags;
    let names: Vec<&str> = tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["v1", "v3", "latest"]);
    assert_eq!(tags[0].digest, Digest::of(&other).to_string());
}

#[tokio::test]
async fn what_cannot_run_is_refused_with_the_reason() {
    let cluster = Cluster::with_limit(1000);
    let unknown = wasm(r#"(module (import "env" "f" (func)) (func (export "_start")))"#);
    let cases: [(Vec<u8>, u16, &str); 5] = [
        (b"\x1f\x8b\x08".to_vec(), 400, "a gzip file"),
        (b"(module)".to_vec(), 400, "wat2wasm"),
        (unknown, 400, "does not provide: env.f"),
        (wasm("(module)"), 400, "no entry point"),
        (vec![0; 1001], 413, "larger than the limit of 1000 bytes"),
    ];
    for (bytes, code, reason) in cases {
        let answer = cluster.upload("default/bad:v1", bytes).await;
        let status = answer.json();
        assert_eq!(answer.status, code, "{status}");
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["code"], code);
        assert!(status["message"].as_str().unwrap().contains(reason), "{status}");
    }
    assert!(cluster.modules.get("default", "bad").is_none());
    let incoming = std::fs::read_dir(cluster.dir.path().join("incoming")).unwrap().count();
    tokio::task::yield_now().await;
    assert!(incoming <= 1, "{incoming} unfinished files are left");
}

#[tokio::test]
async fn names_are_checked_before_anything_is_stored() {
    let cluster = Cluster::new();
    for path in ["Default/hello", "default/he_llo", "default/hello:", "default/hello:a%20b"] {
        let answer = cluster.upload(path, wasm(COMMAND)).await;
        assert_eq!(answer.json()["reason"], "BadRequest", "{path}");
    }
    assert_eq!(std::fs::read_dir(cluster.dir.path().join("blobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_api_servers_refusal_is_passed_on() {
    let cluster = Cluster::new();
    let answer = cluster.upload("gone/hello", wasm(COMMAND)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (404, &json!("NotFound")));

    let mut request =
        Request::put("/upload/default/hello").body(Body::from(wasm(COMMAND))).unwrap();
    request.extensions_mut().insert(Stranger);
    let answer = cluster.send(request).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (403, &json!("Forbidden")));
    assert_eq!(answer.json()["message"], "the API says Forbidden");
    assert_eq!(std::fs::read_dir(cluster.dir.path().join("blobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_nothing_refers_to_is_removed() {
    let cluster = Cluster::new();
    let other = wasm(r#"(module (func (export "_start")) (func (export "other")))"#);
    cluster.upload("default/kept:v1", wasm(COMMAND)).await;
    cluster.upload("default/gone:v1", other.clone()).await;
    let client = cluster.modules.client();
    let now = Duration::ZERO;
    assert_eq!(collect(&client, &cluster.images, now).await.unwrap().blobs, 0);

    cluster.modules.delete("default", "gone");
    let grace = Duration::from_secs(3600);
    assert_eq!(collect(&client, &cluster.images, grace).await.unwrap().blobs, 0);
    // The module, its configuration and its manifest.
    assert_eq!(collect(&client, &cluster.images, now).await.unwrap().blobs, 3);
    assert!(cluster.images.open_bytes(&Digest::of(&other)).await.is_err());
    let tag = cluster.modules.get("default", "kept").unwrap().spec.tags.remove(0);
    assert!(cluster.images.open_bytes(&tag.digest.parse().unwrap()).await.is_ok());
    assert_eq!(
        cluster.get(&format!("/v2/default/kept/manifests/{}", tag.manifest)).await.status,
        200
    );
}

#[tokio::test]
async fn a_store_keeps_its_blobs_and_throws_away_what_was_incoming() {
    let dir = tempfile::tempdir().unwrap();
    let images = coracle_images::Images::open(dir.path()).unwrap();
    let stored = images.put_bytes(b"something").await.unwrap();
    std::fs::write(dir.path().join("incoming/half"), b"some").unwrap();
    let images = coracle_images::Images::open(dir.path()).unwrap();
    assert_eq!(images.open_bytes(&stored.digest).await.unwrap(), "something");
    assert!(!dir.path().join("incoming/half").exists());
    let again = images.put_bytes(b"something").await.unwrap();
    assert_eq!(again, stored);
    assert_eq!(std::fs::read_dir(dir.path().join("blobs")).unwrap().count(), 1);
}
