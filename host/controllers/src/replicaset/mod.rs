//! ReplicaSets and ReplicationControllers: as many pods as asked for. What the two kinds have in
//! common is `replicated`; creating and deleting is `manage`, what the status says is `status`.

mod manage;
mod replicated;
mod status;

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use coracle_api::clock;
use coracle_api::owner;
use coracle_api::pods;
use coracle_api::selector::Selector;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::ReplicaSetStatus;
use k8s_openapi::api::core::v1::Pod;

use crate::claim::claim;
use crate::context::{Context, Informers};
use crate::error::Result;
use crate::informer::{Change, write_status};
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};

pub(crate) use replicated::Replicated;

const WORKERS: usize = 8;

pub(crate) fn start<O: Replicated>(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue(O::QUEUE);
    let informers = &context.informers;
    O::informer(informers).on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(owner) = change.latest() {
                queue.add(Key::of(&**owner));
            }
        }
    });
    informers.pods.on_change({
        let queue = queue.clone();
        let informers = Arc::downgrade(informers);
        move |change| {
            if let Some(informers) = informers.upgrade() {
                pod_changed::<O>(&informers, &queue, change);
            }
        }
    });
    let waiting = context.clone();
    let replicas = Replicas::<O> { context: context.clone(), of: PhantomData };
    let runner = context.runner(queue, WORKERS, replicas);
    Box::pin(async move {
        O::informer(&waiting.informers).synced().await;
        waiting.informers.pods.synced().await;
        runner.run().await;
    })
}

/// Wakes the owners that a pod belongs or belonged to, or could belong to.
fn pod_changed<O: Replicated>(informers: &Informers, queue: &Queue<Key>, change: &Change<Pod>) {
    for pod in change.both() {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        if let Some(owner) = owner::controller_of(&pod.metadata) {
            if owner.kind == O::kind(&()) {
                queue.add(Key::new(namespace, &owner.name));
            }
            continue;
        }
        // Only the present state of an orphan can be adopted.
        let present = change.new.as_ref().is_some_and(|new| Arc::ptr_eq(new, pod));
        if !present || pods::is_terminating(pod) {
            continue;
        }
        for owner in O::informer(informers).in_namespace(&namespace) {
            let selector = owner.selector();
            if selector.is_ok_and(|selector| selector.matches_some(pod.metadata.labels.as_ref())) {
                queue.add(Key::of(&*owner));
            }
        }
    }
}

struct Replicas<O> {
    context: Context,
    of: PhantomData<fn() -> O>,
}

#[async_trait]
impl<O: Replicated> Reconcile<Key> for Replicas<O> {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(owner) = O::informer(informers).get(key) else { return Ok(Next::Wait) };
        let selector = owner.selector()?;
        let mut claimed = claim(client, &*owner, &selector, &informers.pods).await?;
        claimed.retain(|pod| !pods::is_terminal(pod));
        let (mut active, mut terminating): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|pod| !pods::is_terminating(pod));

        let managed = if owner.meta().deletion_timestamp.is_none() {
            manage::manage(&self.context, &*owner, &active).await
        } else {
            Ok(())
        };
        // What was just created and deleted is already known.
        refresh(informers, &*owner, &selector, &mut active, &mut terminating);
        let (status, next) = status::calculate(
            &*owner,
            &active,
            terminating.len(),
            managed.as_ref().err(),
            clock::now(),
        );
        self.write_status(&owner, status).await?;
        managed.map(|()| next)
    }
}

/// Reads the pods again from memory.
fn refresh(
    informers: &Informers,
    owner: &impl Replicated,
    selector: &Selector,
    active: &mut Vec<Arc<Pod>>,
    terminating: &mut Vec<Arc<Pod>>,
) {
    let uid = owner.meta().uid.as_deref().unwrap_or_default();
    let held = informers.pods.controlled_by(uid).into_iter().filter(|pod| {
        !pods::is_terminal(pod) && selector.matches_some(pod.metadata.labels.as_ref())
    });
    (*active, *terminating) = held.partition(|pod| !pods::is_terminating(pod));
}

impl<O: Replicated> Replicas<O> {
    async fn write_status(&self, owner: &O, status: ReplicaSetStatus) -> Result<()> {
        let mut changed = owner.clone();
        changed.set_status(status);
        if changed.status() == owner.status() {
            return Ok(());
        }
        let Context { client, informers, .. } = &self.context;
        write_status(client, O::informer(informers), &changed, "writing the status").await
    }
}
