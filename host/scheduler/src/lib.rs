//! The scheduler: which node a pod goes to.
//!
//! Owns the queue of pods that wait (`queue`), the cluster as it is known (`cluster`), the decision
//! (`cycle` over `filters` and `scores`, all pure), and its writing (`bind`). A decision counts in
//! memory at once, and its writing runs beside the next decisions, many at a time.
//!
//! Holds nothing but a Kubernetes client. May import `coracle-api` only: neither the store, the API
//! server, the controllers, nor a node.

mod bind;
mod cluster;
mod cycle;
mod events;
mod filters;
mod metrics;
mod pod;
mod queue;
mod resources;
mod scores;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle_api::events::Report;
use kube::Client;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::info;

pub use metrics::Metrics;

use cluster::Cluster;
use queue::Queue;

/// Why the scheduler could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A task of the scheduler broke.
    #[error("a task of the scheduler broke: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// What can be set.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scheduler that pods name to be placed by this one.
    pub name: String,
    /// How many decisions are written at a time.
    pub in_flight: usize,
    /// Where this crate counts.
    pub metrics: Metrics,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "default-scheduler".to_owned(), in_flight: 256, metrics: Metrics::default() }
    }
}

/// How often those are looked for that have waited for very long.
const FLUSH: Duration = Duration::from_secs(30);
/// How long decisions under way are waited for at the end.
const STOP: Duration = Duration::from_secs(5);

/// What is known and what waits, changed together.
#[derive(Default)]
struct State {
    cluster: Cluster,
    queue: Queue,
    /// How many of the collections have been listed.
    listed: usize,
}

struct Scheduler {
    client: Client,
    options: Options,
    state: Mutex<State>,
    /// Something happened that may be worth a decision.
    changed: Notify,
    reports: mpsc::Sender<Report>,
    in_flight: Arc<Semaphore>,
}

/// Places pods until `shutdown`.
pub async fn run(
    client: Client,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (reports, waiting) = mpsc::channel(events::WAITING);
    let in_flight = Arc::new(Semaphore::new(options.in_flight.max(1)));
    let scheduler = Arc::new(Scheduler {
        client: client.clone(),
        state: Mutex::default(),
        changed: Notify::new(),
        reports,
        in_flight,
        options,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(events::write(client, scheduler.options.name.clone(), waiting));
    watch::start(&scheduler, &mut tasks);
    tasks.spawn(scheduler.clone().work());
    tokio::pin!(shutdown);
    tokio::select! {
        () = &mut shutdown => {}
        Some(Err(error)) = tasks.join_next() => return Err(error.into()),
    }
    info!("the scheduler stops");
    tasks.abort_all();
    // What is being written is finished, but not waited for without end.
    let all = u32::try_from(scheduler.options.in_flight.max(1)).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(STOP, scheduler.in_flight.acquire_many(all)).await;
    Ok(())
}

impl Scheduler {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides, one pod after another.
    async fn work(self: Arc<Self>) {
        let mut flush = tokio::time::interval(FLUSH);
        loop {
            let changed = self.changed.notified();
            let Some(outcome) = self.step() else {
                let due = self.state().queue.next_due();
                let far = Instant::now() + FLUSH;
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(due.unwrap_or(far)), if due.is_some() => {}
                    _ = flush.tick() => {
                        self.state().queue.flush(Instant::now());
                    }
                }
                continue;
            };
            // The permit lives as long as the writing.
            let Ok(permit) = self.in_flight.clone().acquire_owned().await else { return };
            let scheduler = self.clone();
            tokio::spawn(async move {
                scheduler.carry_out(outcome).await;
                drop(permit);
            });
            // Decisions leave room for the watches that inform them.
            tokio::task::consume_budget().await;
        }
    }

    /// One decision, if there is one to take.
    fn step(&self) -> Option<bind::Outcome> {
        let mut state = self.state();
        if state.listed < watch::COLLECTIONS {
            return None;
        }
        let now = Instant::now();
        let taken = state.queue.take(now);
        self.options.metrics.lengths(state.queue.lengths());
        let pending = taken?.pending;
        let outcome = match cycle::decide(&pending, &state.cluster) {
            Ok(node) => {
                state.cluster.assume(pending.info.clone(), &node);
                bind::Outcome::Bind { pending, node }
            }
            Err(why) => {
                state.queue.park(&pending.info.key, why.wakes, now);
                bind::Outcome::Report { pending, message: why.message }
            }
        };
        Some(outcome)
    }
}
