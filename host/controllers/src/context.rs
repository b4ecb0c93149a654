//! What every controller is given: its own client and recorder, the informers that all share, and
//! the options.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolumeClaim, Pod, ReplicationController,
    ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Client;
use tokio::task::JoinSet;

use crate::Options;
use crate::events::Recorder;
use crate::informer::Informer;
use crate::metrics::Metrics;
use crate::queue::{Queue, Work};
use crate::runner::{Reconcile, Runner};
use crate::{bootstrap, rootcacert, tokens};

/// One informer a kind.
#[derive(Default)]
pub(crate) struct Informers {
    pub(crate) pods: Informer<Pod>,
    pub(crate) replica_sets: Informer<ReplicaSet>,
    pub(crate) replication_controllers: Informer<ReplicationController>,
    pub(crate) deployments: Informer<Deployment>,
    pub(crate) jobs: Informer<Job>,
    pub(crate) cron_jobs: Informer<CronJob>,
    pub(crate) daemon_sets: Informer<DaemonSet>,
    pub(crate) revisions: Informer<ControllerRevision>,
    pub(crate) stateful_sets: Informer<StatefulSet>,
    pub(crate) budgets: Informer<PodDisruptionBudget>,
    pub(crate) services: Informer<Service>,
    pub(crate) claims: Informer<PersistentVolumeClaim>,
    pub(crate) resource_quotas: Informer<ResourceQuota>,
    pub(crate) endpoints: Informer<Endpoints>,
    pub(crate) endpoint_slices: Informer<EndpointSlice>,
    pub(crate) nodes: Informer<Node>,
    pub(crate) leases: Informer<Lease>,
    pub(crate) namespaces: Informer<Namespace>,
    pub(crate) cluster_roles: Informer<ClusterRole>,
    pub(crate) certificate_requests: Informer<CertificateSigningRequest>,
    pub(crate) service_accounts: Informer<ServiceAccount>,
    /// Only those that hold tokens of service accounts.
    pub(crate) token_secrets: Informer<Secret>,
    /// Only those that hold tokens for new nodes.
    pub(crate) bootstrap_tokens: Informer<Secret>,
    /// Only those that every namespace is given.
    pub(crate) config_maps: Informer<ConfigMap>,
    /// Only the one that says where the cluster is.
    pub(crate) cluster_info: Informer<ConfigMap>,
}

impl Informers {
    /// Starts all watches.
    pub(crate) fn start(self: &Arc<Self>, client: &Client, tasks: &mut JoinSet<()>) {
        macro_rules! start {
            ($($field:ident $(($fields:expr))?),* $(,)?) => {$({
                let informers = self.clone();
                let client = client.clone();
                tasks.spawn(async move {
                    let fields: Option<String> = [$($fields)?].into_iter().next();
                    informers.$field.run(client, fields.as_deref()).await;
                });
            })*};
        }
        start!(
            pods,
            replica_sets,
            replication_controllers,
            deployments,
            jobs,
            cron_jobs,
            daemon_sets,
            revisions,
            stateful_sets,
            budgets,
            services,
            claims,
            resource_quotas,
            endpoints,
            endpoint_slices,
            nodes,
            leases("metadata.namespace=kube-node-lease".to_owned()),
            namespaces,
            cluster_roles,
            certificate_requests,
            service_accounts,
            token_secrets(format!("type={}", tokens::TYPE)),
            bootstrap_tokens(format!(
                "metadata.namespace={},type={}",
                bootstrap::NAMESPACE,
                bootstrap::TYPE
            )),
            config_maps(format!("metadata.name={}", rootcacert::NAME)),
            cluster_info(format!(
                "metadata.namespace={},metadata.name={}",
                bootstrap::signer::NAMESPACE,
                bootstrap::signer::NAME
            )),
        );
    }
}

/// What a controller works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    pub(crate) informers: Arc<Informers>,
    pub(crate) events: Recorder,
    pub(crate) options: Arc<Options>,
    pub(crate) metrics: Metrics,
    pub(crate) closer: Closer,
}

type Close = Box<dyn Fn() + Send + Sync>;

/// Closes the queues of a controller.
#[derive(Clone, Default)]
pub(crate) struct Closer {
    queues: Arc<Mutex<Vec<Close>>>,
}

impl Closer {
    fn add(&self, close: impl Fn() + Send + Sync + 'static) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(close));
    }

    pub(crate) fn close(&self) {
        for close in self.queues.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            close();
        }
    }
}

impl Context {
    /// A queue of this controller; `name` tells several of one controller apart.
    pub(crate) fn queue<K: Work>(&self, name: &'static str) -> Arc<Queue<K>> {
        let queue = Arc::new(Queue::new(self.metrics.queue(name)));
        self.closer.add({
            let queue = queue.clone();
            move || queue.close()
        });
        queue
    }

    /// The loop over `queue`.
    pub(crate) fn runner<K: Work>(
        &self,
        queue: Arc<Queue<K>>,
        workers: usize,
        reconciler: impl Reconcile<K>,
    ) -> Runner<K> {
        let metrics = self.metrics.reconciles(self.name);
        Runner { name: self.name, queue, workers, metrics, reconciler: Arc::new(reconciler) }
    }
}
