//! The store that forgets everything when it ends: for tests and throw-away clusters.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::task::coop;

use crate::history::{Entries, History};
use crate::write::{Change, Write};
use crate::{Entry, Options, Page, Range, Result, Revision, Store, Value, Watch};

/// A store in memory alone.
pub struct MemoryStore {
    history: History,
    /// Held from a write's check to its publication.
    writing: Mutex<()>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// An empty store with bounds of its own.
    pub fn with(options: Options) -> Self {
        Self { history: History::new(Entries::new(), 0, options), writing: Mutex::new(()) }
    }

    async fn write(&self, write: Write) -> Result<Arc<Entry>> {
        // Nothing here waits, so a loop of writes would never let watchers run.
        coop::consume_budget().await;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = self.history.revision()? + 1;
        let event = write.event(self.history.get(&write.key)?, revision)?;
        let entry = event.entry.clone();
        self.history.publish(&[event], write.at);
        Ok(entry)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Arc<Entry>>> {
        self.history.get(key)
    }

    async fn range(&self, prefix: &str, range: Range) -> Result<Page> {
        self.history.range(prefix, &range)
    }

    async fn count(&self, prefix: &str) -> Result<usize> {
        self.history.count(prefix)
    }

    async fn create(&self, key: &str, value: Value) -> Result<Arc<Entry>> {
        self.write(Write::new(key, Change::Create(value))).await
    }

    async fn update(&self, key: &str, value: Value, expected: Revision) -> Result<Arc<Entry>> {
        self.write(Write::new(key, Change::Update(value, expected))).await
    }

    async fn delete(&self, key: &str, last: Value, expected: Revision) -> Result<Arc<Entry>> {
        self.write(Write::new(key, Change::Delete(last, expected))).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch> {
        self.history.watch(prefix, after)
    }

    async fn revision(&self) -> Result<Revision> {
        self.history.revision()
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.history.compact(revision)
    }

    async fn close(&self) -> Result<()> {
        self.history.close();
        Ok(())
    }
}
