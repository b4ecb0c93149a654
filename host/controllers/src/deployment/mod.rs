//! Deployments: ReplicaSets, one a template, replaced by one another. What a reconcile does in order
//! is here and in `rollout`; `replicasets` writes ReplicaSets, `math`, `status`, `template` and
//! `annotations` are pure.

mod annotations;
mod math;
mod replicasets;
mod rollout;
mod status;
mod template;

use std::sync::Arc;

use async_trait::async_trait;
use coracle_api::owner;
use coracle_api::selector::Selector;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
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
    let queue = context.queue("deployment");
    let informers = &context.informers;
    informers.deployments.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(deployment) = change.latest() {
                queue.add(Key::of(&**deployment));
            }
        }
    });
    informers.replica_sets.on_change({
        let queue = queue.clone();
        let informers = Arc::downgrade(informers);
        move |change| {
            if let Some(informers) = informers.upgrade() {
                replica_set_changed(&informers, &queue, change);
            }
        }
    });
    informers.pods.on_change({
        let queue = queue.clone();
        let informers = Arc::downgrade(informers);
        move |change| {
            if let Some(informers) = informers.upgrade() {
                pod_gone(&informers, &queue, change);
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, Deployments { context: context.clone() });
    Box::pin(async move {
        waiting.informers.deployments.synced().await;
        waiting.informers.replica_sets.synced().await;
        waiting.informers.pods.synced().await;
        runner.run().await;
    })
}

fn replica_set_changed(informers: &Informers, queue: &Queue<Key>, change: &Change<ReplicaSet>) {
    for replica_set in change.both() {
        let namespace = replica_set.metadata.namespace.clone().unwrap_or_default();
        if let Some(owner) = owner::controller_of(&replica_set.metadata) {
            if owner.kind == "Deployment" {
                queue.add(Key::new(namespace, &owner.name));
            }
            continue;
        }
        // Only the present state of an orphan can be adopted.
        if !change.new.as_ref().is_some_and(|new| Arc::ptr_eq(new, replica_set)) {
            continue;
        }
        for deployment in informers.deployments.in_namespace(&namespace) {
            let labels = replica_set.metadata.labels.as_ref();
            if selector_of(&deployment).is_ok_and(|selector| selector.matches_some(labels)) {
                queue.add(Key::of(&*deployment));
            }
        }
    }
}

/// A Deployment that recreates waits until the last old pod is gone.
fn pod_gone(informers: &Informers, queue: &Queue<Key>, change: &Change<Pod>) {
    let (Some(pod), None) = (&change.old, &change.new) else { return };
    let Some(owner) = owner::controller_of(&pod.metadata) else { return };
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let Some(replica_set) = informers.replica_sets.get(&Key::new(&namespace, &owner.name)) else {
        return;
    };
    let Some(owner) = owner::controller_of(&replica_set.metadata) else { return };
    let key = Key::new(namespace, &owner.name);
    if informers.deployments.get(&key).is_some_and(|deployment| !math::is_rolling(&deployment)) {
        queue.add(key);
    }
}

fn selector_of(deployment: &Deployment) -> Result<Selector> {
    let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
    let selector = selector.ok_or_else(|| Error::Invalid("a Deployment without spec".into()))?;
    Selector::try_from(selector).map_err(|e| Error::Invalid(e.to_string()))
}

struct Deployments {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Deployments {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, events, .. } = &self.context;
        let Some(deployment) = informers.deployments.get(key) else { return Ok(Next::Wait) };
        let selector = selector_of(&deployment)?;
        if selector.is_everything() {
            let message =
                "This deployment is selecting all pods. A non-empty selector is required.";
            events.warning(&*deployment, "SelectingAll", message);
            let mut status = deployment.status.clone().unwrap_or_default();
            status.observed_generation = deployment.metadata.generation;
            write_status(&self.context, &deployment, status).await?;
            return Ok(Next::Wait);
        }
        let owned = claim(client, &*deployment, &selector, &informers.replica_sets).await?;
        rollout::Rollout::new(&self.context, deployment, owned).advance().await
    }
}

/// Writes a Deployment's status if it is another one than before.
async fn write_status(
    context: &Context,
    deployment: &Deployment,
    status: k8s_openapi::api::apps::v1::DeploymentStatus,
) -> Result<()> {
    if deployment.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let metadata = &deployment.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    let api = Api::<Deployment>::namespaced(context.client.clone(), namespace);
    let changed = Deployment { status: Some(status), ..deployment.clone() };
    let written = api.replace_status(name, &PostParams::default(), &changed).await;
    context.informers.deployments.observe(written.doing("writing a Deployment's status")?);
    Ok(())
}
