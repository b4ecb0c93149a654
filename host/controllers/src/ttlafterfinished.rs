//! Jobs that are over are deleted once the time is up that they ask to be kept for.

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};

use crate::context::Context;
use crate::error::{Result, While};
use crate::job;
use crate::runner::{Key, Next, Reconcile, left};

const WORKERS: usize = 2;

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("ttl_jobs_to_delete");
    context.informers.jobs.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(job) = change.new.as_ref().filter(|job| expiry(job).is_some()) {
                queue.add(Key::of(&**job));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, Expired { context: context.clone() });
    Box::pin(async move {
        waiting.informers.jobs.synced().await;
        runner.run().await;
    })
}

/// When the job is to be deleted, if it is over and says so.
fn expiry(job: &Job) -> Option<Timestamp> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let end = job::end(job)?.last_transition_time.as_ref()?.0;
    let expiry = end.saturating_add(SignedDuration::from_secs(i64::from(ttl))).ok()?;
    job.metadata.deletion_timestamp.is_none().then_some(expiry)
}

struct Expired {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Expired {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(expiry) = informers.jobs.get(key).and_then(|job| expiry(&job)) else {
            return Ok(Next::Wait);
        };
        if let Some(left) = left(expiry) {
            return Ok(Next::After(left));
        }
        // What is held in memory may be out of date, and there is no taking a deletion back.
        let api = Api::<Job>::namespaced(client.clone(), &key.namespace);
        let fresh = api.get_opt(&key.name).await.doing("reading a job that has expired")?;
        let Some((job, expiry)) = fresh.and_then(expiry_of) else {
            return Ok(Next::Wait);
        };
        if let Some(left) = left(expiry) {
            return Ok(Next::After(left));
        }
        let only_this = Preconditions { uid: job.metadata.uid, resource_version: None };
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            preconditions: Some(only_this),
            ..DeleteParams::default()
        };
        match api.delete(&key.name, &params).await.doing("deleting a job that has expired") {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(Next::Wait),
        }
    }
}

fn expiry_of(job: Job) -> Option<(Job, Timestamp)> {
    let expiry = expiry(&job)?;
    Some((job, expiry))
}
