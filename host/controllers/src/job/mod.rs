//! Jobs: pods that are to end. How a job stands is `assess`, with the rules of `failure`, `success`
//! and `backoff` over the `indexes`; which pods it needs is `manage`; that each is counted once is
//! `tracking`; pods that no job counts any more are let go by `orphans`. Everything but `manage`'s
//! and `tracking`'s last steps is pure.

mod assess;
mod backoff;
mod failure;
mod indexes;
mod manage;
mod orphans;
mod pods;
mod spec;
mod success;
mod tracking;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::clock;
use coracle_api::conditions::{self, Condition};
use coracle_api::owner;
use coracle_api::pods as pod;
use coracle_api::selector::Selector;
use futures::future::{BoxFuture, join, join_all};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::PostParams;

use self::assess::{Assessment, Ending, assess};
use self::manage::Plan;
pub(crate) use self::spec::end;
use self::spec::{
    COMPLETE, FAILED, FAILURE_TARGET, SUCCESS_CRITERIA_MET, SUSPENDED, holds, is_managed_elsewhere,
    is_suspended,
};
use crate::claim::claim_with_finalizers;
use crate::context::{Context, Informers};
use crate::error::{Error, Result, While, all};
use crate::informer::Change;
use crate::podcontrol;
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 8;
/// Pods that end together are counted together: each count is a write or two.
const BATCH: Duration = Duration::from_millis(100);

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("job");
    let orphans = context.queue("job_orphan_pod");
    let informers = &context.informers;
    informers.jobs.on_change({
        let (queue, orphans) = (queue.clone(), orphans.clone());
        let informers = Arc::downgrade(informers);
        move |change| {
            let Some(informers) = informers.upgrade() else { return };
            job_changed(&queue, change);
            orphans::job_changed(&informers, &orphans, change);
        }
    });
    informers.pods.on_change({
        let (queue, orphans) = (queue.clone(), orphans.clone());
        let informers = Arc::downgrade(informers);
        move |change| {
            let Some(informers) = informers.upgrade() else { return };
            pod_changed(&informers, &queue, change);
            orphans::pod_changed(&informers, &orphans, change);
        }
    });
    let waiting = context.clone();
    let jobs = Jobs { context: context.clone(), backoffs: backoff::Records::default() };
    let jobs = context.runner(queue, WORKERS, jobs);
    let orphans = context.runner(orphans, 1, orphans::Orphans { context: context.clone() });
    Box::pin(async move {
        waiting.informers.jobs.synced().await;
        waiting.informers.pods.synced().await;
        join(jobs.run(), orphans.run()).await;
    })
}

/// What somebody asks for is done at once; what merely happened can wait for more of its kind.
fn job_changed(queue: &Queue<Key>, change: &Change<Job>) {
    let Some(job) = change.latest() else { return };
    let generation = |job: &Arc<Job>| job.metadata.generation;
    if change.new.is_some() && change.old.as_ref().map(generation) == Some(generation(job)) {
        queue.add_after(Key::of(&**job), BATCH);
    } else {
        queue.add(Key::of(&**job));
    }
}

/// Wakes the jobs that a pod belongs or belonged to, or could belong to.
fn pod_changed(informers: &Informers, queue: &Queue<Key>, change: &Change<Pod>) {
    for pod in change.both() {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        if let Some(owner) = owner::controller_of(&pod.metadata) {
            if owner.kind == "Job" {
                queue.add_after(Key::new(namespace, &owner.name), BATCH);
            }
            continue;
        }
        // Only the present state of an orphan can be adopted.
        let present = change.new.as_ref().is_some_and(|new| Arc::ptr_eq(new, pod));
        if !present || pod::is_terminating(pod) {
            continue;
        }
        for job in informers.jobs.in_namespace(&namespace) {
            let selector = selector_of(&job);
            if selector.is_ok_and(|selector| selector.matches_some(pod.metadata.labels.as_ref())) {
                queue.add_after(Key::of(&*job), BATCH);
            }
        }
    }
}

fn selector_of(job: &Job) -> Result<Selector> {
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let selector = selector.ok_or_else(|| Error::Invalid("a job without selector".into()))?;
    let selector = Selector::try_from(selector).map_err(|e| Error::Invalid(e.to_string()))?;
    if selector.is_everything() {
        return Err(Error::Invalid("an empty selector would select every pod".into()));
    }
    Ok(selector)
}

struct Jobs {
    context: Context,
    backoffs: backoff::Records,
}

#[async_trait]
impl Reconcile<Key> for Jobs {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, events, .. } = &self.context;
        let Some(job) = informers.jobs.get(key).filter(|job| end(job).is_none()) else {
            self.backoffs.forget(key);
            return Ok(Next::Wait);
        };
        let Some(spec) = &job.spec else { return Ok(Next::Wait) };
        if is_managed_elsewhere(&job) {
            return Ok(Next::Wait);
        }
        let mode = spec.completion_mode.as_deref();
        if !matches!(mode, None | Some("NonIndexed" | "Indexed")) {
            let message = "Skipped Job sync because completion mode is unknown";
            events.warning(&*job, "UnknownCompletionMode", message);
            return Ok(Next::Wait);
        }
        let selector = selector_of(&job)?;
        let finalizers = [pods::FINALIZER];
        let pods =
            claim_with_finalizers(client, &*job, &selector, &informers.pods, &finalizers).await?;
        self.sync(key, &job, spec, pods).await
    }
}

impl Jobs {
    async fn sync(
        &self,
        key: &Key,
        job: &Arc<Job>,
        spec: &JobSpec,
        pods: Vec<Arc<Pod>>,
    ) -> Result<Next> {
        let now = clock::now();
        let uid = job.metadata.uid.as_deref().unwrap_or_default();
        let is_leaving = job.metadata.deletion_timestamp.is_some();
        let mut status = job.status.clone().unwrap_or_default();
        if status.start_time.is_none() && !is_suspended(spec) {
            status.start_time = Some(Time(now));
        }
        // Time that a job was suspended does not count.
        let resumes = holds(&status, SUSPENDED) && !is_suspended(spec);
        let start = if resumes { Some(now) } else { status.start_time.as_ref().map(|time| time.0) };
        let backoff = self.backoffs.get(key, uid);
        let assessment = assess(spec, &status, start, pods, backoff, now);

        let mut wait = assessment.deadline_in;
        let mut ending = assessment.ending.clone();
        let managed = if ending.is_some() {
            let deleted = podcontrol::delete_all(&self.context, &**job, &assessment.active).await;
            if deleted.is_err() {
                // It is not over while pods run.
                ending = None;
            }
            deleted
        } else if is_leaving {
            Ok(())
        } else {
            let plan = manage::plan(spec, &assessment, now);
            if let Plan::Wait(remaining) = &plan {
                wait = Some(wait.map_or(*remaining, |wait| wait.min(*remaining)));
            }
            manage::carry_out(&self.context, job, spec, &assessment, plan).await
        };
        let present = self.count(job, &mut status);
        if assessment.ending.is_none() {
            if is_complete(spec, assessment.succeeded, present.active) {
                ending = Some(Ending::completions_reached());
            } else if !is_leaving {
                self.note_suspension(job, spec, &mut status);
            }
        }
        self.track(key, job, status, &assessment, ending.as_ref()).await?;
        managed.map(|()| wait.map_or(Next::Wait, Next::After))
    }

    /// Counts the pods that there are now.
    fn count(&self, job: &Job, status: &mut JobStatus) -> Present {
        let uid = job.metadata.uid.as_deref().unwrap_or_default();
        let pods = self.context.informers.pods.controlled_by(uid);
        let number = |test: &dyn Fn(&Pod) -> bool| {
            i32::try_from(pods.iter().filter(|pod| test(pod)).count()).unwrap_or(i32::MAX)
        };
        let active = number(&pod::is_active);
        let terminating = number(&|pod| pod::is_terminating(pod) && !pod::is_terminal(pod));
        status.active = (active > 0).then_some(active);
        status.ready = Some(number(&|pod| pod::is_active(pod) && pod::is_ready(pod)));
        status.terminating = Some(terminating);
        Present { active, terminating }
    }

    fn note_suspension(&self, job: &Job, spec: &JobSpec, status: &mut JobStatus) {
        let events = &self.context.events;
        if is_suspended(spec) {
            let suspended = JobCondition::new(SUSPENDED, "True", "JobSuspended", "Job suspended");
            if conditions::set(&mut status.conditions, suspended) {
                events.normal(job, "Suspended", "Job suspended");
            }
        } else if holds(status, SUSPENDED) {
            let resumed = JobCondition::new(SUSPENDED, "False", "JobResumed", "Job resumed");
            conditions::set(&mut status.conditions, resumed);
            status.start_time = Some(Time(clock::now()));
            events.normal(job, "Resumed", "Job resumed");
        }
    }

    /// Notes what is over, writes that, lets the noted pods go, counts them, and writes that.
    async fn track(
        &self,
        key: &Key,
        job: &Arc<Job>,
        mut status: JobStatus,
        assessment: &Assessment,
        ending: Option<&Ending>,
    ) -> Result<()> {
        let spec = job.spec.clone().unwrap_or_default();
        let is_leaving = job.metadata.deletion_timestamp.is_some();
        let mut held = tracking::held(&assessment.pods);
        tracking::settle(&mut status, &held);
        let noted = tracking::note(&mut status, &spec, is_leaving, assessment, ending);
        if let Some(ending) = ending {
            announce(ending, &mut status);
        }
        let Some(job) = self.write(job, &mut status).await? else { return Ok(()) };
        let uid = job.metadata.uid.as_deref().unwrap_or_default();
        self.backoffs.set(key, uid, assessment.backoff);

        let released = noted
            .release
            .iter()
            .map(async |pod| tracking::release(&self.context, pod).await.map(|()| pods::uid(pod)));
        let released = join_all(released).await;
        for uid in released.iter().flatten() {
            held.remove(*uid);
        }
        tracking::settle(&mut status, &held);
        let present = self.count(&job, &mut status);
        let is_over = !noted.is_capped && present.active + present.terminating == 0;
        let ending = ending.filter(|_| is_over && is_all_counted(&status));
        if let Some(ending) = ending {
            finish(ending, &mut status);
        }
        let Some(job) = self.write(&job, &mut status).await? else { return Ok(()) };
        if let Some(ending) = ending {
            self.report(&job, ending);
        }
        all(released)?;
        Ok(())
    }

    /// Writes the status if it has news; none if the job is gone. `status` becomes what was written.
    async fn write(&self, job: &Arc<Job>, status: &mut JobStatus) -> Result<Option<Arc<Job>>> {
        if job.status.as_ref() == Some(status) {
            return Ok(Some(job.clone()));
        }
        let Context { client, informers, .. } = &self.context;
        let metadata = &job.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<Job>::namespaced(client.clone(), namespace);
        let mut changed = Job::clone(job);
        changed.status = Some(status.clone());
        let written = api.replace_status(name, &PostParams::default(), &changed).await;
        match written.doing("writing a job's status") {
            Ok(written) => {
                let written = informers.jobs.observe(written);
                *status = written.status.clone().unwrap_or_default();
                Ok(Some(written))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn report(&self, job: &Job, ending: &Ending) {
        let events = &self.context.events;
        if !ending.succeeded {
            events.warning(job, &ending.reason, &ending.message);
            return;
        }
        let succeeded = job.status.as_ref().and_then(|status| status.succeeded);
        let wanted = job.spec.as_ref().and_then(|spec| spec.completions);
        if wanted.is_some() && succeeded > wanted {
            let message = "Too many succeeded pods running after completion count reached";
            events.warning(job, "TooManySucceededPods", message);
        }
        events.normal(job, "Completed", "Job completed");
    }
}

/// The pods that a job has now.
struct Present {
    active: i32,
    terminating: i32,
}

fn is_complete(spec: &JobSpec, succeeded: i32, active: i32) -> bool {
    let enough = spec.completions.map_or(succeeded > 0, |completions| succeeded >= completions);
    enough && active == 0
}

fn is_all_counted(status: &JobStatus) -> bool {
    status.uncounted_terminated_pods.as_ref().is_none_or(|uncounted| {
        uncounted.succeeded.iter().chain(&uncounted.failed).flatten().next().is_none()
    })
}

/// Says how the job will end, before its pods are let go.
fn announce(ending: &Ending, status: &mut JobStatus) {
    let type_ = if ending.succeeded { SUCCESS_CRITERIA_MET } else { FAILURE_TARGET };
    if !holds(status, type_) {
        let condition = JobCondition::new(type_, "True", &ending.reason, &*ending.message);
        conditions::set(&mut status.conditions, condition);
    }
}

/// Says that the job has ended.
fn finish(ending: &Ending, status: &mut JobStatus) {
    let type_ = if ending.succeeded { COMPLETE } else { FAILED };
    let condition = JobCondition::new(type_, "True", &ending.reason, &*ending.message);
    if ending.succeeded {
        status.completion_time = condition.last_transition_time.clone();
    }
    conditions::set(&mut status.conditions, condition);
}
