//! DaemonSets: a pod on each node that it belongs on (`pkg/controller/daemon`). Where that is and what
//! such a pod looks like is `nodes`, what is due is `plan`, what the status says is `status` (all
//! pure); `backoff` keeps a pod that fails at once from being replaced without end. The scheduler
//! binds the pods: each may be on its node only.

mod backoff;
mod nodes;
mod plan;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use coracle_api::selector::Selector;
use coracle_api::{clock, owner, pods};
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::claim::claim;
use crate::context::{Context, Informers};
use crate::error::{Error, Result};
use crate::history::{History, REVISION_LABEL};
use crate::informer::{Change, write_status};
use crate::podcontrol;
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};
use backoff::BackOff;
use nodes::Placement;
use plan::{Bounds, Place, Places, Todo};

const WORKERS: usize = 4;
/// How many pods one reconcile creates and deletes at most.
const BURST: usize = 250;

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("daemonset");
    let informers = &context.informers;
    let back_off = Arc::new(BackOff::default());
    informers.daemon_sets.on_change({
        let queue = queue.clone();
        let back_off = back_off.clone();
        move |change| {
            let Some(set) = change.latest() else { return };
            if let (None, Some(uid)) = (&change.new, &set.metadata.uid) {
                back_off.forget(uid);
            }
            queue.add(Key::of(&**set));
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
    informers.nodes.on_change({
        let queue = queue.clone();
        let informers = Arc::downgrade(informers);
        move |change| {
            if let Some(informers) = informers.upgrade() {
                node_changed(&informers, &queue, change);
            }
        }
    });
    informers.revisions.on_change({
        let queue = queue.clone();
        move |change| revision_changed(&queue, change)
    });
    let waiting = context.clone();
    let sets = DaemonSets { context: context.clone(), back_off };
    let runner = context.runner(queue, WORKERS, sets);
    Box::pin(async move {
        waiting.informers.daemon_sets.synced().await;
        waiting.informers.pods.synced().await;
        waiting.informers.nodes.synced().await;
        waiting.informers.revisions.synced().await;
        runner.run().await;
    })
}

/// Wakes the DaemonSets that a pod belongs or belonged to, or could belong to.
fn pod_changed(informers: &Informers, queue: &Queue<Key>, change: &Change<Pod>) {
    for pod in change.both() {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        if let Some(owner) = owner::controller_of(&pod.metadata) {
            if owner.kind == "DaemonSet" {
                queue.add(Key::new(namespace, &owner.name));
            }
            continue;
        }
        // Only the present state of an orphan can be adopted.
        let present = change.new.as_ref().is_some_and(|new| Arc::ptr_eq(new, pod));
        if !present || pods::is_terminating(pod) {
            continue;
        }
        for set in informers.daemon_sets.in_namespace(&namespace) {
            let selector = selector_of(&set);
            if selector.is_ok_and(|selector| selector.matches_some(pod.metadata.labels.as_ref())) {
                queue.add(Key::of(&*set));
            }
        }
    }
}

/// Wakes the DaemonSets that judge a node differently now.
fn node_changed(informers: &Informers, queue: &Queue<Key>, change: &Change<Node>) {
    if let (Some(old), Some(new)) = (&change.old, &change.new) {
        let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
        // Most changes of a node are its heartbeats.
        if old.metadata.labels == new.metadata.labels && taints(old) == taints(new) {
            return;
        }
    }
    for set in informers.daemon_sets.all() {
        let placement = Placement::of(&set);
        let judge = |node: &Option<Arc<Node>>| node.as_ref().map(|node| placement.judge(node));
        if judge(&change.old) != judge(&change.new) {
            queue.add(Key::of(&*set));
        }
    }
}

/// Who takes a set's revisions away or changes them wakes it.
fn revision_changed(queue: &Queue<Key>, change: &Change<ControllerRevision>) {
    for revision in change.both() {
        if let Some(owner) = owner::controller_of(&revision.metadata)
            && owner.kind == "DaemonSet"
        {
            let namespace = revision.metadata.namespace.clone().unwrap_or_default();
            queue.add(Key::new(namespace, &owner.name));
        }
    }
}

fn selector_of(set: &DaemonSet) -> Result<Selector> {
    let selector = set.spec.as_ref().map(|spec| &spec.selector);
    let selector = selector.ok_or_else(|| Error::Invalid("a DaemonSet without spec".into()))?;
    Selector::try_from(selector).map_err(|e| Error::Invalid(e.to_string()))
}

struct DaemonSets {
    context: Context,
    back_off: Arc<BackOff>,
}

#[async_trait]
impl Reconcile<Key> for DaemonSets {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, events, .. } = &self.context;
        let Some(set) = informers.daemon_sets.get(key) else { return Ok(Next::Wait) };
        let selector = selector_of(&set)?;
        if selector.is_everything() {
            let message =
                "This daemon set is selecting all pods. A non-empty selector is required.";
            events.warning(&*set, "SelectingAll", message);
            return Ok(Next::Wait);
        }
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Wait);
        }
        let kept = claim(client, &*set, &selector, &informers.revisions).await?;
        let collisions = set.status.as_ref().and_then(|status| status.collision_count);
        let mut history =
            History::new(&self.context, &*set, REVISION_LABEL, kept, collisions.unwrap_or(0));
        let spec = set.spec.as_ref();
        let template = spec.map(|spec| spec.template.clone()).unwrap_or_default();
        let newest = history.newest(&template).await?;
        let hash = hash_of(&newest);

        let placement = Placement::of(&set);
        let held = claim(client, &*set, &selector, &informers.pods).await?;
        let places = self.places(&placement, &held);
        let wanted = places.values().filter(|place| place.wants()).count();
        let bounds = Bounds::of(&set, wanted);
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let now = clock::now();
        let back_off = |node: &str| self.back_off.wait(uid, node);
        let mut todo = plan::manage(&places, &hash, bounds, now, back_off);
        let again = todo.again;
        if todo.is_nothing() && plan::is_rolling(&set) {
            todo = plan::roll(&places, &hash, bounds, now);
        }
        let done = self.carry_out(&set, &hash, &todo).await;

        // What was just created and deleted is already known.
        let mut held = informers.pods.controlled_by(uid);
        held.retain(|pod| selector.matches_some(pod.metadata.labels.as_ref()));
        let places = self.places(&placement, &held);
        let (status, next) =
            status::calculate(&set, &places, &hash, history.collisions, clock::now());
        if set.status.as_ref() != Some(&status) {
            let changed = DaemonSet { status: Some(status), ..(*set).clone() };
            let doing = "writing a DaemonSet's status";
            write_status(client, &informers.daemon_sets, &changed, doing).await?;
        }
        done?;
        let in_use: BTreeSet<_> = held
            .iter()
            .filter_map(|pod| pod.metadata.labels.as_ref()?.get(REVISION_LABEL).cloned())
            .chain([hash])
            .collect();
        let live = history.revisions.iter().filter(|one| in_use.contains(&hash_of(one)));
        let live = live.filter_map(|one| one.metadata.name.clone()).collect();
        history.trim(spec.and_then(|spec| spec.revision_history_limit), &live).await?;
        Ok(match (next, again) {
            (Next::After(a), Some(b)) => Next::After(a.min(b)),
            (Next::Wait, Some(again)) => Next::After(again),
            (next, None) => next,
        })
    }
}

/// The hash that a revision's pods carry.
fn hash_of(revision: &ControllerRevision) -> String {
    let labels = revision.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(REVISION_LABEL)).cloned().unwrap_or_default()
}

impl DaemonSets {
    /// Every node, and every pod where it is or is meant to be.
    fn places(&self, placement: &Placement, held: &[Arc<Pod>]) -> Places {
        let nodes = self.context.informers.nodes.all();
        let place = |node: &Arc<Node>| {
            let name = node.metadata.name.clone().unwrap_or_default();
            (name, Place { verdict: Some(placement.judge(node)), pods: Vec::new() })
        };
        let mut places: Places = nodes.iter().map(place).collect();
        for pod in held {
            // What is over and going needs nobody any more.
            if pods::is_terminal(pod) && pods::is_terminating(pod) {
                continue;
            }
            let node = nodes::target(pod).unwrap_or_default().to_owned();
            let nowhere = || Place { verdict: None, pods: Vec::new() };
            places.entry(node).or_insert_with(nowhere).pods.push(pod.clone());
        }
        places
    }

    async fn carry_out(&self, set: &DaemonSet, hash: &str, todo: &Todo) -> Result<()> {
        let Context { events, .. } = &self.context;
        for (node, pod) in &todo.over {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let pod_name =
                format!("{}/{}", text(&pod.metadata.namespace), text(&pod.metadata.name));
            if pods::phase(pod) == "Failed" {
                let message = format!(
                    "Found failed daemon pod {pod_name} on node {node}, will try to kill it"
                );
                events.warning(set, "FailedDaemonPod", message);
            } else {
                let message = format!(
                    "Found succeeded daemon pod {pod_name} on node {node}, will try to delete it"
                );
                events.normal(set, "SucceededDaemonPod", message);
            }
        }
        let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
        let nodes = todo.create.iter().take(BURST);
        let pods: Vec<_> = nodes.map(|node| nodes::new_pod(set, &template, hash, node)).collect();
        let created = podcontrol::create_slowly(&self.context, set, &pods).await;
        let going = &todo.delete[..todo.delete.len().min(BURST)];
        let deleted = podcontrol::delete_all(&self.context, set, going).await;
        created.and(deleted)?;
        if todo.create.len() > BURST || todo.delete.len() > BURST {
            return Err(Error::Unfinished("more pods are still to be created or deleted".into()));
        }
        Ok(())
    }
}
