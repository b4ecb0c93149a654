//! CronJobs: a job at each time of a schedule. When is `schedule`, which jobs there are and are kept
//! is `history`; both are pure. A job's name follows from its time, so that none is made twice.

mod history;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::events::reference;
use coracle_api::{clock, owner};
use futures::future::BoxFuture;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};

use self::history::News;
use self::schedule::{Fault, Times};
use crate::context::Context;
use crate::error::{Error, Result, While};
use crate::informer::Change;
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 4;
/// The time that a job was due at.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("cronjob");
    context.informers.cron_jobs.on_change({
        let queue = queue.clone();
        move |change| cron_changed(&queue, change)
    });
    context.informers.jobs.on_change({
        let queue = queue.clone();
        move |change| {
            for job in change.both() {
                let Some(owner) = owner::controller_of(&job.metadata) else { continue };
                if owner.kind == "CronJob" {
                    let namespace = job.metadata.namespace.clone().unwrap_or_default();
                    queue.add(Key::new(namespace, &owner.name));
                }
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, CronJobs { context: context.clone() });
    Box::pin(async move {
        waiting.informers.cron_jobs.synced().await;
        waiting.informers.jobs.synced().await;
        runner.run().await;
    })
}

/// A new schedule holds from now on: what it would have meant before is not made up for.
fn cron_changed(queue: &Queue<Key>, change: &Change<CronJob>) {
    let Some(cron) = change.latest() else { return };
    let key = Key::of(&**cron);
    let when = |cron: &CronJob| (cron.spec.schedule.clone(), cron.spec.time_zone.clone());
    let is_other = change.old.as_ref().is_some_and(|old| when(old) != when(cron));
    let wait = Times::of(cron).ok().and_then(|times| times.next_in(cron, clock::now()));
    match wait {
        Some(wait) if is_other => queue.add_after(key, positive(wait)),
        _ => queue.add(key),
    }
}

fn positive(wait: SignedDuration) -> Duration {
    Duration::try_from(wait).unwrap_or_default()
}

struct CronJobs {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for CronJobs {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let informers = &self.context.informers;
        let Some(cron) = informers.cron_jobs.get(key) else { return Ok(Next::Wait) };
        let uid = cron.metadata.uid.as_deref().unwrap_or_default();
        let jobs = informers.jobs.controlled_by(uid);
        let mut status = cron.status.clone().unwrap_or_default();
        let synced = self.sync(&cron, &jobs, &mut status).await;
        // What was done is written down, whatever was not.
        self.write(&cron, status).await?;
        synced
    }
}

impl CronJobs {
    async fn sync(
        &self,
        cron: &CronJob,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<Next> {
        let events = &self.context.events;
        for news in history::update(status, jobs) {
            match news {
                News::Completed { name, status } => {
                    let message = format!("Saw completed job: {name}, status: {status}");
                    events.normal(cron, "SawCompletedJob", message);
                }
                News::Unexpected(name) => {
                    let message =
                        format!("Saw a job that the controller did not create or forgot: {name}");
                    events.warning(cron, "UnexpectedJob", message);
                }
            }
        }
        self.drop_missing(cron, jobs, status).await?;
        for job in history::surplus(cron, jobs) {
            self.delete(cron, &job, status).await?;
        }
        if cron.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Wait);
        }
        let times = match Times::of(cron) {
            Ok(times) => times,
            Err(Fault::Zone(message)) => {
                events.warning(cron, "UnknownTimeZone", message);
                return Ok(Next::Wait);
            }
            Err(Fault::Schedule(message)) => {
                events.warning(cron, "UnparseableSchedule", message);
                return Ok(Next::Wait);
            }
        };
        if cron.spec.suspend == Some(true) {
            return Ok(Next::Wait);
        }
        let now = clock::now();
        match times.due(cron, now) {
            Err(fault) => {
                let message = format!("invalid schedule: {} : {fault}", cron.spec.schedule);
                events.warning(cron, "InvalidSchedule", message);
                return Ok(Next::Wait);
            }
            Ok(None) => {}
            Ok(Some(start)) => {
                if start.is_far_behind {
                    let message = "too many missed start times. Set or decrease \
                                   .spec.startingDeadlineSeconds or check clock skew";
                    events.warning(cron, "TooManyMissedTimes", message);
                }
                self.begin(cron, &times, start.at, now, status).await?;
            }
        }
        // From the start that is written down now.
        let with_status = CronJob { status: Some(status.clone()), ..cron.clone() };
        let wait = times.next_in(&with_status, now);
        Ok(wait.map_or(Next::Wait, |wait| Next::After(positive(wait))))
    }

    /// Forgets jobs that are not there any more; the server is asked, since memory may lag.
    async fn drop_missing(
        &self,
        cron: &CronJob,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<()> {
        for active in history::missing(status, jobs) {
            let name = active.name.as_deref().unwrap_or_default();
            let found = self.jobs(cron).get_opt(name).await.doing("looking for a job")?;
            if found.is_some_and(|job| job.metadata.uid == active.uid) {
                continue;
            }
            let message = format!("Active job went missing: {name}");
            self.context.events.normal(cron, "MissingJob", message);
            history::drop_active(status, active.uid.as_ref());
        }
        Ok(())
    }

    /// Makes the job for a start, unless that was done, it is too late, or another still runs.
    async fn begin(
        &self,
        cron: &CronJob,
        times: &Times,
        start: Timestamp,
        now: Timestamp,
        status: &mut CronJobStatus,
    ) -> Result<()> {
        let events = &self.context.events;
        if schedule::is_too_late(cron, start, now) {
            let time = start.strftime("%a, %d %b %Y %H:%M:%S +0000");
            let message = format!("Missed scheduled time to start a job: {time}");
            events.warning(cron, "MissSchedule", message);
            return Ok(());
        }
        let name = schedule::job_name(cron, start);
        let mut active = status.active.iter().flatten();
        let is_known = active.any(|active| active.name.as_ref() == Some(&name));
        if is_known || status.last_schedule_time == Some(Time(start)) {
            return Ok(());
        }
        let policy = cron.spec.concurrency_policy.as_deref();
        let running = status.active.clone().unwrap_or_default();
        if policy == Some("Forbid") && !running.is_empty() {
            let message = "Not starting job because prior execution is running and concurrency \
                           policy is Forbid";
            events.normal(cron, "JobAlreadyActive", message);
            return Ok(());
        }
        if policy == Some("Replace") {
            for active in running {
                let name = active.name.as_deref().unwrap_or_default();
                match self.jobs(cron).get_opt(name).await.doing("reading a job to replace")? {
                    Some(job) => self.delete(cron, &job, status).await?,
                    None => history::drop_active(status, active.uid.as_ref()),
                }
            }
        }
        let job = new_job(cron, name, times.written(start));
        if let Some(job) = self.create(cron, job).await? {
            if !history::is_active(status, &job) {
                status.active.get_or_insert_default().push(reference(&*job));
            }
            status.last_schedule_time = Some(Time(start));
        }
        Ok(())
    }

    /// Creates a job; none if its name is somebody else's, or nothing can be created any more.
    async fn create(&self, cron: &CronJob, job: Job) -> Result<Option<Arc<Job>>> {
        let Context { informers, events, .. } = &self.context;
        let created = self.jobs(cron).create(&PostParams::default(), &job).await;
        match created.doing("creating a job") {
            Ok(job) => {
                let job = informers.jobs.observe(job);
                let name = job.metadata.name.as_deref().unwrap_or_default();
                events.normal(cron, "SuccessfulCreate", format!("Created job {name}"));
                Ok(Some(job))
            }
            Err(error) if error.is_namespace_terminating() => Ok(None),
            Err(error) if error.is_already_exists() => {
                // It was made, and the controller stopped before it had written so.
                let name = job.metadata.name.as_deref().unwrap_or_default();
                let found = self.jobs(cron).get_opt(name).await.doing("reading a job of ours")?;
                let uid = cron.metadata.uid.as_deref().unwrap_or_default();
                let ours = found.filter(|job| owner::is_controlled_by(&job.metadata, uid));
                Ok(ours.map(Arc::new))
            }
            Err(error) => {
                let message = format!("Error creating job: {}", error.for_people());
                events.warning(cron, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn delete(&self, cron: &CronJob, job: &Job, status: &mut CronJobStatus) -> Result<()> {
        let events = &self.context.events;
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let only_this = Preconditions { uid: job.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(only_this),
            ..DeleteParams::default()
        };
        match self.jobs(cron).delete(name, &params).await.doing("deleting a job") {
            Err(error) if !error.is_not_found() => {
                let message = format!("Deleted job: {}", error.for_people());
                events.warning(cron, "FailedDelete", message);
                return Err(Error::Unfinished(format!("the job {name} is still there: {error}")));
            }
            Ok(answer) => match answer.left() {
                Some(left) if left.metadata.finalizers.is_some() => {
                    self.context.informers.jobs.observe(left);
                }
                _ => self.context.informers.jobs.forget(job),
            },
            Err(_) => self.context.informers.jobs.forget(job),
        }
        history::drop_active(status, job.metadata.uid.as_ref());
        events.normal(cron, "SuccessfulDelete", format!("Deleted job {name}"));
        Ok(())
    }

    async fn write(&self, cron: &CronJob, status: CronJobStatus) -> Result<()> {
        if cron.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let Context { client, informers, .. } = &self.context;
        let namespace = cron.metadata.namespace.as_deref().unwrap_or_default();
        let name = cron.metadata.name.as_deref().unwrap_or_default();
        let api = Api::<CronJob>::namespaced(client.clone(), namespace);
        let changed = CronJob { status: Some(status), ..cron.clone() };
        let written = api.replace_status(name, &PostParams::default(), &changed).await;
        match written.doing("writing a CronJob's status") {
            Ok(written) => {
                informers.cron_jobs.observe(written);
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn jobs(&self, cron: &CronJob) -> Api<Job> {
        let namespace = cron.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.context.client.clone(), namespace)
    }
}

/// The job that a CronJob's template describes, for a start at `scheduled`.
fn new_job(cron: &CronJob, name: String, scheduled: String) -> Job {
    let template = cron.spec.job_template.clone();
    let metadata = template.metadata.unwrap_or_default();
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.to_owned(), scheduled);
    Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: cron.metadata.namespace.clone(),
            labels: metadata.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner::controller_reference(cron)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}
