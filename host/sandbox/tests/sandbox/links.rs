//! What modules may import is what is promised, and what may not is named.

use bytes::Bytes;
use coracle_api::capabilities::{INTERFACES, PREVIEW1, PREVIEW1_FUNCTIONS};
use coracle_sandbox::{LoadError, Source};

use crate::cluster::{Cluster, digest};

async fn load(text: &str) -> Result<(), LoadError> {
    let bytes = ::wat::parse_str(text).unwrap();
    load_bytes(bytes).await
}

async fn load_bytes(bytes: Vec<u8>) -> Result<(), LoadError> {
    let cluster = Cluster::new();
    let source = Source::Bytes(Bytes::from(bytes.clone()));
    cluster.engine.load(&digest(&bytes), source).await.map(drop)
}

#[tokio::test]
async fn every_promised_interface_is_linked() {
    let imports: String = INTERFACES
        .iter()
        .map(|(name, line)| format!("(import \"{name}@{line}.0\" (instance))\n"))
        .collect();
    let run = crate::wat::component("(i32.const 0)");
    let text = run.replacen("(component", &format!("(component\n{imports}"), 1);
    load(&text).await.unwrap();
}

#[tokio::test]
async fn every_promised_function_is_linked() {
    // A wrong type is a different error than an unknown name; the linker knows every name.
    for function in PREVIEW1_FUNCTIONS {
        let text = format!(
            "(module (import \"{PREVIEW1}\" \"{function}\" (func)) (func (export \"_start\")))"
        );
        let error = load(&text).await.unwrap_err();
        let LoadError::Link(reason) = &error else { panic!("{function}: {error}") };
        assert!(reason.contains("incompatible import type"), "{function}: {reason}");
    }
}

#[tokio::test]
async fn unknown_imports_are_named() {
    let error = load(
        r#"(module
             (import "env" "b" (func))
             (import "env" "a" (func))
             (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
             (func (export "_start")))"#,
    )
    .await
    .unwrap_err();
    assert_eq!(error.to_string(), "unknown imports: env::a, env::b");
    let text = crate::wat::component("(i32.const 0)").replacen(
        "(component",
        r#"(component (import "wasi:nn/graph@0.2.0" (instance))"#,
        1,
    );
    assert_eq!(load(&text).await.unwrap_err().to_string(), "unknown imports: wasi:nn/graph@0.2.0");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused() {
    assert!(matches!(load("(module)").await, Err(LoadError::NoEntry)));
    assert!(matches!(load("(component)").await, Err(LoadError::NoEntry)));
    for garbage in [&b""[..], b"\x7fELF", b"\0asm\x01\0\0\0\xff", b"\0asm\x0d\0\x01\0\xff"] {
        let error = load_bytes(garbage.to_vec()).await.unwrap_err();
        assert!(matches!(error, LoadError::Compile(_)), "{error}");
    }
}

#[tokio::test]
async fn bytes_must_be_those_of_the_digest() {
    let cluster = Cluster::new();
    let bytes = ::wat::parse_str("(module (func (export \"_start\")))").unwrap();
    let source = Source::Bytes(Bytes::from(bytes));
    let error = cluster.engine.load(&digest(b"other"), source.clone()).await.unwrap_err();
    assert!(matches!(error, LoadError::Damaged { .. }), "{error}");
    for wrong in ["", "sha256:", "sha256:../../etc/passwd", "md5:00"] {
        let error = cluster.engine.load(wrong, source.clone()).await.unwrap_err();
        assert!(matches!(error, LoadError::Digest(_)), "{error}");
    }
}
