//! ReplicaSets: as many pods as asked for. Creating and deleting is `manage`, what the status says
//! is `status`.

mod manage;
mod status;

use std::sync::Arc;

use async_trait::async_trait;
use coracle_api::clock;
use coracle_api::owner;
use coracle_api::pods;
use coracle_api::selector::Selector;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;

use crate::claim::claim;
use crate::context::{Context, Informers};
use crate::error::{Error, Result, While};
use crate::informer::Change;
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 8;

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("replicaset");
    let informers = &context.informers;
    informers.replica_sets.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(replica_set) = change.latest() {
                queue.add(Key::of(&**replica_set));
            }
        }
    });
    informers.pods.on_change({
        let queue = queue.clone();
        let informers = Arc::downgrade(informers);
        move |change| {
            if let Some(informers) = informers.upgrade() {
                pod_changed(&informers, &queue, change);
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, ReplicaSets { context: context.clone() });
    Box::pin(async move {
        waiting.informers.replica_sets.synced().await;
        waiting.informers.pods.synced().await;
        runner.run().await;
    })
}

/// Wakes the ReplicaSets that a pod belongs or belonged to, or could belong to.
fn pod_changed(informers: &Informers, queue: &Queue<Key>, change: &Change<Pod>) {
    for pod in change.both() {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        if let Some(owner) = owner::controller_of(&pod.metadata) {
            if owner.kind == "ReplicaSet" {
                queue.add(Key::new(namespace, &owner.name));
            }
            continue;
        }
        // Only the present state of an orphan can be adopted.
        let present = change.new.as_ref().is_some_and(|new| Arc::ptr_eq(new, pod));
        if !present || pods::is_terminating(pod) {
            continue;
        }
        for replica_set in informers.replica_sets.in_namespace(&namespace) {
            let selector = selector_of(&replica_set);
            if selector.is_ok_and(|selector| selector.matches_some(pod.metadata.labels.as_ref())) {
                queue.add(Key::of(&*replica_set));
            }
        }
    }
}

fn selector_of(replica_set: &ReplicaSet) -> Result<Selector> {
    let selector = replica_set.spec.as_ref().map(|spec| &spec.selector);
    let selector = selector.ok_or_else(|| Error::Invalid("a ReplicaSet without spec".into()))?;
    let selector = Selector::try_from(selector).map_err(|e| Error::Invalid(e.to_string()))?;
    if selector.is_everything() {
        return Err(Error::Invalid("an empty selector would select every pod".into()));
    }
    Ok(selector)
}

struct ReplicaSets {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for ReplicaSets {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(replica_set) = informers.replica_sets.get(key) else { return Ok(Next::Wait) };
        let selector = selector_of(&replica_set)?;
        let mut claimed = claim(client, &*replica_set, &selector, &informers.pods).await?;
        claimed.retain(|pod| !pods::is_terminal(pod));
        let (mut active, mut terminating): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|pod| !pods::is_terminating(pod));

        let managed = if replica_set.metadata.deletion_timestamp.is_none() {
            manage::manage(&self.context, &replica_set, &active).await
        } else {
            Ok(())
        };
        // What was just created and deleted is already known.
        refresh(informers, &replica_set, &selector, &mut active, &mut terminating);
        let (status, next) = status::calculate(
            &replica_set,
            &active,
            terminating.len(),
            managed.as_ref().err(),
            clock::now(),
        );
        self.write_status(&replica_set, status).await?;
        managed.map(|()| next)
    }
}

/// Reads the pods again from memory.
fn refresh(
    informers: &Informers,
    replica_set: &ReplicaSet,
    selector: &Selector,
    active: &mut Vec<Arc<Pod>>,
    terminating: &mut Vec<Arc<Pod>>,
) {
    let uid = replica_set.metadata.uid.as_deref().unwrap_or_default();
    let held = informers.pods.controlled_by(uid).into_iter().filter(|pod| {
        !pods::is_terminal(pod) && selector.matches_some(pod.metadata.labels.as_ref())
    });
    (*active, *terminating) = held.partition(|pod| !pods::is_terminating(pod));
}

impl ReplicaSets {
    async fn write_status(
        &self,
        replica_set: &ReplicaSet,
        status: k8s_openapi::api::apps::v1::ReplicaSetStatus,
    ) -> Result<()> {
        if replica_set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let Context { client, informers, .. } = &self.context;
        let metadata = &replica_set.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<ReplicaSet>::namespaced(client.clone(), namespace);
        let mut changed = replica_set.clone();
        changed.status = Some(status);
        let written = api.replace_status(name, &PostParams::default(), &changed).await;
        match written.doing("writing a ReplicaSet's status") {
            Ok(written) => {
                informers.replica_sets.observe(written);
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
