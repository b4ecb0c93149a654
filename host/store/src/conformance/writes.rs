//! Cases of create, update and delete.

use std::sync::Arc;

use futures::FutureExt;
use tokio::task::JoinSet;

use super::text;
use crate::{Error, Result, Store, Value};

/// The first state of a key is created and modified by the same revision, the next one.
pub async fn a_create_makes_a_state(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    assert!(store.get("/a").await?.is_none());
    let made = store.create("/a", Value::plain("one")).await?;
    assert_eq!((&*made.key, text(&made)), ("/a", "one"));
    assert_eq!((made.created, made.modified, &made.hole), (before + 1, before + 1, &None));
    let found = store.get("/a").await?;
    assert!(found.is_some_and(|found| found.modified == made.modified && text(&found) == "one"));
    assert_eq!(store.revision().await?, before + 1);
    Ok(())
}

/// A second create fails and changes nothing.
pub async fn a_create_refuses_an_existing_key(store: Arc<dyn Store>) -> Result<()> {
    let made = store.create("/a", Value::plain("one")).await?;
    let again = store.create("/a", Value::plain("two")).await;
    assert!(matches!(again, Err(Error::Exists(key)) if key == "/a"));
    let found = store.get("/a").await?;
    assert!(found.is_some_and(|found| found.modified == made.modified && text(&found) == "one"));
    Ok(())
}

/// An update names the revision it replaces, keeps `created`, and fails with the newest revision.
pub async fn an_update_needs_the_newest_revision(store: Arc<dyn Store>) -> Result<()> {
    let missing = store.update("/a", Value::plain("x"), 0).await;
    assert!(matches!(missing, Err(Error::NotFound(key)) if key == "/a"));
    let first = store.create("/a", Value::plain("one")).await?;
    let second = store.update("/a", Value::plain("two"), first.modified).await?;
    assert_eq!((second.created, second.modified), (first.created, first.modified + 1));
    for wrong in [0, first.modified, second.modified + 1] {
        let refused = store.update("/a", Value::plain("three"), wrong).await;
        let Err(Error::Conflict { key, current }) = refused else {
            unreachable!("an update at {wrong} gave {refused:?}");
        };
        assert_eq!((key.as_str(), current), ("/a", second.modified));
    }
    assert!(store.get("/a").await?.is_some_and(|found| text(&found) == "two"));
    Ok(())
}

/// A delete names the revision it removes; the key can then be created anew.
pub async fn a_delete_needs_the_newest_revision(store: Arc<dyn Store>) -> Result<()> {
    let missing = store.delete("/a", Value::plain("x"), 0).await;
    assert!(matches!(missing, Err(Error::NotFound(_))));
    let first = store.create("/a", Value::plain("one")).await?;
    let second = store.update("/a", Value::plain("two"), first.modified).await?;
    let refused = store.delete("/a", Value::plain("x"), first.modified).await;
    assert!(matches!(refused, Err(Error::Conflict { current, .. }) if current == second.modified));
    let last = store.delete("/a", Value::plain("last"), second.modified).await?;
    assert_eq!((last.created, last.modified), (first.created, second.modified + 1));
    assert_eq!(text(&last), "last");
    assert!(store.get("/a").await?.is_none());
    let gone = store.update("/a", Value::plain("x"), last.modified).await;
    assert!(matches!(gone, Err(Error::NotFound(_))));
    let anew = store.create("/a", Value::plain("new")).await?;
    assert_eq!((anew.created, anew.modified), (last.modified + 1, last.modified + 1));
    Ok(())
}

/// The revision stands where the value left a hole, in every state.
pub async fn a_hole_holds_the_revision(store: Arc<dyn Store>) -> Result<()> {
    for n in 0..12 {
        store.create(&format!("/filler/{n}"), Value::plain("")).await?;
    }
    let mut entry = store.create("/a", Value::with_hole("{\"rv\":\"", "\"}")).await?;
    for _ in 0..3 {
        assert_eq!(text(&entry), format!("{{\"rv\":\"{}\"}}", entry.modified));
        let hole = entry.hole.clone().and_then(|hole| entry.value.get(hole));
        assert_eq!(hole, Some(entry.modified.to_string().as_bytes()));
        entry = store.update("/a", entry.reopened(), entry.modified).await?;
    }
    let last = store.delete("/a", entry.reopened(), entry.modified).await?;
    assert_eq!(text(&last), format!("{{\"rv\":\"{}\"}}", last.modified));
    Ok(())
}

/// Of many tasks that create one key, one succeeds.
pub async fn one_of_many_creators_wins(store: Arc<dyn Store>) -> Result<()> {
    for round in 0..20 {
        let mut tasks = JoinSet::new();
        for creator in 0..16 {
            let store = store.clone();
            tasks.spawn(async move {
                let value = Value::plain(creator.to_string());
                store.create(&format!("/{round}"), value).await
            });
        }
        let mut winners = Vec::new();
        for result in tasks.join_all().await {
            match result {
                Ok(entry) => winners.push(entry),
                Err(Error::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        assert_eq!(winners.len(), 1);
        let found = store.get(&format!("/{round}")).await?;
        assert!(found.is_some_and(|found| text(&found) == text(&winners[0])));
    }
    Ok(())
}

/// Tasks that count together by compare-and-swap lose no count.
pub async fn no_increment_is_lost(store: Arc<dyn Store>) -> Result<()> {
    store.create("/n", Value::plain("0")).await?;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut done = 0;
            while done < 25 {
                let Some(entry) = store.get("/n").await? else { break };
                let next = text(&entry).parse().unwrap_or(0) + 1;
                let value = Value::plain(next.to_string());
                match store.update("/n", value, entry.modified).await {
                    Ok(_) => done += 1,
                    Err(Error::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
    }
    tasks.join_all().await.into_iter().collect::<Result<Vec<()>>>()?;
    assert!(store.get("/n").await?.is_some_and(|entry| text(&entry) == "200"));
    Ok(())
}

/// Every write gets a revision of its own, and none is left out.
pub async fn revisions_count_every_write(store: Arc<dyn Store>) -> Result<()> {
    let before = store.revision().await?;
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut revisions = Vec::new();
            for n in 0..20 {
                let key = format!("/{task}/{n}");
                let value = Value::plain("x");
                let value = if n % 3 == 0 { value.lazy() } else { value };
                revisions.push(store.create(&key, value).await?.modified);
            }
            assert!(revisions.is_sorted(), "a task's own writes are in order");
            Ok(revisions)
        });
    }
    let lists = tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let mut revisions = lists.concat();
    revisions.sort_unstable();
    assert_eq!(revisions, (before + 1..=before + 16 * 20).collect::<Vec<_>>());
    assert_eq!(store.revision().await?, before + 16 * 20);
    Ok(())
}

/// A refused write leaves the revision as it was.
pub async fn a_failed_write_takes_no_revision(store: Arc<dyn Store>) -> Result<()> {
    let made = store.create("/a", Value::plain("x")).await?;
    for _ in 0..5 {
        assert!(store.create("/a", Value::plain("y")).await.is_err());
        assert!(store.update("/b", Value::plain("y"), 1).await.is_err());
        assert!(store.delete("/a", Value::plain("y"), made.modified + 1).await.is_err());
    }
    assert_eq!(store.revision().await?, made.modified);
    assert_eq!(store.create("/b", Value::plain("x")).await?.modified, made.modified + 1);
    Ok(())
}

/// Lazy writes obey the same rules and order as others.
pub async fn a_lazy_write_is_seen_at_once(store: Arc<dyn Store>) -> Result<()> {
    let first = store.create("/a", Value::plain("one").lazy()).await?;
    assert!(store.get("/a").await?.is_some_and(|entry| text(&entry) == "one"));
    let again = store.create("/a", Value::plain("x")).await;
    assert!(matches!(again, Err(Error::Exists(_))));
    let second = store.update("/a", Value::plain("two").lazy(), first.modified).await?;
    let stale = store.update("/a", Value::plain("x").lazy(), first.modified).await;
    assert!(matches!(stale, Err(Error::Conflict { current, .. }) if current == second.modified));
    let third = store.update("/a", Value::plain("three"), second.modified).await?;
    assert_eq!(third.modified, first.modified + 2);
    store.delete("/a", Value::plain("last").lazy(), third.modified).await?;
    assert!(store.get("/a").await?.is_none());
    store.create("/a", Value::plain("anew")).await?;
    assert!(store.get("/a").await?.is_some_and(|entry| text(&entry) == "anew"));
    Ok(())
}

/// A caller that goes away in the middle leaves either the whole write or none of it, and the
/// store goes on.
pub async fn a_dropped_write_is_whole_or_absent(store: Arc<dyn Store>) -> Result<()> {
    for n in 0..50 {
        // Polled once and dropped.
        let _ = store.create(&format!("/{n}"), Value::with_hole("a", "b")).now_or_never();
    }
    store.create("/last", Value::plain("x")).await?;
    for n in 0..50 {
        if let Some(entry) = store.get(&format!("/{n}")).await? {
            assert_eq!(text(&entry), format!("a{}b", entry.modified));
        }
    }
    Ok(())
}
