//! The one thread that writes: it takes all writes that wait, checks them one after another, and
//! makes them durable in one commit before anybody sees them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::file::{Changes, File};
use crate::history::History;
use crate::write::Write;
use crate::{Entry, Event, Result, Revision};

/// The most writes in one commit.
const BATCH: usize = 1024;

/// How many revisions are set aside at a time. Some of them may be given to lazy writes that are
/// lost in a crash; none is ever given twice, since the next start begins behind them all.
const RESERVE: Revision = 1 << 16;

/// The most keys that may wait for the disk.
const UNSAVED: usize = 10_000;

/// How long after the last commit the file is looked at for free space.
const IDLE: Duration = Duration::from_secs(60);

type Reply = oneshot::Sender<Result<Arc<Entry>>>;

/// What the writer is asked for.
pub(super) enum Message {
    Write(Write, Reply),
    Close(oneshot::Sender<Result<()>>),
}

pub(super) struct Writer {
    file: File,
    history: Arc<History>,
    /// The revision of the last write, of those that are not yet visible too.
    revision: Revision,
    /// What the file does not have yet: lazy writes, and those of the commit being made.
    unsaved: Changes,
    lazy_delay: Duration,
    save_at: Option<Instant>,
    tidy_at: Option<Instant>,
    /// Why the file refuses to be written.
    broken: Option<Arc<::redb::Error>>,
}

impl Writer {
    pub(super) fn new(file: File, history: Arc<History>, lazy_delay: Duration) -> Self {
        Self {
            revision: file.reserved(),
            file,
            history,
            unsaved: Changes::new(),
            lazy_delay,
            save_at: None,
            tidy_at: None,
            broken: None,
        }
    }

    /// Writes until it is told to close, or nobody is left who could write.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut closing = Vec::new();
        while closing.is_empty() && self.receive(&mut inbox, &mut messages).await {
            let mut writes = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Write(write, reply) => writes.push((write, reply)),
                    Message::Close(reply) => closing.push(reply),
                }
            }
            self.write(writes);
        }
        let history = self.history.clone();
        let mut result = self.close();
        history.close();
        if let (Err(error), true) = (&result, closing.is_empty()) {
            tracing::error!(%error, "the store was not closed in order");
        }
        for reply in closing {
            // Whoever asked may have gone.
            let _ = reply.send(std::mem::replace(&mut result, Ok(())));
        }
    }

    /// Waits for messages and does meanwhile what falls due. Whether there are any.
    async fn receive(
        &mut self,
        inbox: &mut mpsc::Receiver<Message>,
        messages: &mut Vec<Message>,
    ) -> bool {
        loop {
            let received = inbox.recv_many(messages, BATCH);
            let due = self.save_at.into_iter().chain(self.tidy_at).min();
            let Some(due) = due else { return received.await > 0 };
            if let Ok(count) = timeout_at(due, received).await {
                return count > 0;
            }
            self.housekeep(Instant::now());
        }
    }

    fn housekeep(&mut self, now: Instant) {
        if self.save_at.is_some_and(|at| at <= now)
            && let Err(error) = self.save()
        {
            tracing::error!(%error, "cannot save lazy writes");
        }
        if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy_at = None;
            self.file.compact_if_bloated(self.history.live_bytes());
        }
    }

    /// Makes the writes durable, then visible, then answers them.
    fn write(&mut self, writes: Vec<(Write, Reply)>) {
        let mut events = Vec::with_capacity(writes.len());
        let mut answers = Vec::with_capacity(writes.len());
        let mut durable = false;
        let mut now = i64::MIN;
        for (write, reply) in writes {
            let staged = self.stage(&write);
            if let Ok(event) = &staged {
                durable |= !write.is_lazy();
                now = now.max(write.at);
                events.push(event.clone());
            }
            answers.push((reply, staged.map(|event| event.entry.clone())));
        }
        if events.is_empty() {
            return answer(answers);
        }
        let full = self.unsaved.len() > UNSAVED || self.revision > self.file.reserved();
        if durable || full {
            if let Err(error) = self.save() {
                tracing::error!(%error, "cannot write");
                let failure = || self.file.poisoned(error.clone()).into();
                return answer(answers.into_iter().map(|(reply, _)| (reply, Err(failure()))));
            }
        } else if self.save_at.is_none() {
            self.save_at = Some(Instant::now() + self.lazy_delay);
        }
        self.history.publish(&events, now);
        answer(answers);
    }

    /// Checks one write against all before it, and gives it its revision.
    fn stage(&mut self, write: &Write) -> Result<Arc<Event>> {
        if let Some(error) = &self.broken {
            return Err(self.file.poisoned(error.clone()).into());
        }
        let current = match self.unsaved.get(&write.key) {
            Some(unsaved) => unsaved.clone(),
            None => self.history.get(&write.key)?,
        };
        let event = write.event(current, self.revision + 1)?;
        self.revision += 1;
        let state = (!event.deleted).then(|| event.entry.clone());
        self.unsaved.insert(event.entry.key.clone(), state);
        Ok(event)
    }

    /// Writes everything unsaved, with more revisions set aside if those are used up.
    fn save(&mut self) -> Result<(), Arc<::redb::Error>> {
        let reserved = self.file.reserved();
        let reserved = if self.revision > reserved { self.revision + RESERVE } else { reserved };
        self.save_reserving(reserved)
    }

    fn save_reserving(&mut self, reserved: Revision) -> Result<(), Arc<::redb::Error>> {
        self.save_at = None;
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        match self.file.save(&self.unsaved, reserved) {
            Ok(()) => {
                self.unsaved.clear();
                self.tidy_at = Some(Instant::now() + IDLE);
                Ok(())
            }
            Err(error) => {
                let error = Arc::new(error);
                self.broken = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Saves what is left, gives the unused revisions back, and closes the file.
    fn close(mut self) -> Result<()> {
        let saved = if self.unsaved.is_empty() && self.revision == self.file.reserved() {
            Ok(())
        } else {
            let saved = self.save_reserving(self.revision);
            saved.map_err(|error| self.file.poisoned(error))
        };
        let closed = self.file.close().map_err(|error| crate::Error::Backend(Box::new(error)));
        saved?;
        closed
    }
}

fn answer(answers: impl IntoIterator<Item = (Reply, Result<Arc<Entry>>)>) {
    for (reply, result) in answers {
        // Whoever asked may have gone; what was written stays written.
        let _ = reply.send(result);
    }
}
