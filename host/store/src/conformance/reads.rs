//! Cases of ranges, older revisions and compaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::{keys, text};
use crate::{Error, Range, Result, Revision, Store, Value};

/// What `range` and `count` give is exactly the keys that begin with the prefix's characters.
pub async fn prefixes_are_plain(store: Arc<dyn Store>) -> Result<()> {
    let all = ["/a", "/a/", "/a/b", "/a/b/c", "/a/bc", "/a/c", "/b", "0", "/a/\u{e9}"];
    for key in all {
        store.create(key, Value::plain("x")).await?;
    }
    for prefix in ["", "/", "/a", "/a/", "/a/b", "/a/b/", "/a/bc", "/b/", "/c", "1", "/a/\u{e9}"] {
        let mut expected: Vec<_> = all.into_iter().filter(|key| key.starts_with(prefix)).collect();
        expected.sort_unstable();
        let page = store.range(prefix, Range::default()).await?;
        assert_eq!(keys(&page.entries), expected.join(" "), "prefix {prefix:?}");
        assert_eq!(store.count(prefix).await?, expected.len());
    }
    Ok(())
}

/// Pages follow one another without a gap and say how much is left.
pub async fn a_range_is_ordered_and_paged(store: Arc<dyn Store>) -> Result<()> {
    for n in [5, 2, 9, 0, 7, 1, 8, 3, 6, 4] {
        store.create(&format!("/n/{n}"), Value::plain("x")).await?;
    }
    store.create("/m/x", Value::plain("x")).await?;
    store.create("/o/x", Value::plain("x")).await?;
    let page = |after: Option<&str>, limit| {
        let range = Range { at: None, after: after.map(str::to_owned), limit: Some(limit) };
        let store = store.clone();
        async move {
            let page = store.range("/n/", range).await?;
            Ok::<_, Error>((keys(&page.entries), page.remaining))
        }
    };
    assert_eq!(page(None, 4).await?, ("/n/0 /n/1 /n/2 /n/3".into(), 6));
    assert_eq!(page(Some("/n/3"), 4).await?, ("/n/4 /n/5 /n/6 /n/7".into(), 2));
    assert_eq!(page(Some("/n/7"), 4).await?, ("/n/8 /n/9".into(), 0));
    assert_eq!(page(Some("/n/9"), 4).await?, (String::new(), 0));
    assert_eq!(page(Some("/n/75"), 1).await?, ("/n/8".into(), 1));
    assert_eq!(page(Some("/a"), 1).await?, ("/n/0".into(), 9));
    assert_eq!(page(None, 0).await?, (String::new(), 10));
    let revision = store.revision().await?;
    assert_eq!(store.range("/none/", Range::default()).await?.revision, revision);
    Ok(())
}

/// Pages asked for at the revision of the first one show that state, whatever is written since.
pub async fn pages_at_one_revision_ignore_later_writes(store: Arc<dyn Store>) -> Result<()> {
    for n in 0..100 {
        store.create(&format!("/n/{n:03}"), Value::plain(n.to_string())).await?;
    }
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let store = store.clone();
        writers.spawn(async move {
            for n in (writer..100).step_by(4) {
                let key = format!("/n/{n:03}");
                let Some(entry) = store.get(&key).await? else { continue };
                if n % 3 == 0 {
                    store.delete(&key, Value::plain("x"), entry.modified).await?;
                } else {
                    store.update(&key, Value::plain("changed"), entry.modified).await?;
                }
                store.create(&format!("{key}/more"), Value::plain("new")).await?;
            }
            Ok(())
        });
    }
    let mut after = None;
    let mut at = None;
    let mut seen = Vec::new();
    loop {
        let page = store.range("/n/", Range { at, after, limit: Some(7) }).await?;
        if at.is_none() {
            at = Some(page.revision);
        }
        assert_eq!(Some(page.revision), at);
        after = page.entries.last().map(|entry| entry.key.to_string());
        seen.extend(page.entries);
        if page.remaining == 0 {
            break;
        }
    }
    writers.join_all().await.into_iter().collect::<Result<Vec<()>>>()?;
    let whole = store.range("/n/", Range { at, ..Range::default() }).await?;
    assert_eq!(keys(&seen), keys(&whole.entries));
    let revisions = |entries: &[Arc<crate::Entry>]| -> Vec<Revision> {
        entries.iter().map(|entry| entry.modified).collect()
    };
    assert_eq!(revisions(&seen), revisions(&whole.entries));
    assert!(seen.iter().all(|entry| Some(entry.modified) <= at));
    Ok(())
}

/// Each revision shows the state of its moment; one that is yet to come is refused.
pub async fn every_older_state_can_be_read(store: Arc<dyn Store>) -> Result<()> {
    let mut state = BTreeMap::new();
    let mut states = Vec::new();
    for n in 0..60_u64 {
        let key = format!("/{}", n * 7 % 10);
        let entry = match store.get(&key).await? {
            None => store.create(&key, Value::plain(n.to_string())).await?,
            Some(old) if n % 4 == 0 => store.delete(&key, Value::plain(""), old.modified).await?,
            Some(old) => store.update(&key, Value::plain(n.to_string()), old.modified).await?,
        };
        if store.get(&key).await?.is_some() {
            state.insert(key, n.to_string());
        } else {
            state.remove(&key);
        }
        states.push((entry.modified, state.clone()));
    }
    for (revision, expected) in states {
        let page = store.range("/", Range { at: Some(revision), ..Range::default() }).await?;
        assert_eq!(page.revision, revision);
        let found: BTreeMap<_, _> = page
            .entries
            .iter()
            .map(|entry| (entry.key.to_string(), text(entry).to_owned()))
            .collect();
        assert_eq!(found, expected, "at revision {revision}");
    }
    let current = store.revision().await?;
    let range = Range { at: Some(current + 1), ..Range::default() };
    let future = store.range("/", range).await;
    assert!(matches!(future, Err(Error::Future { asked, current: newest })
        if asked == current + 1 && newest == current));
    Ok(())
}

/// What is compacted can neither be read nor watched; the newest state and later history can.
pub async fn compaction_forgets_history_only(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    let mut entry = store.create("/a", Value::plain("0")).await?;
    store.create("/b", Value::plain("untouched")).await?;
    for n in 1..10 {
        entry = store.update("/a", Value::plain(n.to_string()), entry.modified).await?;
    }
    let current = store.revision().await?;
    let point = current - 3;
    let future = store.compact(current + 1).await;
    assert!(matches!(future, Err(Error::Future { .. })));
    store.compact(point).await?;
    store.compact(before).await?;

    let at = |revision| Range { at: Some(revision), ..Range::default() };
    let forgotten = store.range("/", at(point - 1)).await;
    assert!(matches!(forgotten, Err(Error::Compacted { asked, oldest })
        if asked == point - 1 && oldest == point));
    let forgotten = store.watch("/", point - 1).await;
    assert!(matches!(forgotten, Err(Error::Compacted { oldest, .. }) if oldest == point));
    assert_eq!(keys(&store.range("/", at(point)).await?.entries), "/a /b");
    drop(store.watch("/", point).await?);
    assert!(store.get("/b").await?.is_some_and(|entry| text(&entry) == "untouched"));

    store.compact(current).await?;
    assert_eq!(keys(&store.range("/", at(current)).await?.entries), "/a /b");
    store.create("/c", Value::plain("x")).await?;
    assert_eq!(keys(&store.range("/", at(current)).await?.entries), "/a /b");
    Ok(())
}
