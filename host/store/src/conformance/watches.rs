//! Cases of watching and closing.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use tokio::task::JoinSet;

use super::{keys, text};
use crate::{Error, Event, Range, Result, Revision, Store, Value, Watch};

/// The next `count` events.
async fn take(watch: &mut Watch, count: usize) -> Result<Vec<Arc<Event>>> {
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        match watch.next().await {
            Some(event) => events.push(event?),
            None => return Err(Error::Closed),
        }
    }
    Ok(events)
}

fn revisions(events: &[Arc<Event>]) -> Vec<Revision> {
    events.iter().map(|event| event.entry.modified).collect()
}

/// From whichever revision a watch begins, it gives all later events and none else.
pub async fn a_watch_resumes_from_every_revision(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    let mut entry = store.create("/a/x", Value::plain("0")).await?;
    for n in 1..30 {
        entry = store.update("/a/x", Value::plain(n.to_string()), entry.modified).await?;
    }
    let current = store.revision().await?;
    let mut watches = Vec::new();
    for after in before..=current {
        watches.push((after, store.watch("/a/", after).await?));
    }
    let live = store.create("/a/y", Value::plain("live")).await?.modified;
    for (after, mut watch) in watches {
        let events = take(&mut watch, usize::try_from(live - after).unwrap_or(0)).await?;
        assert_eq!(revisions(&events), (after + 1..=live).collect::<Vec<_>>());
        assert_eq!(watch.progress(), live);
    }
    Ok(())
}

/// An event has the state it made and the one before.
pub async fn a_watch_shows_what_was_and_what_is(store: Arc<dyn Store>) -> Result<()> {
    let mut watch = store.watch("/", store.revision().await?).await?;
    let first = store.create("/a", Value::plain("one")).await?;
    let second = store.update("/a", Value::plain("two"), first.modified).await?;
    store.delete("/a", Value::plain("three"), second.modified).await?;
    store.create("/a", Value::plain("four")).await?;
    let events = take(&mut watch, 4).await?;
    let shown: Vec<_> = events
        .iter()
        .map(|event| (event.deleted, text(&event.entry), event.previous.as_deref().map(text)))
        .collect();
    let expected = [
        (false, "one", None),
        (false, "two", Some("one")),
        (true, "three", Some("two")),
        (false, "four", None),
    ];
    assert_eq!(shown, expected);
    Ok(())
}

/// Watchers of a deletion see the last state with the deletion's revision in its hole.
pub async fn a_deletion_carries_the_last_state(store: Arc<dyn Store>) -> Result<()> {
    let made = store.create("/a", Value::with_hole("<", ">")).await?;
    let mut live = store.watch("/", made.modified).await?;
    let last = store.delete("/a", made.reopened(), made.modified).await?;
    let mut resumed = store.watch("/", made.modified).await?;
    for watch in [&mut live, &mut resumed] {
        let events = take(watch, 1).await?;
        let event = &events[0];
        assert!(event.deleted);
        assert_eq!(event.entry.modified, last.modified);
        assert_eq!(event.entry.created, made.created);
        assert_eq!(text(&event.entry), format!("<{}>", last.modified));
        assert_eq!(event.previous.as_ref().map(|entry| entry.modified), Some(made.modified));
    }
    Ok(())
}

/// However many write at once, every watcher sees all of it, in the order of revisions, and the
/// same events; and replaying them gives the store's state.
pub async fn watchers_see_concurrent_writes_in_order(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    let mut watchers = JoinSet::new();
    for _ in 0..3 {
        let mut watch = store.watch("/", before).await?;
        watchers.spawn(async move { take(&mut watch, 8 * 75).await });
    }
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..25 {
                let key = format!("/{writer}/{n}");
                let entry = store.create(&key, Value::plain("a")).await?;
                let entry = store.update(&key, Value::plain("b"), entry.modified).await?;
                if n % 2 == 0 {
                    store.delete(&key, Value::plain("c"), entry.modified).await?;
                } else {
                    store.update(&key, Value::plain("c").lazy(), entry.modified).await?;
                }
            }
            Ok(())
        });
    }
    writers.join_all().await.into_iter().collect::<Result<Vec<()>>>()?;
    let logs = watchers.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let current = store.revision().await?;
    for log in &logs {
        assert_eq!(revisions(log), (before + 1..=current).collect::<Vec<_>>());
        assert!(log.iter().zip(&logs[0]).all(|(one, other)| Arc::ptr_eq(one, other)));
    }
    let mut replayed = BTreeMap::new();
    for event in &logs[0] {
        if event.deleted {
            replayed.remove(&event.entry.key);
        } else {
            replayed.insert(event.entry.key.clone(), event.entry.clone());
        }
    }
    let page = store.range("/", Range::default()).await?;
    assert_eq!(keys(replayed.values()), keys(&page.entries));
    Ok(())
}

/// Events of other prefixes do not appear, neither from the log nor live.
pub async fn a_watch_sees_its_prefix_only(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    let all = ["/a/b", "/a/bc", "/a/b/c", "/a", "/b", "/a/b/d/e"];
    let early = store.watch("/a/b/", before).await?;
    for key in all {
        store.create(key, Value::plain("x")).await?;
    }
    let late = store.watch("/a/b/", before).await?;
    store.create("/a/b/end", Value::plain("x")).await?;
    for mut watch in [early, late] {
        let events = take(&mut watch, 3).await?;
        let keys: Vec<_> = events.iter().map(|event| &*event.entry.key).collect();
        assert_eq!(keys, ["/a/b/c", "/a/b/d/e", "/a/b/end"]);
    }
    Ok(())
}

/// A watcher that does not read gets what was queued, then [`Error::Lagged`], then nothing; one
/// that begins where it stopped gets all the rest. Others notice nothing.
pub async fn a_slow_watcher_is_cut_off_and_can_resume(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    let writes = super::options().watch_queue + 200;
    let mut slow = store.watch("/", before).await?;
    let mut good = store.watch("/", before).await?;
    for n in 0..writes {
        store.create(&format!("/{n}"), Value::plain("x").lazy()).await?;
        take(&mut good, 1).await?;
    }
    let mut seen = Vec::new();
    let error = loop {
        match slow.next().await {
            Some(Ok(event)) => seen.push(event.entry.modified),
            Some(Err(error)) => break error,
            None => unreachable!("the watch ended without an error"),
        }
    };
    assert!(matches!(error, Error::Lagged));
    assert!(slow.next().await.is_none());
    let last = slow.progress();
    assert_eq!(seen, (before + 1..=last).collect::<Vec<_>>());
    let current = store.revision().await?;
    assert!(last < current);
    let mut resumed = store.watch("/", last).await?;
    let rest = take(&mut resumed, usize::try_from(current - last).unwrap_or(0)).await?;
    assert_eq!(revisions(&rest), (last + 1..=current).collect::<Vec<_>>());
    Ok(())
}

/// A watch of a quiet prefix learns that nothing happened to it up to later revisions.
pub async fn progress_follows_other_prefixes(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    let mut watch = store.watch("/a/", before).await?;
    assert_eq!(watch.progress(), before);
    let elsewhere = store.create("/b/x", Value::plain("x")).await?.modified;
    assert_eq!(watch.progress(), elsewhere);
    let here = store.create("/a/x", Value::plain("x")).await?.modified;
    assert!(watch.progress() < here, "not before the event was handed out");
    take(&mut watch, 1).await?;
    assert_eq!(watch.progress(), here);
    Ok(())
}

/// A watch behind a revision that does not exist yet is refused.
pub async fn a_watch_cannot_begin_in_the_future(store: Arc<dyn Store>) -> Result<()> {
    let current = store.revision().await?;
    let future = store.watch("/", current + 1).await;
    assert!(matches!(future, Err(Error::Future { .. })));
    Ok(())
}

/// Closing ends watches after what they were owed, and later calls fail; closing twice is fine.
pub async fn closing_ends_everything(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    let mut watch = store.watch("/", before).await?;
    store.create("/a", Value::plain("x")).await?;
    store.close().await?;
    take(&mut watch, 1).await?;
    assert!(watch.next().await.is_none());
    assert!(matches!(store.get("/a").await, Err(Error::Closed)));
    assert!(matches!(store.range("/", Range::default()).await, Err(Error::Closed)));
    assert!(matches!(store.create("/b", Value::plain("x")).await, Err(Error::Closed)));
    assert!(matches!(store.watch("/", before).await, Err(Error::Closed)));
    assert!(matches!(store.revision().await, Err(Error::Closed)));
    store.close().await?;
    Ok(())
}
