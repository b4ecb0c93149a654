//! Uploads in progress. They live as long as the process: after a restart a client begins anew.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use coracle_api::dice;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::RegistryError;
use super::repository::Repository;
use crate::incoming::Incoming;

/// Uploads in progress at once.
const SESSIONS_AT_MOST: usize = 128;

/// How long an upload may be idle before it is given up.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// One upload, taken by the request that works on it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) repository: Repository,
    /// Nothing once the upload is finished.
    pub(super) incoming: Option<Incoming>,
    last_used: Instant,
}

impl Session {
    /// What has been received, unless the upload has been finished.
    pub(super) fn incoming(&mut self) -> Result<&mut Incoming, RegistryError> {
        self.last_used = Instant::now();
        self.incoming.as_mut().ok_or_else(RegistryError::upload_unknown)
    }
}

#[derive(Debug, Default)]
pub(super) struct Sessions(std::sync::Mutex<HashMap<String, Arc<Mutex<Session>>>>);

impl Sessions {
    /// Begins an upload; gives it a name that nobody can guess.
    pub(super) fn begin(
        &self,
        repository: Repository,
        incoming: Incoming,
    ) -> Result<String, RegistryError> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is being worked on is not idle.
        sessions.retain(|_, session| {
            session.try_lock().map_or(true, |session| session.last_used.elapsed() < IDLE)
        });
        if sessions.len() >= SESSIONS_AT_MOST {
            return Err(RegistryError::too_many_uploads());
        }
        let id = dice::uuid();
        let session = Session { repository, incoming: Some(incoming), last_used: Instant::now() };
        sessions.insert(id.clone(), Arc::new(Mutex::new(session)));
        Ok(id)
    }

    pub(super) fn find(&self, id: &str) -> Result<Arc<Mutex<Session>>, RegistryError> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(id).cloned().ok_or_else(RegistryError::upload_unknown)
    }

    pub(super) fn end(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}
