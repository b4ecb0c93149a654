//! CronJobs from the outside.

use std::collections::BTreeSet;
use std::time::Duration;

use coracle_api::clock;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use serde_json::{Value, json};

use crate::harness::{Cluster, annotation};

fn cron(name: &str, image: &str, spec: Value) -> Value {
    let mut cron = json!({"metadata": {"name": name}, "spec": {"schedule": "* * * * *",
        "jobTemplate": {"metadata": {"labels": {"of": name}}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": image}]}}}}}});
    json_patch::merge(&mut cron, &json!({"spec": spec}));
    cron
}

async fn status(cluster: &Cluster, name: &str) -> CronJobStatus {
    cluster.get::<CronJob>(name).await.status.unwrap_or_default()
}

async fn jobs(cluster: &Cluster) -> Vec<String> {
    let jobs = cluster.list::<Job>().await;
    jobs.into_iter().filter_map(|job| job.metadata.name).collect()
}

fn minutes() -> i64 {
    clock::now().as_second() / 60
}

async fn minutes_pass(count: u64) {
    // To the middle of a minute.
    let second = clock::now().as_second().rem_euclid(60);
    let rest = u64::try_from(90 - second).unwrap() % 60;
    tokio::time::sleep(Duration::from_secs(rest + 60 * count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_is_made_each_time_and_the_last_are_kept() {
    let cluster = Cluster::new(1).await;
    minutes_pass(0).await;
    let made = cluster.create::<CronJob>(cron("tick", "exits-0", json!({}))).await;
    let first = minutes() + 1;
    minutes_pass(6).await;
    let expected: Vec<_> = (3..6).map(|at| format!("tick-{}", first + at)).collect();
    assert_eq!(jobs(&cluster).await, expected);
    let last = cluster.list::<Job>().await.pop().unwrap();
    let status = status(&cluster, "tick").await;
    assert_eq!(status.active, None);
    let due = status.last_schedule_time.unwrap().0;
    assert_eq!(due.as_second(), (first + 5) * 60);
    assert_eq!(status.last_successful_time, last.status.clone().unwrap().completion_time);
    let scheduled = annotation(&last, "batch.kubernetes.io/cronjob-scheduled-timestamp");
    assert_eq!(scheduled, due.to_string());
    assert_eq!(last.metadata.labels.clone().unwrap()["of"], "tick");
    let uid = made.metadata.uid.as_deref().unwrap();
    assert!(coracle_api::owner::is_controlled_by(&last.metadata, uid));
    cluster.told("SuccessfulCreate", &format!("Created job tick-{first}")).await;
    let seen = format!("Saw completed job: tick-{first}, status: Complete");
    cluster.told("SawCompletedJob", &seen).await;
    cluster.told("SuccessfulDelete", &format!("Deleted job tick-{first}")).await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_still_run_when_the_next_is_due() {
    for (policy, running) in [("Allow", 3), ("Forbid", 1), ("Replace", 1)] {
        let cluster = Cluster::new(1).await;
        minutes_pass(0).await;
        let first = minutes() + 1;
        let spec = json!({"concurrencyPolicy": policy});
        cluster.create::<CronJob>(cron("long", "good", spec)).await;
        minutes_pass(3).await;
        let left = jobs(&cluster).await;
        assert_eq!(left.len(), running, "{policy}: {left:?}");
        let active = status(&cluster, "long").await.active.unwrap();
        let active: Vec<_> = active.into_iter().filter_map(|job| job.name).collect();
        assert_eq!(active, left, "{policy}");
        match policy {
            "Forbid" => {
                assert_eq!(left, [format!("long-{first}")]);
                let message = "Not starting job because prior execution is running and \
                               concurrency policy is Forbid";
                cluster.told("JobAlreadyActive", message).await;
            }
            "Replace" => assert_eq!(left, [format!("long-{}", first + 2)]),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_while_suspended_and_the_last_is_made_up_for() {
    let cluster = Cluster::new(1).await;
    minutes_pass(0).await;
    cluster.create::<CronJob>(cron("rest", "exits-0", json!({"suspend": true}))).await;
    minutes_pass(5).await;
    assert_eq!(jobs(&cluster).await, [""; 0]);
    cluster.patch::<CronJob>("rest", json!({"spec": {"suspend": false}})).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(jobs(&cluster).await, [format!("rest-{}", minutes())]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_missed_by_too_much_is_let_be() {
    let mut cluster = Cluster::new(1).await;
    minutes_pass(0).await;
    let spec = json!({"schedule": "0 * * * *", "startingDeadlineSeconds": 60});
    cluster.create::<CronJob>(cron("strict", "exits-0", spec)).await;
    cluster.create::<CronJob>(cron("mild", "exits-0", json!({"schedule": "0 * * * *"}))).await;
    minutes_pass(1).await;
    cluster.stop_controllers();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    cluster.restart_controllers();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let hour = minutes() / 60 * 60;
    assert_eq!(jobs(&cluster).await, [format!("mild-{hour}")]);
}

#[tokio::test(start_paused = true)]
async fn a_new_schedule_holds_from_now_on() {
    let cluster = Cluster::new(1).await;
    minutes_pass(0).await;
    cluster.create::<CronJob>(cron("moved", "exits-0", json!({"schedule": "0 0 1 1 *"}))).await;
    minutes_pass(10).await;
    cluster.patch::<CronJob>("moved", json!({"spec": {"schedule": "*/5 * * * *"}})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(jobs(&cluster).await, [""; 0], "what would have been due is past");
    minutes_pass(5).await;
    assert_eq!(jobs(&cluster).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn jobs_of_other_origin_are_reported_and_lost_ones_forgotten() {
    let cluster = Cluster::new(1).await;
    minutes_pass(0).await;
    let spec = json!({"schedule": "0 0 1 1 *"});
    let made = cluster.create::<CronJob>(cron("by-hand", "good", spec)).await;
    let mut job = json!({"metadata": {"name": "extra"}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": "good"}]}}}});
    job["metadata"]["ownerReferences"] = json!([coracle_api::owner::controller_reference(&made)]);
    cluster.create::<Job>(job).await;
    let message = "Saw a job that the controller did not create or forgot: extra";
    cluster.told("UnexpectedJob", message).await;
    let ghost = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "ghost",
        "namespace": "default", "uid": "00000000-0000-0000-0000-000000000000"});
    let params = kube::api::PatchParams::default();
    let patch = kube::api::Patch::Merge(json!({"status": {"active": [ghost]}}));
    cluster.api::<CronJob>().patch_status("by-hand", &params, &patch).await.unwrap();
    cluster.told("MissingJob", "Active job went missing: ghost").await;
    cluster
        .until("it is forgotten", async || {
            status(&cluster, "by-hand").await.active.is_none().then_some(())
        })
        .await;
}

/// However often the controllers break off, a night has its jobs, each once.
#[tokio::test(start_paused = true)]
async fn a_night_of_jobs_with_crashes() {
    let mut cluster = Cluster::new(1).await;
    minutes_pass(0).await;
    let spec = json!({"schedule": "*/20 * * * *", "successfulJobsHistoryLimit": 1000,
        "concurrencyPolicy": "Forbid"});
    cluster.create::<CronJob>(cron("night", "exits-0", spec)).await;
    let first = minutes() / 20 + 1;
    for _ in 0..9 * 5 {
        if cluster.controllers_are_down() {
            cluster.restart_controllers();
        } else {
            let is_done = coracle_api::dice::below(2) == 1;
            cluster.crash_controllers(1 + coracle_api::dice::below(12), is_done);
        }
        tokio::time::sleep(Duration::from_secs(240)).await;
    }
    cluster.restart_controllers();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let expected: BTreeSet<_> =
        (first..=minutes() / 20).map(|at| format!("night-{}", at * 20)).collect();
    let made: BTreeSet<_> = jobs(&cluster).await.into_iter().collect();
    assert_eq!(made, expected);
    assert_eq!(expected.len(), 9);
    assert_eq!(cluster.list::<k8s_openapi::api::core::v1::Pod>().await.len(), 9);
    assert_eq!(status(&cluster, "night").await.active, None);
}
