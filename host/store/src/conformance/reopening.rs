//! Cases for backends that outlive their process. They open one and the same place again and
//! again, so each needs a place of its own.

use std::sync::Arc;

use super::{keys, text};
use crate::{Error, Range, Result, Store, Value};

/// After an orderly close everything is as it was: bytes, holes, revisions, deletions, lazy writes.
pub async fn reopening_keeps_everything(
    open: impl AsyncFn() -> Result<Arc<dyn Store>>,
) -> Result<()> {
    let store = open().await?;
    let first = store.create("/a", Value::with_hole("<", ">")).await?;
    let kept = store.update("/a", first.reopened(), first.modified).await?;
    let gone = store.create("/b", Value::plain("x")).await?;
    store.delete("/b", Value::plain("x"), gone.modified).await?;
    let lazy = store.create("/c", Value::plain("lazy").lazy()).await?;
    let revision = store.revision().await?;
    assert_eq!(revision, lazy.modified);
    store.close().await?;
    drop(store);

    let store = open().await?;
    assert_eq!(store.revision().await?, revision);
    let page = store.range("", Range::default()).await?;
    assert_eq!(keys(&page.entries), "/a /c");
    let found = &page.entries[0];
    assert_eq!((found.created, found.modified), (first.created, kept.modified));
    assert_eq!((text(found), &found.hole), (text(&kept), &kept.hole));
    assert_eq!((text(&page.entries[1]), page.entries[1].modified), ("lazy", lazy.modified));
    let next = store.update("/a", found.reopened(), kept.modified).await?;
    assert_eq!(next.modified, revision + 1);
    assert_eq!(text(&next), format!("<{}>", revision + 1));
    drop(store);

    let store = open().await?;
    assert_eq!(store.revision().await?, revision + 1, "dropping a store closes it in order");
    store.close().await
}

/// A watch or a read from before a restart either continues without a gap or is told to begin
/// anew.
pub async fn reopening_does_not_pretend_to_know(
    open: impl AsyncFn() -> Result<Arc<dyn Store>>,
) -> Result<()> {
    let store = open().await?;
    let first = store.create("/a", Value::plain("1")).await?;
    store.update("/a", Value::plain("2"), first.modified).await?;
    let revision = store.revision().await?;
    store.close().await?;
    drop(store);

    let store = open().await?;
    for after in [0, first.modified] {
        match store.watch("/", after).await {
            Err(Error::Compacted { .. }) => {}
            Err(error) => return Err(error),
            Ok(watch) => assert!(watch.progress() <= after),
        }
    }
    drop(store.watch("/", revision).await?);
    store.close().await
}
