//! How many requests may be under way at once. Watches and logs live long and are not counted.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::authn::{Identity, MASTERS};
use crate::config::Limits;
use crate::error::{ApiError, Reason, Result};
use crate::timeouts;

pub(crate) struct Flow {
    reading: Arc<Semaphore>,
    mutating: Arc<Semaphore>,
}

impl Flow {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            reading: Arc::new(Semaphore::new(limits.reading)),
            mutating: Arc::new(Semaphore::new(limits.mutating)),
        }
    }

    /// A place among the requests under way. Masters pass a full server: they are the ones who
    /// can make room.
    pub(crate) fn enter(
        &self,
        identity: &Identity,
        writes: bool,
    ) -> Result<Option<OwnedSemaphorePermit>> {
        let places = if writes { &self.mutating } else { &self.reading };
        match places.clone().try_acquire_owned() {
            Ok(place) => Ok(Some(place)),
            Err(_) if identity.is_in(MASTERS) => Ok(None),
            Err(_) => Err(ApiError {
                retry_after: Some(timeouts::RETRY_AFTER),
                ..ApiError::new(
                    Reason::TooManyRequests,
                    "Too many requests, please try again later.",
                )
            }),
        }
    }
}
