//! StatefulSets: pods with names, in order, each with claims of its own. What is due is decided by
//! `plan`, who a pod is by `identity`, whose its claims are by `retention`, what the status says by
//! `status` (all pure); `control` does it. A name is never taken twice: a pod is made only when the
//! one of that name is gone from the server, however long its node is silent.

mod control;
mod identity;
mod plan;
mod retention;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use coracle_api::selector::Selector;
use coracle_api::{clock, owner, pods};
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;

use crate::claim::{claim, claim_members};
use crate::context::{Context, Informers};
use crate::error::{Error, Result};
use crate::history::{self, History};
use crate::informer::{Change, write_status};
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};
use control::Control;
use status::Revisions;

const WORKERS: usize = 8;
/// Carries the hash of a revision; its pods carry the revision's name.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("statefulset");
    let informers = &context.informers;
    informers.stateful_sets.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(set) = change.latest() {
                queue.add(Key::of(&**set));
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
    let runner = context.runner(queue, WORKERS, StatefulSets { context: context.clone() });
    Box::pin(async move {
        waiting.informers.stateful_sets.synced().await;
        waiting.informers.pods.synced().await;
        waiting.informers.claims.synced().await;
        waiting.informers.revisions.synced().await;
        runner.run().await;
    })
}

/// Wakes the StatefulSets that a pod belongs or belonged to, or could belong to.
fn pod_changed(informers: &Informers, queue: &Queue<Key>, change: &Change<Pod>) {
    for pod in change.both() {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        if let Some(owner) = owner::controller_of(&pod.metadata) {
            if owner.kind == "StatefulSet" {
                queue.add(Key::new(namespace, &owner.name));
            }
            continue;
        }
        // Only the present state of an orphan can be adopted.
        let present = change.new.as_ref().is_some_and(|new| Arc::ptr_eq(new, pod));
        if !present || pods::is_terminating(pod) {
            continue;
        }
        let parent = pod.metadata.name.as_deref().and_then(|name| name.rsplit_once('-'));
        if let Some((parent, _)) = parent {
            let key = Key::new(namespace, parent);
            if informers.stateful_sets.get(&key).is_some() {
                queue.add(key);
            }
        }
    }
}

fn selector_of(set: &StatefulSet) -> Result<Selector> {
    let selector = set.spec.as_ref().map(|spec| &spec.selector);
    let selector = selector.ok_or_else(|| Error::Invalid("a StatefulSet without spec".into()))?;
    let selector = Selector::try_from(selector).map_err(|e| Error::Invalid(e.to_string()))?;
    if selector.is_everything() {
        return Err(Error::Invalid("an empty selector would select every pod".into()));
    }
    Ok(selector)
}

struct StatefulSets {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for StatefulSets {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(set) = informers.stateful_sets.get(key) else { return Ok(Next::Wait) };
        let selector = selector_of(&set)?;
        let before = set.status.clone().unwrap_or_default();
        let collisions = before.collision_count.unwrap_or(0);
        let kept = claim(client, &*set, &selector, &informers.revisions).await?;
        let member = |pod: &Pod| identity::ordinal(&set, pod).is_some();
        let held = claim_members(client, &*set, &selector, &informers.pods, member).await?;
        if set.metadata.deletion_timestamp.is_some() {
            let text = |text: Option<String>| text.unwrap_or_default();
            let (current, update) = (text(before.current_revision), text(before.update_revision));
            let revisions = Revisions { current, update, collisions };
            let (status, next) = status::calculate(&set, &held, &revisions, clock::now());
            self.write(&set, status).await?;
            return Ok(next);
        }

        let mut history = History::new(&self.context, &*set, HASH_LABEL, kept, collisions);
        let current = before.current_revision.and_then(|name| history.named(&name).cloned());
        let spec = set.spec.as_ref();
        let template = spec.map(|spec| spec.template.clone()).unwrap_or_default();
        let update = history.newest(&template).await?;
        // The first revision is where a set begins.
        let current = current.unwrap_or_else(|| update.clone());
        let name = |one: &k8s_openapi::api::apps::v1::ControllerRevision| {
            one.metadata.name.clone().unwrap_or_default()
        };
        let control = Control {
            context: &self.context,
            set: &set,
            current: (name(&current), history::template_of(&current)?),
            update: (name(&update), template),
        };
        let steps = plan::plan(&set, &held, &name(&update), clock::now());
        let taken = control.take(steps).await;

        // What was just created and deleted is already known.
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let mut held = informers.pods.controlled_by(uid);
        held.retain(|pod| member(pod) && selector.matches_some(pod.metadata.labels.as_ref()));
        let revisions = Revisions {
            current: name(&current),
            update: name(&update),
            collisions: history.collisions,
        };
        let (status, next) = status::calculate(&set, &held, &revisions, clock::now());
        self.write(&set, status).await?;
        taken?;
        let mut live: BTreeSet<String> = [revisions.current, revisions.update].into();
        live.extend(held.iter().map(|pod| identity::revision_of(pod).to_owned()));
        history.trim(spec.and_then(|spec| spec.revision_history_limit), &live).await?;
        Ok(next)
    }
}

impl StatefulSets {
    async fn write(&self, set: &StatefulSet, status: StatefulSetStatus) -> Result<()> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let Context { client, informers, .. } = &self.context;
        let changed = StatefulSet { status: Some(status), ..set.clone() };
        let doing = "writing a StatefulSet's status";
        write_status(client, &informers.stateful_sets, &changed, doing).await
    }
}
