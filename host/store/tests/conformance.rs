//! The conformance suite on every backend, and what only one of them can show.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

use std::sync::Arc;

use coracle_store::{MemoryStore, RedbStore, Store, conformance};
use tempfile::TempDir;

mod memory {
    use super::*;

    async fn open() -> (Arc<dyn Store>, ()) {
        (Arc::new(MemoryStore::with(conformance::options())), ())
    }

    coracle_store::conformance!(open);
}

mod redb {
    use super::*;
    use coracle_store::{Error, Range, Result, Value};

    async fn open() -> (Arc<dyn Store>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = RedbStore::open_with(&folder.path().join("db"), conformance::options());
        (Arc::new(store.unwrap()), folder)
    }

    coracle_store::conformance!(open);

    fn opener(folder: &TempDir) -> impl AsyncFn() -> Result<Arc<dyn Store>> {
        let path = folder.path().join("db");
        async move || Ok(Arc::new(RedbStore::open(&path)?) as Arc<dyn Store>)
    }

    #[tokio::test]
    async fn reopening_keeps_everything() {
        let folder = tempfile::tempdir().unwrap();
        conformance::reopening_keeps_everything(opener(&folder)).await.unwrap();
    }

    #[tokio::test]
    async fn reopening_does_not_pretend_to_know() {
        let folder = tempfile::tempdir().unwrap();
        conformance::reopening_does_not_pretend_to_know(opener(&folder)).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_in_use_is_refused() {
        let (_store, folder) = open().await;
        let error = RedbStore::open(&folder.path().join("db")).err().unwrap();
        assert!(error.to_string().ends_with("is in use by another process"), "{error}");
    }

    #[tokio::test]
    async fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        std::fs::write(&path, "not a database ".repeat(1000)).unwrap();
        assert!(matches!(RedbStore::open(&path).err(), Some(Error::Backend(_))));
        let missing = folder.path().join("no/such/folder/db");
        assert!(matches!(RedbStore::open(&missing).err(), Some(Error::Backend(_))));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let (_store, folder) = open().await;
        let metadata = std::fs::metadata(folder.path().join("db")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_file_does_not_grow_without_bound() {
        let folder = tempfile::tempdir().unwrap();
        let open = opener(&folder);
        let path = folder.path().join("db");
        let store = open().await.unwrap();
        let big = || Value::plain(vec![b'x'; 1 << 20]);
        for n in 0..40 {
            store.create(&format!("/{n}"), big()).await.unwrap();
        }
        for n in 0..40 {
            let key = format!("/{n}");
            let entry = store.get(&key).await.unwrap().unwrap();
            store.delete(&key, Value::plain(""), entry.modified).await.unwrap();
        }
        store.create("/small", Value::plain("kept")).await.unwrap();
        drop(store);
        let store = open().await.unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= 20 << 20);
        assert_eq!(store.range("", Range::default()).await.unwrap().entries.len(), 1);
    }
}
