//! The controllers: what keeps a cluster's present state moving towards the desired one.
//!
//! Owns one loop for all (`runner` over `queue`), one watch a kind for all (`informer` over
//! `list_watch`), and one file or folder a controller, each one line in [`TABLE`]. A reconcile is
//! level-triggered: it reads what is held in memory, takes one step, and shows the server's answer
//! to the informer, so that the next one sees it.
//!
//! Holds nothing but Kubernetes clients, one identity a controller. May import `coracle-api` only:
//! neither the store, the API server, nor a node.

mod backends;
mod bootstrap;
mod certificates;
mod claim;
mod clusterroleaggregation;
mod context;
mod cronjob;
mod daemonset;
mod deployment;
mod disruption;
mod dynamic;
mod endpoints;
mod endpointslice;
mod error;
mod events;
mod garbagecollector;
mod history;
mod informer;
mod intstr;
mod job;
mod list_watch;
mod metrics;
mod namespace;
mod nodeipam;
mod nodelifecycle;
mod podcontrol;
mod podgc;
mod queue;
mod ranking;
mod replicaset;
mod resourcequota;
mod rootcacert;
mod runner;
mod serviceaccount;
mod statefulset;
mod tainteviction;
mod template;
mod tokens;
mod ttlafterfinished;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::ReplicationController;
use kube::Client;
use tokio::task::JoinSet;
use tracing::info;

pub use certificates::{Authority, AuthorityRejected};
pub use error::{Error, Result};
pub use metrics::Metrics;
pub use tokens::TokenGenerator;

use context::{Context, Informers};

/// Who watches for all controllers, and makes tokens.
const WATCHER: &str = "system:kube-controller-manager";

/// A controller: its name, which is its ServiceAccount's in `kube-system`, the component that its
/// events name, and what starts it.
struct Controller {
    name: &'static str,
    start: fn(Context) -> BoxFuture<'static, ()>,
}

/// All controllers.
const TABLE: &[Controller] = &[
    Controller { name: "deployment-controller", start: deployment::start },
    Controller { name: "replicaset-controller", start: replicaset::start::<ReplicaSet> },
    Controller {
        name: "replication-controller",
        start: replicaset::start::<ReplicationController>,
    },
    Controller { name: "statefulset-controller", start: statefulset::start },
    Controller { name: "daemon-set-controller", start: daemonset::start },
    Controller { name: "job-controller", start: job::start },
    Controller { name: "cronjob-controller", start: cronjob::start },
    Controller { name: "ttl-after-finished-controller", start: ttlafterfinished::start },
    Controller { name: "disruption-controller", start: disruption::start },
    Controller { name: "endpointslice-controller", start: endpointslice::start },
    Controller {
        name: "endpointslicemirroring-controller",
        start: endpointslice::mirroring::start,
    },
    Controller { name: "endpoint-controller", start: endpoints::start },
    Controller { name: "resourcequota-controller", start: resourcequota::start },
    Controller { name: "clusterrole-aggregation-controller", start: clusterroleaggregation::start },
    Controller { name: "service-account-controller", start: serviceaccount::start },
    Controller { name: "root-ca-cert-publisher", start: rootcacert::start },
    Controller { name: tokens::NAME, start: tokens::start },
    Controller { name: "bootstrap-signer", start: bootstrap::signer::start },
    Controller { name: "token-cleaner", start: bootstrap::cleaner::start },
    Controller { name: "certificate-controller", start: certificates::approver::start },
    Controller { name: "certificate-controller", start: certificates::signer::start },
    Controller { name: "certificate-controller", start: certificates::cleaner::start },
    Controller { name: "namespace-controller", start: namespace::start },
    Controller { name: "generic-garbage-collector", start: garbagecollector::start },
    Controller { name: "node-controller", start: nodelifecycle::start },
    Controller { name: "node-controller", start: nodeipam::start },
    Controller { name: "node-controller", start: tainteviction::start },
    Controller { name: "pod-garbage-collector", start: podgc::start },
];

/// What can be set.
#[derive(Clone, Debug)]
pub struct Options {
    /// The certificate authority of the API server, as PEM: published in every namespace.
    pub root_ca: String,
    /// What signs certificates that were approved; they wait for somebody else without it.
    pub authority: Option<Arc<Authority>>,
    /// What makes the tokens of Secrets; they stay without one without it.
    pub tokens: Option<Arc<dyn TokenGenerator>>,
    /// The range that nodes' pod ranges are cut from, such as `10.244.0.0/16`.
    pub cluster_cidr: String,
    /// The prefix length of a node's pod range.
    pub node_cidr_mask: u8,
    /// For how long a node's lease may stay unrenewed before the node counts as lost.
    pub node_grace_period: Duration,
    /// How many pods that are over are kept.
    pub terminated_pod_threshold: usize,
    /// Where this crate counts.
    pub metrics: Metrics,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root_ca: String::new(),
            authority: None,
            tokens: None,
            cluster_cidr: "10.244.0.0/16".to_owned(),
            node_cidr_mask: 24,
            node_grace_period: Duration::from_secs(40),
            terminated_pod_threshold: 12_500,
            metrics: Metrics::default(),
        }
    }
}

/// Runs all controllers until `shutdown`; each gets a client of its own from `clients`, which is
/// given the user name of its identity.
pub async fn run(
    clients: impl Fn(&str) -> Client,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let options = Arc::new(options);
    let informers = Arc::new(Informers::default());
    let mut controllers = JoinSet::new();
    let mut closers = Vec::new();
    for Controller { name, start } in TABLE {
        let client = match *name {
            // No account of its own could hold Secrets of everybody.
            tokens::NAME => clients(WATCHER),
            name => clients(&format!("system:serviceaccount:kube-system:{name}")),
        };
        let (recorder, writer) = events::Recorder::new(client.clone(), name);
        let closer = context::Closer::default();
        let context = Context {
            name,
            client,
            informers: informers.clone(),
            events: recorder,
            options: options.clone(),
            metrics: options.metrics.clone(),
            closer: closer.clone(),
        };
        controllers.spawn(start(context));
        controllers.spawn(writer);
        closers.push(closer);
    }
    let mut watches = JoinSet::new();
    informers.start(&clients(WATCHER), &mut watches);
    shutdown.await;
    info!("controllers stop");
    for closer in closers {
        closer.close();
    }
    // What is being reconciled is finished, but not waited for without end.
    let finished = async { while controllers.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP, finished).await;
    Ok(())
}

/// How long reconciles under way are waited for at the end.
const STOP: Duration = Duration::from_secs(5);
