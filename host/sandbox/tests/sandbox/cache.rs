//! Compiled code on disk.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use coracle_sandbox::{Engine, Source};
use tempfile::TempDir;

use crate::cluster::{digest, engine};
use crate::wat::{command, component};

async fn load(engine: &Engine, text: &str) {
    let bytes = ::wat::parse_str(text).unwrap();
    engine.load(&digest(&bytes), Source::Bytes(Bytes::from(bytes))).await.unwrap();
}

/// The counts of compilations and mappings in a fresh engine that loads both kinds of module.
async fn counts(dir: &TempDir) -> (u64, u64) {
    let engine = engine(dir, 4);
    load(&engine, &command("")).await;
    load(&engine, &component("(i32.const 0)")).await;
    (engine.usage().compiled, engine.usage().mapped)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir.join("code")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_second_engine_compiles_nothing() {
    let dir = TempDir::new().unwrap();
    assert_eq!(counts(&dir).await, (2, 0));
    assert_eq!(counts(&dir).await, (0, 2));
}

#[tokio::test]
async fn concurrent_loads_compile_once() {
    let dir = TempDir::new().unwrap();
    let engine = engine(&dir, 4);
    let text = command("");
    futures::future::join_all((0..16).map(|_| load(&engine, &text))).await;
    assert_eq!(engine.usage().compiled, 1);
}

#[tokio::test]
async fn damaged_code_is_compiled_anew() {
    let damages: [fn(&Path); 3] = [
        |file| std::fs::write(file, b"").unwrap(),
        |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(file, bytes).unwrap();
        },
        |file| std::fs::remove_file(file).unwrap(),
    ];
    for damage in damages {
        let dir = TempDir::new().unwrap();
        counts(&dir).await;
        files(dir.path()).iter().for_each(|file| damage(file));
        assert_eq!(counts(&dir).await, (2, 0));
        assert_eq!(counts(&dir).await, (0, 2));
    }
}

#[tokio::test]
async fn only_the_owner_can_touch_compiled_code() {
    let dir = TempDir::new().unwrap();
    counts(&dir).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("code")), 0o700);
    let files = files(dir.path());
    assert_eq!(files.len(), 4, "two modules, each with its checksum: {files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
}
