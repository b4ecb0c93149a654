//! Which jobs a CronJob still has, has had, and keeps. Pure.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::job;

/// What there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Completed { name: String, status: String },
    Unexpected(String),
}

fn uid(job: &Job) -> Option<&String> {
    job.metadata.uid.as_ref()
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

fn has_succeeded(job: &Job) -> bool {
    job::end(job).is_some_and(|end| end.type_ == "Complete")
}

/// Whether `status` names the job among those that run.
pub(super) fn is_active(status: &CronJobStatus, job: &Job) -> bool {
    status.active.iter().flatten().any(|active| active.uid.as_ref() == uid(job))
}

/// Takes a job out of those that run.
pub(super) fn drop_active(status: &mut CronJobStatus, uid: Option<&String>) {
    if let Some(active) = &mut status.active {
        active.retain(|active| active.uid.as_ref() != uid);
    }
    status.active.take_if(|active| active.is_empty());
}

/// Brings `status` up to what `jobs` say.
pub(super) fn update(status: &mut CronJobStatus, jobs: &[Arc<Job>]) -> Vec<News> {
    let mut news = Vec::new();
    for job in jobs {
        let was_active = is_active(status, job);
        match job::end(job) {
            None if !was_active => news.push(News::Unexpected(name(job).to_owned())),
            None => {}
            Some(end) if was_active => {
                drop_active(status, uid(job));
                let (name, status) = (name(job).to_owned(), end.type_.clone());
                news.push(News::Completed { name, status });
            }
            Some(_) => {}
        }
        if has_succeeded(job)
            && let Some(Time(done)) = job.status.as_ref().and_then(|s| s.completion_time.clone())
            && status.last_successful_time.as_ref().is_none_or(|Time(last)| done > *last)
        {
            status.last_successful_time = Some(Time(done));
        }
    }
    news
}

/// The jobs that `status` says run and that are not among `jobs`.
pub(super) fn missing(status: &CronJobStatus, jobs: &[Arc<Job>]) -> Vec<ObjectReference> {
    let is_there =
        |active: &ObjectReference| jobs.iter().any(|job| uid(job) == active.uid.as_ref());
    status.active.iter().flatten().filter(|active| !is_there(active)).cloned().collect()
}

/// The jobs that are over and more than are kept, the oldest first.
pub(super) fn surplus(cron: &CronJob, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let over = |succeeded: bool, limit: Option<i32>| {
        let ended = jobs.iter().filter(|job| job.metadata.deletion_timestamp.is_none());
        let ended = ended.filter(|job| job::end(job).is_some() && has_succeeded(job) == succeeded);
        let mut ended: Vec<_> = ended.cloned().collect();
        ended.sort_by_key(|job| {
            let start = job.status.as_ref().and_then(|status| status.start_time.clone());
            let start = start.map(|time| time.0);
            (start.is_none(), start, name(job).to_owned())
        });
        let kept = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
        ended.truncate(ended.len().saturating_sub(kept));
        ended
    };
    let spec = &cron.spec;
    let mut surplus = over(true, spec.successful_jobs_history_limit);
    surplus.extend(over(false, spec.failed_jobs_history_limit));
    surplus
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(name: &str, ended: Option<&str>, minute: u32) -> Arc<Job> {
        let time = format!("2026-01-01T00:{minute:02}:00Z");
        let conditions: Vec<Value> =
            ended.iter().map(|type_| json!({"type": type_, "status": "True"})).collect();
        let done = (ended == Some("Complete")).then_some(&time);
        let job = json!({"metadata": {"name": name, "uid": name},
            "status": {"startTime": time, "completionTime": done, "conditions": conditions}});
        Arc::new(serde_json::from_value(job).unwrap())
    }

    #[test]
    fn what_jobs_say() {
        let mut status: CronJobStatus = serde_json::from_value(json!({"active": [
            {"name": "runs", "uid": "runs"}, {"name": "done", "uid": "done"},
            {"name": "lost", "uid": "lost"}]}))
        .unwrap();
        let jobs = [
            job("runs", None, 1),
            job("done", Some("Complete"), 2),
            job("stranger", None, 3),
            job("old", Some("Complete"), 1),
            job("bad", Some("Failed"), 5),
        ];
        let news = update(&mut status, &jobs);
        let done = News::Completed { name: "done".into(), status: "Complete".into() };
        assert_eq!(news, [done, News::Unexpected("stranger".into())]);
        assert!(is_active(&status, &jobs[0]) && !is_active(&status, &jobs[1]));
        let last = status.last_successful_time.clone().unwrap().0;
        assert_eq!(last.to_string(), "2026-01-01T00:02:00Z");
        let missing = missing(&status, &jobs);
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].name.as_deref(), Some("lost"));
        assert_eq!(update(&mut status, &jobs), [News::Unexpected("stranger".into())]);
    }

    #[test]
    fn the_oldest_go_first() {
        let jobs = [
            job("c", Some("Complete"), 3),
            job("a", Some("Complete"), 1),
            job("b", Some("Complete"), 1),
            job("f", Some("Failed"), 1),
            job("g", Some("Failed"), 2),
            job("r", None, 0),
        ];
        for (succeeded, failed, expected) in [
            (Some(1), Some(1), vec!["a", "b", "f"]),
            (Some(0), None, vec!["a", "b", "c"]),
            (Some(3), Some(0), vec!["f", "g"]),
            (None, None, vec![]),
        ] {
            let cron = json!({"metadata": {}, "spec": {"schedule": "", "jobTemplate": {},
                "successfulJobsHistoryLimit": succeeded, "failedJobsHistoryLimit": failed}});
            let found = surplus(&serde_json::from_value(cron).unwrap(), &jobs);
            let found: Vec<_> = found.iter().map(|job| name(job)).collect();
            assert_eq!(found, expected);
        }
    }
}
