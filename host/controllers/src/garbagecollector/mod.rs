//! Cascading deletion: a dependent goes when none of its owners is left. The graph of owners and
//! dependents (`graph`) is fed by one watch of the metadata of each kind that the server has, and says
//! what is worth a look; a look (`collect`) asks the server itself before it deletes or orphans.

mod collect;
mod graph;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tracing::warn;

use crate::context::Context;
use crate::dynamic::{self, Discovered, Kind, MetadataOf, Slim};
use crate::error::Result;
use crate::list_watch::{self, Sink};
use crate::queue::Queue;
use crate::runner::{Next, Reconcile};
use graph::Graph;

const WORKERS: usize = 20;
/// How often the server is asked for new kinds.
const REDISCOVER: Duration = Duration::from_secs(30);
/// How long after a change of the definitions of kinds it is asked, so that several are one.
const DEFINED: Duration = Duration::from_millis(200);
/// Events have no owners and come in great numbers.
const IGNORED: [(&str, &str); 2] = [("", "events"), ("events.k8s.io", "events")];

/// What is worth a look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// Whether the object with this uid must go.
    Delete(String),
    /// The dependents of the object with this uid are to be left alone.
    Orphan(String),
}

/// What the watches and the workers share.
struct Collector {
    context: Context,
    graph: Mutex<Graph>,
    queue: Arc<Queue<Work>>,
    discovered: Mutex<Discovered>,
    /// Told when the definitions of kinds change.
    defined: Notify,
}

impl Collector {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn discovered(&self) -> MutexGuard<'_, Discovered> {
        self.discovered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the graph and queues what that makes worth a look.
    fn change(&self, change: impl FnOnce(&mut Graph, &mut Vec<Work>)) {
        let mut work = Vec::new();
        change(&mut self.graph(), &mut work);
        for one in work {
            self.queue.add(one);
        }
    }
}

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("garbage_collector");
    let collector = Arc::new(Collector {
        context: context.clone(),
        graph: Mutex::default(),
        queue: queue.clone(),
        discovered: Mutex::default(),
        defined: Notify::new(),
    });
    let runner = context.runner(queue, WORKERS, Worker { collector: collector.clone() });
    Box::pin(async move {
        let mut monitors = Monitors { collector, running: HashMap::new(), tasks: JoinSet::new() };
        // Nothing is collected before everything is known once: a missing owner may be unlisted.
        monitors.discover().await;
        monitors.all_listed().await;
        tokio::select! {
            () = runner.run() => {}
            () = monitors.keep_current() => {}
        }
    })
}

/// The watches, one a kind.
struct Monitors {
    collector: Arc<Collector>,
    running: HashMap<Arc<Kind>, (AbortHandle, watch::Receiver<bool>)>,
    tasks: JoinSet<()>,
}

impl Monitors {
    /// Looks for kinds until there are some.
    async fn discover(&mut self) {
        let mut delay = Duration::from_millis(50);
        while !self.sync().await {
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(REDISCOVER);
        }
    }

    async fn keep_current(&mut self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(REDISCOVER) => {}
                () = self.collector.defined.notified() => tokio::time::sleep(DEFINED).await,
            }
            self.sync().await;
        }
    }

    async fn all_listed(&mut self) {
        for (_, listed) in self.running.values_mut() {
            // A watch that ended will never be complete; its kind is gone.
            let _ = listed.wait_for(|listed| *listed).await;
        }
    }

    /// Watches exactly the kinds that there are; answers whether the server told of them.
    async fn sync(&mut self) -> bool {
        let found = match dynamic::discover(&self.collector.context.client).await {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, "cannot discover kinds");
                return false;
            }
        };
        let watched = |kind: &&Arc<Kind>| {
            let name = (kind.resource.group.as_str(), kind.resource.plural.as_str());
            ["list", "watch", "delete"].iter().all(|verb| kind.can(verb))
                && !IGNORED.contains(&name)
        };
        let kinds: Vec<_> = found.kinds.iter().filter(watched).cloned().collect();
        for kind in &kinds {
            if !self.running.contains_key(kind) {
                self.watch(kind.clone());
            }
        }
        // The kinds of a group that the server cannot tell of at present may still be there.
        let failed = |kind: &Kind| found.failures.contains_key(&kind.resource.api_version);
        let collector = &self.collector;
        self.running.retain(|kind, (task, _)| {
            let keep = kinds.contains(kind) || failed(kind);
            if !keep {
                task.abort();
                collector.change(|graph, work| graph.remove_kind(kind, work));
            }
            keep
        });
        while self.tasks.try_join_next().is_some() {}
        *self.collector.discovered() = found;
        true
    }

    fn watch(&mut self, kind: Arc<Kind>) {
        let (listed, is_listed) = watch::channel(false);
        let client = self.collector.context.client.clone();
        let source = MetadataOf { client, kind: kind.clone() };
        let sink = Monitor { collector: self.collector.clone(), kind: kind.clone(), listed };
        let what = kind.qualified();
        let task = self.tasks.spawn(async move {
            list_watch::follow(&what, &source, None, &sink).await;
        });
        self.running.insert(kind, (task, is_listed));
    }
}

/// The watch of one kind.
struct Monitor {
    collector: Arc<Collector>,
    kind: Arc<Kind>,
    listed: watch::Sender<bool>,
}

impl Monitor {
    /// Looks for new kinds if this is the watch of what defines them.
    fn changed(&self) {
        let kind = &self.kind.resource;
        if kind.group == "apiextensions.k8s.io" && kind.plural == "customresourcedefinitions" {
            self.collector.defined.notify_one();
        }
    }
}

impl Sink<Slim> for Monitor {
    fn begin(&self) {}

    fn replace(&self, items: Vec<Slim>, _: &str) {
        self.collector.change(|graph, work| {
            graph.retain(&self.kind, &items, work);
            for item in items {
                graph.put(&self.kind, item, work);
            }
        });
        self.listed.send_replace(true);
        self.changed();
    }

    fn put(&self, item: Slim) {
        self.changed();
        self.collector.change(|graph, work| graph.put(&self.kind, item, work));
    }

    fn delete(&self, item: Slim) {
        self.changed();
        self.collector.change(|graph, work| graph.remove(&item.metadata.uid, work));
    }

    fn progress(&self, _: &str) {}
}

struct Worker {
    collector: Arc<Collector>,
}

#[async_trait]
impl Reconcile<Work> for Worker {
    async fn reconcile(&self, work: &Work) -> Result<Next> {
        match work {
            Work::Delete(uid) => collect::attempt_to_delete(&self.collector, uid).await,
            Work::Orphan(uid) => collect::orphan(&self.collector, uid).await,
        }
    }
}
