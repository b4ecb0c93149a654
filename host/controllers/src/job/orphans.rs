//! Pods that no job will count any more lose their finalizer: their job is over, or gone, or has
//! given them up.

use async_trait::async_trait;
use coracle_api::owner;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::pods::is_tracked;
use super::spec::{end, is_managed_elsewhere};
use super::tracking;
use crate::context::{Context, Informers};
use crate::error::Result;
use crate::informer::Change;
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};

/// Looks at the pods of a job that is over or gone.
pub(super) fn job_changed(informers: &Informers, orphans: &Queue<Key>, change: &Change<Job>) {
    if change.new.as_ref().is_some_and(|job| end(job).is_none()) {
        return;
    }
    let uid = change.latest().and_then(|job| job.metadata.uid.as_deref()).unwrap_or_default();
    for pod in informers.pods.controlled_by(uid) {
        if is_tracked(&pod) {
            orphans.add(Key::of(&*pod));
        }
    }
}

pub(super) fn pod_changed(informers: &Informers, orphans: &Queue<Key>, change: &Change<Pod>) {
    if let Some(pod) = &change.new
        && is_orphan(informers, pod)
    {
        orphans.add(Key::of(&**pod));
    }
}

/// Whether a pod waits to be counted in vain.
fn is_orphan(informers: &Informers, pod: &Pod) -> bool {
    if !is_tracked(pod) {
        return false;
    }
    let Some(owner) = owner::controller_of(&pod.metadata) else { return true };
    if owner.kind != "Job" || owner.api_version != "batch/v1" {
        return false;
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let job = informers.jobs.get(&Key::new(namespace, &owner.name));
    match job.filter(|job| job.metadata.uid.as_ref() == Some(&owner.uid)) {
        Some(job) => !is_managed_elsewhere(&job) && end(&job).is_some(),
        None => true,
    }
}

pub(super) struct Orphans {
    pub(super) context: Context,
}

#[async_trait]
impl Reconcile<Key> for Orphans {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let informers = &self.context.informers;
        if let Some(pod) = informers.pods.get(key)
            && is_orphan(informers, &pod)
        {
            tracking::release(&self.context, &pod).await?;
        }
        Ok(Next::Wait)
    }
}
