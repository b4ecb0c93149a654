//! Jobs from the outside.

use std::time::Duration;

use coracle_api::conditions;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::harness::{Cluster, annotation};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

fn job(name: &str, image: &str, spec: Value) -> Value {
    let mut job = json!({"metadata": {"name": name}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": image}]}}}});
    json_patch::merge(&mut job, &json!({"spec": spec}));
    job
}

async fn status(cluster: &Cluster, name: &str) -> JobStatus {
    cluster.get::<Job>(name).await.status.unwrap_or_default()
}

/// Waits until the status is as wanted.
async fn until(
    cluster: &Cluster,
    name: &str,
    what: &str,
    is_so: impl Fn(&JobStatus) -> bool,
) -> JobStatus {
    cluster
        .until(&format!("{name}: {what}"), async || {
            let status = status(cluster, name).await;
            is_so(&status).then_some(status)
        })
        .await
}

async fn ended(cluster: &Cluster, name: &str) -> JobStatus {
    let over = |status: &JobStatus| holds(status, "Complete") || holds(status, "Failed");
    until(cluster, name, "over", over).await
}

fn holds(status: &JobStatus, type_: &str) -> bool {
    conditions::is_true(status.conditions.as_ref(), type_)
}

/// The conditions that hold, as type, reason and message.
fn told(status: &JobStatus) -> Vec<(String, String, String)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let all = status.conditions.iter().flatten().filter(|condition| condition.status == "True");
    all.map(|one| (one.type_.clone(), text(&one.reason), text(&one.message))).collect()
}

fn both(types: [&str; 2], reason: &str, message: &str) -> Vec<(String, String, String)> {
    types.map(|type_| (type_.to_owned(), reason.to_owned(), message.to_owned())).to_vec()
}

async fn active(cluster: &Cluster, count: usize) -> Vec<Pod> {
    cluster
        .until(&format!("{count} pods run"), async || {
            let mut pods = cluster.list::<Pod>().await;
            pods.retain(|pod| {
                coracle_api::pods::is_active(pod) && coracle_api::pods::phase(pod) == "Running"
            });
            (pods.len() == count).then_some(pods)
        })
        .await
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_job_is_complete_once_so_many_pods_have_succeeded() {
    let cluster = Cluster::new(2).await;
    let spec = json!({"parallelism": 2, "completions": 5});
    let made = cluster.create::<Job>(job("count", "exits-0", spec)).await;
    let status = ended(&cluster, "count").await;
    let (reason, message) = ("CompletionsReached", "Reached expected number of succeeded pods");
    assert_eq!(told(&status), both(["SuccessCriteriaMet", "Complete"], reason, message));
    assert!(status.completion_time >= status.start_time && status.start_time.is_some());
    let written = serde_json::to_value(JobStatus {
        conditions: None,
        start_time: None,
        completion_time: None,
        ..status
    });
    let expected = json!({"succeeded": 5, "ready": 0, "terminating": 0,
        "uncountedTerminatedPods": {}});
    assert_eq!(written.unwrap(), expected);
    let pods = cluster.list::<Pod>().await;
    assert_eq!(pods.len(), 5, "none too many was made, none is taken away");
    for pod in &pods {
        assert_eq!(pod.metadata.finalizers, None);
        let labels = pod.metadata.labels.clone().unwrap();
        assert_eq!(labels["batch.kubernetes.io/job-name"], "count");
        assert_eq!(
            labels["batch.kubernetes.io/controller-uid"],
            made.metadata.uid.clone().unwrap()
        );
    }
    cluster.told("SuccessfulCreate", &format!("Created pod: {}", name(&pods[0]))).await;
    cluster.told("Completed", "Job completed").await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_put_off_longer_and_longer_up_to_the_limit() {
    let cluster = Cluster::new(1).await;
    cluster.create::<Job>(job("fail", "exits-1", json!({"backoffLimit": 2}))).await;
    let status = ended(&cluster, "fail").await;
    let (reason, message) = ("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    assert_eq!(told(&status), both(["FailureTarget", "Failed"], reason, message));
    assert_eq!((status.failed, status.succeeded, status.active), (Some(3), None, None));
    assert_eq!(status.completion_time, None);
    let mut made: Vec<_> = cluster
        .list::<Pod>()
        .await
        .into_iter()
        .map(|pod| pod.metadata.creation_timestamp.unwrap().0)
        .collect();
    made.sort();
    let waits: Vec<_> =
        made.windows(2).map(|two| two[1].duration_since(two[0]).as_secs()).collect();
    assert!((10..=13).contains(&waits[0]) && (20..=23).contains(&waits[1]), "{waits:?}");
    cluster.told(reason, message).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_fails_with_its_pods() {
    let cluster = Cluster::new(1).await;
    let spec = json!({"parallelism": 2, "completions": 2, "activeDeadlineSeconds": 30});
    cluster.create::<Job>(job("slow", "good", spec)).await;
    let start = tokio::time::Instant::now();
    let status = ended(&cluster, "slow").await;
    assert!((30..=33).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let (reason, message) = ("DeadlineExceeded", "Job was active longer than specified deadline");
    assert_eq!(told(&status), both(["FailureTarget", "Failed"], reason, message));
    assert_eq!(status.failed, Some(2), "what was stopped has failed");
    cluster
        .until("its pods are gone", async || cluster.list::<Pod>().await.is_empty().then_some(()))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_suspended_job_has_no_pods_and_its_time_begins_anew() {
    let cluster = Cluster::new(1).await;
    let spec = json!({"suspend": true, "parallelism": 2, "activeDeadlineSeconds": 60});
    cluster.create::<Job>(job("pause", "good", spec)).await;
    let paused = |status: &JobStatus| holds(status, "Suspended");
    let status = until(&cluster, "pause", "suspended", paused).await;
    assert_eq!((status.start_time, status.active), (None, None));
    assert_eq!(cluster.list::<Pod>().await.len(), 0);
    cluster.told("Suspended", "Job suspended").await;

    let suspend = async |suspend: bool| {
        cluster.patch::<Job>("pause", json!({"spec": {"suspend": suspend}})).await;
    };
    suspend(false).await;
    active(&cluster, 2).await;
    cluster.told("Resumed", "Job resumed").await;
    let status = until(&cluster, "pause", "resumed", |status| !holds(status, "Suspended")).await;
    let first_start = status.start_time.unwrap();

    tokio::time::sleep(Duration::from_secs(40)).await;
    suspend(true).await;
    let status = until(&cluster, "pause", "suspended", |status| {
        holds(status, "Suspended") && status.active.is_none() && status.terminating == Some(0)
    })
    .await;
    assert_eq!(status.failed, None, "pods of a suspended job have not failed");
    assert_eq!(cluster.list::<Pod>().await.len(), 0);

    // Longer than the deadline: that time does not count.
    tokio::time::sleep(Duration::from_secs(100)).await;
    suspend(false).await;
    active(&cluster, 2).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let status = self::status(&cluster, "pause").await;
    assert!(!holds(&status, "Failed"));
    assert!(status.start_time.unwrap() > first_start);
    ended(&cluster, "pause").await;
}

#[tokio::test(start_paused = true)]
async fn each_index_is_done_once() {
    let cluster = Cluster::new(2).await;
    let spec = json!({"completionMode": "Indexed", "parallelism": 3, "completions": 5});
    cluster.create::<Job>(job("index", "good", spec)).await;
    let pods = active(&cluster, 3).await;
    for pod in &pods {
        let index = annotation(pod, INDEX);
        assert_eq!(pod.metadata.labels.as_ref().unwrap()[INDEX], index);
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!(spec.hostname.as_deref(), Some(format!("index-{index}").as_str()));
        assert!(name(pod).starts_with(&format!("index-{index}-")), "{}", name(pod));
        let variable = serde_json::to_value(&spec.containers[0].env.as_ref().unwrap()[0]).unwrap();
        assert_eq!(variable["name"], "JOB_COMPLETION_INDEX");
        let path = "metadata.labels['batch.kubernetes.io/job-completion-index']";
        assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"], path);
    }
    // The middle one fails and is tried again.
    let of = |pods: &[Pod], index: &str| {
        let pod = pods.iter().find(|pod| annotation(*pod, INDEX) == index).unwrap();
        name(pod).to_owned()
    };
    cluster.end_pod(&of(&pods, "1"), 1).await;
    cluster.end_pod(&of(&pods, "2"), 0).await;
    let status =
        until(&cluster, "index", "one is done", |status| status.succeeded == Some(1)).await;
    assert_eq!(status.completed_indexes.as_deref(), Some("2"));
    for (index, expected) in [("0", "0,2"), ("1", "0-2"), ("3", "0-3"), ("4", "0-4")] {
        let pod = cluster
            .until("its pod runs", async || {
                let pods = cluster.list::<Pod>().await.into_iter();
                let mut pods = pods.filter(coracle_api::pods::is_active);
                pods.find(|pod| annotation(pod, INDEX) == index)
            })
            .await;
        cluster.end_pod(name(&pod), 0).await;
        let known = |status: &JobStatus| status.completed_indexes.as_deref() == Some(expected);
        until(&cluster, "index", expected, known).await;
    }
    let status = ended(&cluster, "index").await;
    assert_eq!((status.succeeded, status.failed), (Some(5), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn indexes_fail_each_for_itself() {
    let cluster = Cluster::new(2).await;
    let spec = json!({"completionMode": "Indexed", "parallelism": 3, "completions": 3,
        "backoffLimitPerIndex": 1});
    cluster.create::<Job>(job("each", "good", spec)).await;
    for pod in active(&cluster, 3).await {
        assert_eq!(annotation(&pod, "batch.kubernetes.io/job-index-failure-count"), "0");
        cluster.end_pod(name(&pod), i32::from(annotation(&pod, INDEX) == "1")).await;
    }
    let again = active(&cluster, 1).await.remove(0);
    assert_eq!(annotation(&again, INDEX), "1");
    assert_eq!(annotation(&again, "batch.kubernetes.io/job-index-failure-count"), "1");
    cluster.end_pod(name(&again), 1).await;
    let status = ended(&cluster, "each").await;
    assert_eq!(
        told(&status),
        both(["FailureTarget", "Failed"], "FailedIndexes", "Job has failed indexes")
    );
    assert_eq!(status.completed_indexes.as_deref(), Some("0,2"));
    assert_eq!(status.failed_indexes.as_deref(), Some("1"));
    assert_eq!((status.succeeded, status.failed), (Some(2), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn the_failure_policy_decides_what_a_failure_means() {
    let cluster = Cluster::new(1).await;
    let rules = json!({"rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]});
    let spec = json!({"backoffLimit": 0, "podFailurePolicy": rules});
    cluster.create::<Job>(job("policy", "good", spec)).await;
    let first = active(&cluster, 1).await.remove(0);
    let target = json!([{"type": "DisruptionTarget", "status": "True"}]);
    let patch = kube::api::Patch::Strategic(json!({"status": {"conditions": target}}));
    let params = kube::api::PatchParams::default();
    cluster.api::<Pod>().patch_status(name(&first), &params, &patch).await.unwrap();
    cluster.end_pod(name(&first), 137).await;
    let second = active(&cluster, 1).await.remove(0);
    assert_eq!(status(&cluster, "policy").await.failed, None);
    cluster.end_pod(name(&second), 42).await;
    let status = ended(&cluster, "policy").await;
    let message = format!(
        "Container main for pod default/{} failed with exit code 42 matching FailJob rule at index 1",
        name(&second)
    );
    assert_eq!(told(&status), both(["FailureTarget", "Failed"], "PodFailurePolicy", &message));
    assert_eq!(status.failed, Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_success_policy_ends_a_job_early() {
    let cluster = Cluster::new(1).await;
    let spec = json!({"completionMode": "Indexed", "parallelism": 3, "completions": 3,
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]}});
    cluster.create::<Job>(job("leader", "good", spec)).await;
    let pods = active(&cluster, 3).await;
    let leader = pods.iter().find(|pod| annotation(*pod, INDEX) == "0").unwrap();
    cluster.end_pod(name(leader), 0).await;
    let status = ended(&cluster, "leader").await;
    assert_eq!(
        told(&status),
        both(["SuccessCriteriaMet", "Complete"], "SuccessPolicy", "Matched rules at index 0")
    );
    assert_eq!((status.succeeded, status.failed), (Some(1), None));
    let left = cluster.list::<Pod>().await;
    assert_eq!(left.len(), 1, "the others were stopped: {left:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_without_completions_waits_for_all_after_the_first_success() {
    let cluster = Cluster::new(1).await;
    cluster.create::<Job>(job("queue", "good", json!({"parallelism": 3}))).await;
    let pods = active(&cluster, 3).await;
    cluster.end_pod(name(&pods[0]), 0).await;
    until(&cluster, "queue", "one done", |status| status.succeeded == Some(1)).await;
    assert_eq!(active(&cluster, 2).await.len(), 2, "no other takes its place");
    for pod in &pods[1..] {
        cluster.end_pod(name(pod), 0).await;
    }
    let status = ended(&cluster, "queue").await;
    assert!(holds(&status, "Complete"));
    assert_eq!(status.succeeded, Some(3));
}

#[tokio::test(start_paused = true)]
async fn deleted_pods_have_failed_and_are_replaced() {
    let cluster = Cluster::new(1).await;
    cluster.create::<Job>(job("gone", "good", json!({}))).await;
    let victim = active(&cluster, 1).await.remove(0);
    cluster.delete::<Pod>(name(&victim), DeleteParams::default()).await;
    let status = until(&cluster, "gone", "it counts", |status| status.failed == Some(1)).await;
    assert!(!holds(&status, "Failed"));
    cluster
        .until("another runs", async || {
            let pods = cluster.list::<Pod>().await;
            (pods.len() == 1 && name(&pods[0]) != name(&victim)).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn pods_are_adopted_and_released() {
    let cluster = Cluster::new(1).await;
    let mut wish = job(
        "own",
        "good",
        json!({"parallelism": 2, "completions": 2,
        "manualSelector": true, "selector": {"matchLabels": {"app": "own"}}}),
    );
    wish["spec"]["template"]["metadata"] = json!({"labels": {"app": "own"}});
    let mut orphan = crate::harness::pod("own", json!({}));
    orphan["spec"]["restartPolicy"] = "Never".into();
    cluster.create::<Pod>(orphan).await;
    cluster.create::<Job>(wish).await;
    active(&cluster, 2).await;
    let orphan = cluster.get::<Pod>("own").await;
    assert_eq!(orphan.metadata.finalizers.as_deref(), Some(&[FINALIZER.to_owned()][..]));
    assert!(coracle_api::owner::controller_of(&orphan.metadata).is_some());
    cluster.patch::<Pod>("own", json!({"metadata": {"labels": {"app": "other"}}})).await;
    active(&cluster, 3).await;
    let orphan = cluster.get::<Pod>("own").await;
    assert_eq!(orphan.metadata.finalizers, None);
    assert_eq!(coracle_api::owner::controller_of(&orphan.metadata), None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_deleted_job() {
    for propagation in [DeleteParams::background(), DeleteParams::foreground()] {
        let cluster = Cluster::new(1).await;
        cluster.create::<Job>(job("away", "good", json!({"parallelism": 3}))).await;
        let pods = active(&cluster, 3).await;
        cluster.end_pod(name(&pods[0]), 1).await;
        cluster.delete::<Job>("away", propagation).await;
        cluster
            .until("all is gone", async || {
                let jobs = cluster.list::<Job>().await.len();
                (jobs + cluster.list::<Pod>().await.len() == 0).then_some(())
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn orphaned_pods_are_let_go() {
    let cluster = Cluster::new(1).await;
    cluster.create::<Job>(job("leave", "good", json!({}))).await;
    let pod = active(&cluster, 1).await.remove(0);
    cluster.delete::<Job>("leave", DeleteParams::orphan()).await;
    cluster
        .until("it is nobody's", async || {
            let pod = cluster.get::<Pod>(name(&pod)).await;
            (pod.metadata.finalizers.is_none() && pod.metadata.owner_references.is_none())
                .then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_are_over_are_kept_as_long_as_they_ask_for() {
    let cluster = Cluster::new(1).await;
    let spec = json!({"ttlSecondsAfterFinished": 60});
    cluster.create::<Job>(job("short", "exits-0", spec)).await;
    cluster.create::<Job>(job("long", "exits-0", json!({}))).await;
    ended(&cluster, "short").await;
    ended(&cluster, "long").await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(cluster.list::<Job>().await.len(), 2);
    cluster
        .until("one is deleted with its pod", async || {
            let jobs = cluster.list::<Job>().await;
            (jobs.len() == 1 && cluster.list::<Pod>().await.len() == 1).then_some(())
        })
        .await;
    cluster.get::<Job>("long").await;
}

#[tokio::test(start_paused = true)]
async fn jobs_of_other_controllers_are_left_alone() {
    let cluster = Cluster::new(1).await;
    let spec = json!({"managedBy": "example.com/queue"});
    cluster.create::<Job>(job("other", "exits-0", spec)).await;
    cluster.create::<Job>(job("mine", "exits-0", json!({}))).await;
    ended(&cluster, "mine").await;
    assert_eq!(cluster.get::<Job>("other").await.status, Some(JobStatus::default()));
    assert_eq!(cluster.list::<Pod>().await.len(), 1);
}

/// Whatever happens to pods and controllers, in whatever order: every pod that ends is counted, and
/// none twice.
#[tokio::test(start_paused = true)]
async fn counts_are_exact_under_any_interleaving() {
    let pause = || Duration::from_millis(coracle_api::dice::below(400) as u64);
    for round in 0..4 {
        let mut cluster = Cluster::new(2).await;
        coracle_api::dice::seed(round);
        let indexed = round % 2 == 0;
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        let spec = json!({"parallelism": 6, "completions": 12, "backoffLimit": 1000,
            "completionMode": mode, "podReplacementPolicy": "Failed"});
        cluster.create::<Job>(job("exact", "good", spec)).await;
        let (mut succeeded, mut failed) = (0, 0);
        while succeeded < 12 {
            let mut pods = cluster.list::<Pod>().await;
            pods.retain(coracle_api::pods::is_active);
            if let Some(pod) = pods.get(coracle_api::dice::below(pods.len())) {
                let code = i32::from(coracle_api::dice::below(4) == 0);
                let ended = crate::node::end(&cluster.api(), name(pod), code).await;
                ended.unwrap();
                succeeded += i32::from(code == 0);
                failed += code;
            }
            if cluster.controllers_are_down() {
                cluster.restart_controllers();
            } else {
                let is_done = coracle_api::dice::below(2) == 1;
                cluster.crash_controllers(1 + coracle_api::dice::below(12), is_done);
            }
            tokio::time::sleep(pause()).await;
        }
        cluster.restart_controllers();
        let status = ended(&cluster, "exact").await;
        let counted = (status.succeeded.unwrap_or(0), status.failed.unwrap_or(0));
        assert_eq!(counted, (succeeded, failed), "round {round}");
        assert!(holds(&status, "Complete"));
        let pods = cluster.list::<Pod>().await;
        assert_eq!(pods.len() as i32, succeeded + failed, "round {round}");
        assert!(pods.iter().all(|pod| pod.metadata.finalizers.is_none()));
    }
}
