//! The default store: one file that survives power loss. Everything is read from memory
//! ([`crate::history`]); the file is written by one thread that gathers what many callers ask
//! for into one commit ([`writer`]), and holds the newest state of every key ([`file`]). Older
//! states and events are not kept across a restart.

mod file;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::history::{Entries, History};
use crate::write::{Change, Write};
use crate::{Entry, Error, Options, Page, Range, Result, Revision, Store, Value, Watch};
use file::{Failure, File};
use writer::{Message, Writer};

/// How many writes may wait for the writer before callers wait to hand theirs in.
const INBOX: usize = 4096;

/// A store in one redb file.
pub struct RedbStore {
    history: Arc<History>,
    /// `None` only while the store is dropped.
    inbox: Option<mpsc::Sender<Message>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RedbStore {
    /// Opens the store in the file `path`, or makes one. Blocks until all of it is read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// The same with bounds of its own.
    pub fn open_with(path: &Path, options: Options) -> Result<Self> {
        let (file, entries) = File::open(path)?;
        Self::start(file, entries, options)
    }

    fn start(file: File, entries: Entries, options: Options) -> Result<Self> {
        let lazy_delay = options.lazy_delay;
        let history = Arc::new(History::new(entries, file.reserved(), options));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(Failure::Thread)?;
        let writer = Writer::new(file, history.clone(), lazy_delay);
        let (inbox, messages) = mpsc::channel(INBOX);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || runtime.block_on(writer.run(messages)))
            .map_err(Failure::Thread)?;
        Ok(Self { history, inbox: Some(inbox), thread: Mutex::new(Some(thread)) })
    }

    async fn write(&self, write: Write) -> Result<Arc<Entry>> {
        // What the visible state forbids cannot become right by waiting for the writer.
        write.check(self.history.get(&write.key)?.as_deref())?;
        let (reply, answer) = oneshot::channel();
        let inbox = self.inbox.as_ref().ok_or(Error::Closed)?;
        inbox.send(Message::Write(write, reply)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

#[async_trait]
impl Store for RedbStore {
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
        let (reply, answer) = oneshot::channel();
        if let Some(inbox) = &self.inbox
            && inbox.send(Message::Close(reply)).await.is_ok()
            && let Ok(result) = answer.await
        {
            return result;
        }
        // Somebody else closed it.
        Ok(())
    }
}

impl Drop for RedbStore {
    /// Waits for the file to be closed, so that it can be opened again at once.
    fn drop(&mut self) {
        self.inbox = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer thread panicked");
        }
    }
}
