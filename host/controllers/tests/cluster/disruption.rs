//! Disruption budgets from the outside.

use coracle_api::conditions::{self, Condition};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::api::{Api, EvictParams};
use serde_json::{Value, json};

use crate::harness::{Cluster, deployment, pod};

fn budget(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    json!({"metadata": {"name": "budget"}, "spec": spec})
}

async fn status(
    cluster: &Cluster,
    what: &str,
    mut done: impl FnMut(&PodDisruptionBudgetStatus) -> bool,
) -> PodDisruptionBudgetStatus {
    cluster
        .until(what, async || {
            let status = cluster.get::<PodDisruptionBudget>("budget").await.status?;
            done(&status).then_some(status)
        })
        .await
}

fn reason(status: &PodDisruptionBudgetStatus) -> &str {
    conditions::find(status.conditions.as_ref(), "DisruptionAllowed").map_or("", Condition::reason)
}

async fn evict(cluster: &Cluster, name: &str) -> kube::Result<()> {
    let pods: Api<Pod> = cluster.api();
    pods.evict(name, &EvictParams::default()).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn evictions_never_go_beyond_the_budget() {
    let cluster = Cluster::new(3).await;
    cluster.create::<Deployment>(deployment("web", 10, "good")).await;
    cluster.rolled_out("web").await;
    cluster.create::<PodDisruptionBudget>(budget(&json!({"maxUnavailable": "20%"}))).await;
    status(&cluster, "two may go", |status| status.disruptions_allowed == Some(2)).await;
    let full = |status: &PodDisruptionBudgetStatus| {
        status.disruptions_allowed == Some(2) && status.current_healthy == Some(10)
    };
    for round in 0..4 {
        // What is evicted is not replaced while the drain asks.
        cluster.refuse_pods(true);
        let (mut evicted, mut refused) = (0, 0);
        for pod in cluster.list::<Pod>().await {
            if !coracle_api::pods::is_active(&pod) {
                continue;
            }
            match evict(&cluster, pod.metadata.name.as_deref().unwrap()).await {
                Ok(()) => evicted += 1,
                Err(kube::Error::Api(answer)) if answer.code == 429 => refused += 1,
                Err(error) => panic!("{error}"),
            }
            let pods = cluster.list::<Pod>().await;
            let ready = pods.iter().filter(|pod| {
                coracle_api::pods::is_ready(pod) && !coracle_api::pods::is_terminating(pod)
            });
            assert!(ready.count() >= 8, "after {evicted} evictions of round {round}");
        }
        assert_eq!((evicted, refused), (2, 8), "round {round}");
        cluster.refuse_pods(false);
        status(&cluster, "all are replaced", full).await;
    }
    let settled = status(&cluster, "it settles", full);
    let settled = settled.await;
    assert_eq!((settled.expected_pods, settled.desired_healthy), (Some(10), Some(8)));
    assert_eq!((reason(&settled), settled.observed_generation), ("SufficientPods", Some(1)));
}

#[tokio::test(start_paused = true)]
async fn pods_of_nobody_are_counted_as_far_as_they_can_be() {
    let cluster = Cluster::new(1).await;
    cluster.create::<PodDisruptionBudget>(budget(&json!({"minAvailable": 1}))).await;
    cluster.told("NoPods", "No matching pods found").await;
    cluster.create::<Pod>(pod("web", json!({}))).await;
    let seen = status(&cluster, "it is healthy", |status| status.current_healthy == Some(1)).await;
    assert_eq!((seen.expected_pods, seen.disruptions_allowed), (Some(1), Some(0)));
    assert_eq!(reason(&seen), "InsufficientPods");
    let change = json!({"spec": {"minAvailable": "50%"}});
    cluster.patch::<PodDisruptionBudget>("budget", change).await;
    let seen = status(&cluster, "it is seen", |status| status.observed_generation == Some(2)).await;
    assert_eq!((seen.expected_pods, seen.disruptions_allowed), (Some(0), Some(0)));
    cluster
        .until("somebody says so", async || {
            let events = cluster.events().await;
            events.iter().any(|(reason, _)| reason == "UnmanagedPods").then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_counted_may_not_go() {
    let cluster = Cluster::new(1).await;
    let mut owned = pod("web", json!({}));
    // The garbage collector looks for owners only when they go.
    let node = Api::<k8s_openapi::api::core::v1::Node>::all(cluster.client.clone());
    let uid = node.get("node-0").await.unwrap().metadata.uid;
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node",
        "name": "node-0", "uid": uid, "controller": true}]);
    cluster.create::<Pod>(owned).await;
    cluster.create::<PodDisruptionBudget>(budget(&json!({"maxUnavailable": 1}))).await;
    let seen = status(&cluster, "it fails", |status| reason(status) == "SyncFailed").await;
    let message =
        conditions::find(seen.conditions.as_ref(), "DisruptionAllowed").unwrap().message();
    assert_eq!(message, "nodes does not implement the scale subresource");
    let told = "Failed to calculate the number of expected pods: \
                nodes does not implement the scale subresource";
    cluster.told("CalculateExpectedPodCountFailed", told).await;
}

#[tokio::test(start_paused = true)]
async fn an_announced_disruption_that_never_comes_is_taken_back() {
    let cluster = Cluster::new(1).await;
    cluster.create::<Pod>(pod("web", json!({}))).await;
    cluster
        .until("it runs", async || {
            coracle_api::pods::is_ready(&cluster.get::<Pod>("web").await).then_some(())
        })
        .await;
    let target = json!([{"type": "DisruptionTarget", "status": "True", "reason": "Soon",
        "message": "be ready", "lastTransitionTime": coracle_api::clock::now().to_string()}]);
    let pods: Api<Pod> = cluster.api();
    let patch = kube::api::Patch::Strategic(json!({"status": {"conditions": target}}));
    pods.patch_status("web", &Default::default(), &patch).await.unwrap();
    let start = tokio::time::Instant::now();
    let after = cluster
        .until("it is taken back", async || {
            let conditions = cluster.get::<Pod>("web").await.status?.conditions;
            let target = conditions::find(conditions.as_ref(), "DisruptionTarget")?.clone();
            (target.status == "False").then_some(target)
        })
        .await;
    assert_eq!((after.reason, after.message), (None, None));
    assert!((115..=122).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}
