//! Locks whose holders never leave things half done, so that a poisoned one is still good.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// `mutex`'s value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
