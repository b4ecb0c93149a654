//! A write before it has a revision: what it expects and what it makes. Pure.

use std::sync::Arc;

use coracle_api::clock;

use crate::{Entry, Error, Event, Result, Revision, Value};

/// What is to become of a key.
pub(crate) enum Change {
    /// It must not exist yet.
    Create(Value),
    /// It must be at the revision.
    Update(Value, Revision),
    /// It must be at the revision; the value is its last state.
    Delete(Value, Revision),
}

/// One write, as a caller asks for it.
pub(crate) struct Write {
    pub(crate) key: Arc<str>,
    pub(crate) change: Change,
    /// When it was asked for, in milliseconds of Unix time. Taken from the caller's thread, since
    /// only that one knows simulated time.
    pub(crate) at: i64,
}

impl Write {
    pub(crate) fn new(key: &str, change: Change) -> Self {
        Self { key: key.into(), change, at: clock::now().as_millisecond() }
    }

    fn value(&self) -> &Value {
        match &self.change {
            Change::Create(value) | Change::Update(value, _) | Change::Delete(value, _) => value,
        }
    }

    /// Whether it may be answered before it is durable.
    pub(crate) fn is_lazy(&self) -> bool {
        self.value().lazy
    }

    /// Whether the key's newest state is the one expected.
    pub(crate) fn check(&self, current: Option<&Entry>) -> Result<()> {
        let key = || self.key.to_string();
        match (&self.change, current) {
            (Change::Create(_), None) => Ok(()),
            (Change::Create(_), Some(_)) => Err(Error::Exists(key())),
            (_, None) => Err(Error::NotFound(key())),
            (Change::Update(_, expected) | Change::Delete(_, expected), Some(current)) => {
                if current.modified == *expected {
                    Ok(())
                } else {
                    Err(Error::Conflict { key: key(), current: current.modified })
                }
            }
        }
    }

    /// The event that the write becomes at `revision`, if `current` is as expected.
    pub(crate) fn event(
        &self,
        current: Option<Arc<Entry>>,
        revision: Revision,
    ) -> Result<Arc<Event>> {
        self.check(current.as_deref())?;
        let (key, created) = match &current {
            Some(entry) => (entry.key.clone(), entry.created),
            None => (self.key.clone(), revision),
        };
        let entry = Arc::new(Entry::new(key, self.value(), created, revision));
        let deleted = matches!(self.change, Change::Delete(..));
        Ok(Arc::new(Event::new(deleted, entry, current)))
    }
}
