//! The instances of one handler: those that wait for a request, and how new ones come to be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

use crate::capabilities::Guest;
use crate::container::{Container, Fuelled};
use crate::lock::lock;
use crate::memory::OomKilled;
use crate::spec::{HttpSpec, Reuse};

/// How long an instance is kept that no request needs; one is always kept.
const KEPT: Duration = Duration::from_secs(30);

/// One instance.
pub(crate) struct Worker {
    pub(crate) store: Fuelled<Guest>,
    pub(crate) proxy: Proxy,
    served: u32,
    idle_since: Instant,
    _living: Living,
}

/// The instances of one handler.
pub(crate) struct Pool {
    container: Arc<Container>,
    pre: ProxyPre<Guest>,
    /// Requests that an instance may answer.
    reuse: u32,
    /// The one used last is last.
    idle: Mutex<Vec<Worker>>,
    living: Arc<Count>,
    /// More than one instance is idle.
    surplus: Notify,
    /// Instructions left of the container's budget.
    budget: Mutex<Option<u64>>,
}

#[derive(Default)]
struct Count {
    instances: AtomicUsize,
    /// An instance became idle or ended.
    changed: Notify,
}

/// Counts one instance for as long as it exists.
struct Living(Arc<Count>);

impl Living {
    fn new(count: &Arc<Count>) -> Self {
        count.instances.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

impl Pool {
    pub(crate) fn new(
        container: Arc<Container>,
        pre: ProxyPre<Guest>,
        spec: &HttpSpec,
    ) -> Arc<Self> {
        let reuse = match spec.reuse {
            Reuse::Fresh => 1,
            Reuse::Requests(requests) => requests.max(1),
        };
        let budget = Mutex::new(container.budget);
        Arc::new(Self {
            container,
            pre,
            reuse,
            idle: Mutex::default(),
            living: Arc::default(),
            surplus: Notify::new(),
            budget,
        })
    }

    /// Takes an instance that has just come up.
    pub(crate) fn adopt(&self, mut store: Fuelled<Guest>, proxy: Proxy) {
        self.settle(&mut store);
        let worker = self.worker_of(store, proxy);
        self.put(worker);
    }

    fn worker_of(&self, store: Fuelled<Guest>, proxy: Proxy) -> Worker {
        let idle_since = Instant::now();
        Worker { store, proxy, served: 0, idle_since, _living: Living::new(&self.living) }
    }

    /// An instance for one request, filled with fuel. Where there is no room for a further one, the
    /// request waits for one of those there are.
    pub(crate) async fn take(&self) -> wasmtime::Result<Worker> {
        loop {
            let changed = self.living.changed.notified();
            let idle = lock(&self.idle).pop();
            if let Some(mut worker) = idle {
                self.fill(&mut worker.store)?;
                return Ok(worker);
            }
            match self.instantiate().await {
                Ok(worker) => return Ok(worker),
                Err(error) if no_room(&error) && self.others() => changed.await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn instantiate(&self) -> wasmtime::Result<Worker> {
        let mut store = self.container.component_store()?;
        self.fill(&mut store)?;
        let counter = store.counter();
        let up = self.pre.instantiate_async(&mut store.store);
        let up = self.container.run(counter, up).await;
        self.settle(&mut store);
        let proxy = up?;
        self.fill(&mut store)?;
        Ok(self.worker_of(store, proxy))
    }

    fn others(&self) -> bool {
        self.living.instances.load(Ordering::Relaxed) > 0
    }

    /// Takes back an instance that answered a request, unless it has had its share of them.
    pub(crate) fn give_back(&self, mut worker: Worker) {
        worker.served += 1;
        if worker.served < self.reuse {
            self.put(worker);
        }
    }

    fn put(&self, mut worker: Worker) {
        worker.idle_since = Instant::now();
        let mut idle = lock(&self.idle);
        idle.push(worker);
        if idle.len() == 2 {
            self.surplus.notify_one();
        }
        drop(idle);
        self.living.changed.notify_one();
    }

    /// Drops instances that nothing has needed for a while; never returns.
    pub(crate) async fn shrink(&self) {
        loop {
            self.surplus.notified().await;
            loop {
                tokio::time::sleep(KEPT).await;
                let mut idle = lock(&self.idle);
                let unused = idle.iter().take_while(|worker| worker.idle_since.elapsed() >= KEPT);
                let unneeded = unused.count().min(idle.len().saturating_sub(1));
                let dropped: Vec<Worker> = idle.drain(..unneeded).collect();
                let surplus = idle.len() > 1;
                drop(idle);
                drop(dropped);
                if !surplus {
                    break;
                }
            }
        }
    }

    fn fill(&self, store: &mut Fuelled<Guest>) -> wasmtime::Result<()> {
        store.fill(lock(&self.budget).unwrap_or(u64::MAX))
    }

    /// Counts what a store has burnt.
    pub(crate) fn settle(&self, store: &mut Fuelled<Guest>) {
        let left = store.settle();
        if let Some(budget) = &mut *lock(&self.budget) {
            *budget = left;
        }
    }

    /// Drops the instances that wait for requests.
    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        drop(idle);
    }
}

/// Whether there was no room for another instance, in the engine or in the container's memory.
fn no_room(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>() || error.is::<OomKilled>()
}
