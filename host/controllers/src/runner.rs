//! The only loop: a key comes out of the queue, is reconciled, and goes back if the result says so.
//! An error backs the key off; so does a panic, which stays the key's and not the controller's.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::clock;
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use tokio::task::JoinSet;
use tracing::{Instrument, debug, info_span, warn};

use crate::error::{Error, Result};
use crate::metrics::ReconcileMetrics;
use crate::queue::{Queue, Work};

/// Where an object is: `namespace` is empty for what stands in none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of(object: &impl kube::Resource) -> Self {
        let metadata = object.meta();
        Self::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        )
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// What happens to a key after a reconcile without error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until something changes.
    Wait,
    /// It is looked at again after this time.
    After(Duration),
}

/// How long it is until `moment`; nothing if it has come.
pub(crate) fn left(moment: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(moment.duration_since(clock::now())).ok()?;
    (!left.is_zero()).then_some(left)
}

/// Moves the object of a key one step towards what it should be.
#[async_trait]
pub(crate) trait Reconcile<K>: Send + Sync + 'static {
    async fn reconcile(&self, key: &K) -> Result<Next>;
}

/// A controller's loop, ready to run.
pub(crate) struct Runner<K> {
    pub(crate) name: &'static str,
    pub(crate) queue: Arc<Queue<K>>,
    pub(crate) workers: usize,
    pub(crate) metrics: ReconcileMetrics,
    pub(crate) reconciler: Arc<dyn Reconcile<K>>,
}

impl<K: Work> Runner<K> {
    /// Works until the queue is closed and what is being worked on is finished.
    pub(crate) async fn run(self) {
        let mut workers = JoinSet::new();
        let runner = Arc::new(self);
        for _ in 0..runner.workers {
            let runner = runner.clone();
            workers.spawn(async move {
                while let Some(key) = runner.queue.next().await {
                    runner.work(&key).await;
                    runner.queue.done(&key);
                }
            });
        }
        runner.queue.keep_time().await;
        while workers.join_next().await.is_some() {}
    }

    async fn work(&self, key: &K) {
        let span = info_span!("reconcile", controller = self.name, key = ?key);
        let reconcile = AssertUnwindSafe(self.reconciler.reconcile(key)).catch_unwind();
        let result = reconcile.instrument(span.clone()).await.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Error::Panicked(text.unwrap_or_default()))
        });
        match result {
            Ok(next) => {
                self.metrics.success.inc();
                self.queue.forget(key);
                if let Next::After(delay) = next {
                    self.queue.add_after(key.clone(), delay);
                }
            }
            Err(error) => {
                self.metrics.error.inc();
                let _entered = span.enter();
                if error.is_conflict() || matches!(error, Error::Unfinished(_)) {
                    debug!(%error, "will try again");
                } else {
                    warn!(%error, "will try again");
                }
                self.queue.add_after_failure(key.clone());
            }
        }
    }
}
