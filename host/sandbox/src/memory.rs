//! Memory: who holds how much, and what happens at the limit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

/// Table elements that one guest may have in one table.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 65_536;

/// Bytes of linear memory held by a group of guests, with the most they may hold together.
#[derive(Debug)]
pub struct MemoryAccount {
    limit: Option<u64>,
    held: AtomicU64,
    peak: AtomicU64,
}

impl MemoryAccount {
    /// An account on which nothing is held yet.
    pub fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicU64::new(0), peak: AtomicU64::new(0) })
    }

    /// The most that may be held.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// What is held.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The most that has been held.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let limit = self.limit.unwrap_or(u64::MAX);
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(bytes).filter(|&held| held <= limit)
        });
        if let Ok(before) = taken {
            self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The guest wanted more memory than it may have. The limiter raises it as a trap of its own kind,
/// so that nothing else can be mistaken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OomKilled {
    limit: u64,
    of_group: bool,
}

impl fmt::Display for OomKilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.of_group { "pod's" } else { "container's" };
        write!(f, "the {whose} memory limit of {} bytes is exceeded", self.limit)
    }
}

impl std::error::Error for OomKilled {}

/// Charges what one store's memories grow by; gives it back when the store is dropped.
#[derive(Debug)]
pub(crate) struct Limiter {
    own: Arc<MemoryAccount>,
    group: Arc<MemoryAccount>,
    held: u64,
    /// What the last permitted growth took, in case it fails after all.
    last: u64,
}

impl Limiter {
    pub(crate) fn new(own: Arc<MemoryAccount>, group: Arc<MemoryAccount>) -> Self {
        Self { own, group, held: 0, last: 0 }
    }

    fn charge(&mut self, bytes: u64) -> Result<(), OomKilled> {
        if !self.own.take(bytes) {
            return Err(OomKilled { limit: self.own.limit.unwrap_or(u64::MAX), of_group: false });
        }
        if !self.group.take(bytes) {
            self.own.give_back(bytes);
            return Err(OomKilled { limit: self.group.limit.unwrap_or(u64::MAX), of_group: true });
        }
        self.held += bytes;
        self.last = bytes;
        Ok(())
    }

    fn release(&mut self, bytes: u64) {
        self.own.give_back(bytes);
        self.group.give_back(bytes);
        self.held -= bytes;
        self.last = 0;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The module's own maximum, not a limit of the host: growth fails as the guest expects.
            return Ok(false);
        }
        self.charge(desired.saturating_sub(current) as u64)?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::warn!(%error, "the host could not grow a guest's memory");
        self.release(self.last);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= maximum.unwrap_or(MAX_TABLE_ELEMENTS).min(MAX_TABLE_ELEMENTS))
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.release(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_killed_at_its_own_limit() {
        let own = MemoryAccount::new(Some(100));
        let mut limiter = Limiter::new(own.clone(), MemoryAccount::new(None));
        assert!(limiter.memory_growing(0, 64, None).unwrap());
        let error = limiter.memory_growing(64, 128, None).unwrap_err();
        assert_eq!(
            error.downcast_ref::<OomKilled>(),
            Some(&OomKilled { limit: 100, of_group: false })
        );
        assert_eq!(own.held(), 64);
        drop(limiter);
        assert_eq!((own.held(), own.peak()), (0, 64));
    }

    #[test]
    fn containers_of_a_pod_share_its_limit() {
        let pod = MemoryAccount::new(Some(100));
        let mut one = Limiter::new(MemoryAccount::new(None), pod.clone());
        let account = MemoryAccount::new(None);
        let mut two = Limiter::new(account.clone(), pod.clone());
        assert!(one.memory_growing(0, 60, None).unwrap());
        assert!(two.memory_growing(0, 60, None).is_err());
        assert_eq!(account.held(), 0, "what the pod refused is not charged to the container");
        drop(one);
        assert!(two.memory_growing(0, 60, None).unwrap());
    }

    #[test]
    fn what_the_module_itself_forbids_is_no_kill() {
        let own = MemoryAccount::new(Some(1 << 20));
        let mut limiter = Limiter::new(own.clone(), MemoryAccount::new(None));
        assert!(!limiter.memory_growing(0, 128, Some(64)).unwrap());
        assert_eq!(own.held(), 0);
    }

    #[test]
    fn growth_that_fails_after_all_is_given_back() {
        let own = MemoryAccount::new(None);
        let mut limiter = Limiter::new(own.clone(), MemoryAccount::new(None));
        assert!(limiter.memory_growing(0, 64, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert_eq!(own.held(), 0);
    }
}
