//! Events do not live for ever: each goes some time after its last change.

use std::collections::HashMap;
use std::sync::Arc;

use coracle_store::{Error as StoreError, Range, Revision};
use tokio::time::Instant;

use super::prefix;
use crate::server::Server;
use crate::timeouts;

/// Removes outlived Events, for ever. A restart gives those that are there a new life.
pub(crate) async fn sweep(server: &Server) {
    let mut seen: HashMap<Arc<str>, (Revision, Instant)> = HashMap::new();
    loop {
        tokio::time::sleep(timeouts::EVENT_SWEEP).await;
        if let Err(error) = pass(server, &mut seen).await {
            tracing::warn!(%error, "cannot look for outlived events");
        }
    }
}

async fn pass(
    server: &Server,
    seen: &mut HashMap<Arc<str>, (Revision, Instant)>,
) -> coracle_store::Result<()> {
    let Some(kind) = server.registry.kind("", "events") else { return Ok(()) };
    let now = Instant::now();
    let page = server.store.range(&prefix(kind.names(), ""), Range::default()).await?;
    let mut still = HashMap::with_capacity(page.entries.len());
    for entry in page.entries {
        let known = seen.get(&entry.key).filter(|(revision, _)| *revision == entry.modified);
        let since = known.map_or(now, |(_, since)| *since);
        if now.duration_since(since) < timeouts::EVENT_LIFE {
            still.insert(entry.key.clone(), (entry.modified, since));
            continue;
        }
        match server.store.delete(&entry.key, entry.reopened(), entry.modified).await {
            Ok(_) | Err(StoreError::Conflict { .. } | StoreError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    *seen = still;
    Ok(())
}
