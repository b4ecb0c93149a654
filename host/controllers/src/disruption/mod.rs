//! PodDisruptionBudgets: how many of their pods may go (`pkg/controller/disruption`). What the status
//! says is `status` (pure), how many pods there should be is `expected`, what takes back an announced
//! disruption that never came is `stale`. Evictions take their disruptions from the status
//! themselves, in the API server.

mod expected;
mod stale;
mod status;

use std::sync::Arc;

use async_trait::async_trait;
use coracle_api::selector::Selector;
use coracle_api::{clock, pods};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};

use crate::context::{Context, Informers};
use crate::error::{Error, Result};
use crate::informer::{Change, write_status};
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 4;

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("disruption");
    let informers = &context.informers;
    informers.budgets.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(budget) = change.latest() {
                queue.add(Key::of(&**budget));
            }
        }
    });
    informers.pods.on_change({
        let queue = queue.clone();
        let context = context.clone();
        move |change| pod_changed(&context, &queue, change)
    });
    let waiting = context.clone();
    let stale = stale::runner(&context);
    let budgets = Budgets { context: context.clone(), scales: expected::Scales::default() };
    let runner = context.runner(queue, WORKERS, budgets);
    Box::pin(async move {
        waiting.informers.budgets.synced().await;
        waiting.informers.pods.synced().await;
        waiting.informers.deployments.synced().await;
        waiting.informers.replica_sets.synced().await;
        waiting.informers.stateful_sets.synced().await;
        waiting.informers.replication_controllers.synced().await;
        tokio::join!(runner.run(), stale.run());
    })
}

/// Wakes the budgets that a pod is or was under.
fn pod_changed(context: &Context, queue: &Queue<Key>, change: &Change<Pod>) {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && facts(old) == facts(new)
    {
        return;
    }
    let Some(pod) = change.latest() else { return };
    for pod in change.both() {
        for budget in over(&context.informers, pod) {
            queue.add(Key::of(&*budget));
        }
    }
    let all = over(&context.informers, pod);
    if let [first, _, ..] = all.as_slice()
        && change.new.is_some()
    {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let message = format!(
            "Pod {:?}/{:?} matches multiple PodDisruptionBudgets.  Chose {:?} arbitrarily.",
            text(&pod.metadata.namespace),
            text(&pod.metadata.name),
            text(&first.metadata.name)
        );
        context.events.warning(&**pod, "MultiplePodDisruptionBudgets", message);
    }
}

/// What of a pod shows in its budget.
fn facts(pod: &Pod) -> impl PartialEq + '_ {
    let metadata = &pod.metadata;
    (
        pods::is_ready(pod),
        pods::is_terminating(pod),
        &metadata.labels,
        &metadata.owner_references,
        &metadata.uid,
    )
}

/// The budgets that a pod is under.
fn over(informers: &Informers, pod: &Pod) -> Vec<Arc<PodDisruptionBudget>> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut budgets = informers.budgets.in_namespace(namespace);
    budgets.retain(|budget| {
        let selector = selector_of(budget);
        selector.is_ok_and(|selector| {
            selector.is_some_and(|selector| selector.matches_some(pod.metadata.labels.as_ref()))
        })
    });
    budgets
}

/// Which pods a budget is about; without a selector it is about none.
fn selector_of(budget: &PodDisruptionBudget) -> Result<Option<Selector>> {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let selector = selector.map(Selector::try_from).transpose();
    selector.map_err(|error| Error::Invalid(error.to_string()))
}

struct Budgets {
    context: Context,
    scales: expected::Scales,
}

#[async_trait]
impl Reconcile<Key> for Budgets {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Some(budget) = self.context.informers.budgets.get(key) else { return Ok(Next::Wait) };
        match self.sync(&budget).await {
            // Somebody evicted meanwhile; what is written next counts it.
            Err(error) if error.is_conflict() => Err(error),
            // As long as it is not known how many may go, none may.
            Err(error) => {
                let failed = status::failed(&budget, &error.for_people());
                self.write(&budget, failed).await?;
                Err(error)
            }
            done => done,
        }
    }
}

impl Budgets {
    async fn sync(&self, budget: &PodDisruptionBudget) -> Result<Next> {
        let events = &self.context.events;
        let pods = match self.pods(budget) {
            Ok(pods) => pods,
            Err(error) => {
                let message = format!("Failed to get pods: {error}");
                events.warning(budget, "NoPods", message);
                return Err(error);
            }
        };
        if pods.is_empty() {
            events.normal(budget, "NoPods", "No matching pods found");
        }
        let counted = if status::needs_scale(budget) {
            match self.scales.expected(&self.context, &pods).await {
                Ok(counted) => counted,
                Err(error) => {
                    let message = format!(
                        "Failed to calculate the number of expected pods: {}",
                        error.for_people()
                    );
                    events.warning(budget, "CalculateExpectedPodCountFailed", message);
                    return Err(error);
                }
            }
        } else {
            expected::Counted { pods: pods.len(), unmanaged: false }
        };
        if counted.unmanaged {
            events.warning(budget, "UnmanagedPods", status::unmanaged(budget));
        }
        let expected = i32::try_from(counted.pods).unwrap_or(i32::MAX);
        let now = clock::now();
        for pod in status::not_deleted(budget, &pods, now) {
            // The namespace twice, as Kubernetes says it.
            let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
            let message = format!(
                "Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't"
            );
            events.warning(&**pod, "NotDeleted", message);
        }
        let (status, recheck) = status::calculate(budget, &pods, expected, now);
        self.write(budget, status).await?;
        Ok(recheck.map_or(Next::Wait, Next::After))
    }

    fn pods(&self, budget: &PodDisruptionBudget) -> Result<Vec<Arc<Pod>>> {
        let Some(selector) = selector_of(budget)? else { return Ok(Vec::new()) };
        let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
        let mut pods = self.context.informers.pods.in_namespace(namespace);
        pods.retain(|pod| selector.matches_some(pod.metadata.labels.as_ref()));
        Ok(pods)
    }

    async fn write(
        &self,
        budget: &PodDisruptionBudget,
        status: PodDisruptionBudgetStatus,
    ) -> Result<()> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let Context { client, informers, .. } = &self.context;
        let changed = PodDisruptionBudget { status: Some(status), ..budget.clone() };
        let doing = "writing a PodDisruptionBudget's status";
        write_status(client, &informers.budgets, &changed, doing).await
    }
}
