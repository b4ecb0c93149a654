//! Deployments from the outside.

use std::time::Duration;

use coracle_api::conditions;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::harness::{Cluster, annotation, deployment};

fn condition(deployment: &Deployment, type_: &str) -> (String, String) {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
    let condition = conditions::find(conditions, type_).cloned().unwrap_or_default();
    (condition.status, condition.reason.unwrap_or_default())
}

fn size(replica_set: &ReplicaSet) -> i32 {
    replica_set.spec.as_ref().unwrap().replicas.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_rolls_out_and_back() {
    let cluster = Cluster::new(3).await;
    cluster.create::<Deployment>(deployment("web", 3, "one")).await;
    let first = cluster.rolled_out("web").await;
    assert_eq!(annotation(&first, "deployment.kubernetes.io/revision"), "1");
    assert_eq!(condition(&first, "Available"), ("True".into(), "MinimumReplicasAvailable".into()));
    let progressing = ("True".to_owned(), "NewReplicaSetAvailable".to_owned());
    cluster
        .until("progress is judged", async || {
            let deployment = cluster.get::<Deployment>("web").await;
            (condition(&deployment, "Progressing") == progressing).then_some(())
        })
        .await;
    let (_, one) = cluster.revisions().await.remove(0);
    let name = one.metadata.name.clone().unwrap();
    assert!(name.starts_with("web-"));
    cluster.told("ScalingReplicaSet", &format!("Scaled up replica set {name} from 0 to 3")).await;

    let change = |image: &str| {
        let containers = json!([{"name": "main", "image": image}]);
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    };
    cluster.patch::<Deployment>("web", change("two")).await;
    let second = cluster.rolled_out("web").await;
    assert_eq!(annotation(&second, "deployment.kubernetes.io/revision"), "2");
    let revisions = cluster.revisions().await;
    assert_eq!(revisions.iter().map(|(_, one)| size(one)).collect::<Vec<_>>(), [0, 3]);
    let pods = cluster.list::<Pod>().await;
    let images = pods.iter().map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone());
    assert!(images.into_iter().all(|image| image.as_deref() == Some("two")));

    // As `kubectl rollout undo` does: the old template again.
    cluster.patch::<Deployment>("web", change("one")).await;
    let third = cluster.rolled_out("web").await;
    assert_eq!(annotation(&third, "deployment.kubernetes.io/revision"), "3");
    let revisions = cluster.revisions().await;
    assert_eq!(revisions.len(), 2, "the old ReplicaSet is used again");
    assert_eq!(annotation(&revisions[1].1, "deployment.kubernetes.io/revision-history"), "1");
    assert_eq!(revisions[1].1.metadata.name.as_deref(), Some(name.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_keeps_its_promises() {
    let cluster = Cluster::new(3).await;
    let mut wish = deployment("web", 8, "one");
    wish["spec"]["strategy"] = json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}});
    cluster.create::<Deployment>(wish).await;
    cluster.rolled_out("web").await;
    let containers = json!([{"name": "main", "image": "two"}]);
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    cluster.patch::<Deployment>("web", change).await;
    cluster
        .until("all are replaced", async || {
            let pods = cluster.list::<Pod>().await;
            let active = pods.iter().filter(|pod| coracle_api::pods::is_active(pod));
            let active: Vec<_> = active.collect();
            let ready = active.iter().filter(|pod| coracle_api::pods::is_ready(pod)).count();
            assert!(active.len() <= 10, "never more than the surge allows");
            assert!(ready >= 7, "never fewer than may be unavailable");
            let new = |pod: &&&Pod| {
                pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("two")
            };
            (active.len() == 8 && active.iter().filter(new).count() == 8).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn recreation_starts_when_all_old_pods_are_gone() {
    let cluster = Cluster::new(1).await;
    let mut wish = deployment("web", 3, "one");
    wish["spec"]["strategy"] = json!({"type": "Recreate"});
    cluster.create::<Deployment>(wish).await;
    cluster.rolled_out("web").await;
    let containers = json!([{"name": "main", "image": "two"}]);
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    cluster.patch::<Deployment>("web", change).await;
    cluster
        .until("all are replaced", async || {
            let pods = cluster.list::<Pod>().await;
            let images =
                pods.iter().map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone());
            let images: std::collections::BTreeSet<_> = images.collect();
            assert!(images.len() <= 1, "old and new never run together");
            (pods.len() == 3 && images.contains(&Some("two".to_owned()))).then_some(())
        })
        .await;
    cluster.rolled_out("web").await;
}

#[tokio::test(start_paused = true)]
async fn a_stuck_rollout_is_said_to_be_and_keeps_the_old_pods() {
    let cluster = Cluster::new(3).await;
    let mut wish = deployment("web", 4, "one");
    wish["spec"]["progressDeadlineSeconds"] = json!(60);
    cluster.create::<Deployment>(wish).await;
    cluster.rolled_out("web").await;
    let containers = json!([{"name": "main", "image": "broken"}]);
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    cluster.patch::<Deployment>("web", change).await;
    let start = tokio::time::Instant::now();
    let stuck = cluster
        .until("the deadline is exceeded", async || {
            let deployment = cluster.get::<Deployment>("web").await;
            (condition(&deployment, "Progressing").1 == "ProgressDeadlineExceeded")
                .then_some(deployment)
        })
        .await;
    assert!(start.elapsed() >= Duration::from_secs(60));
    assert_eq!(condition(&stuck, "Progressing").0, "False");
    assert!(stuck.status.unwrap().available_replicas.unwrap() >= 3);
}

#[tokio::test(start_paused = true)]
async fn scaling_a_paused_rollout_is_shared_in_proportion() {
    let cluster = Cluster::new(3).await;
    let mut wish = deployment("web", 10, "one");
    wish["spec"]["strategy"] =
        json!({"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 2}, "type": "RollingUpdate"});
    cluster.create::<Deployment>(wish).await;
    cluster.rolled_out("web").await;
    let containers = json!([{"name": "main", "image": "broken"}]);
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    cluster.patch::<Deployment>("web", change).await;
    let sizes = async || {
        let revisions = cluster.revisions().await;
        revisions.iter().map(|(_, one)| size(one)).collect::<Vec<_>>()
    };
    cluster.until("it is stuck half way", async || (sizes().await == [8, 4]).then_some(())).await;
    cluster.patch::<Deployment>("web", json!({"spec": {"paused": true}})).await;
    cluster.patch::<Deployment>("web", json!({"spec": {"replicas": 22}})).await;
    cluster.until("both have grown", async || (sizes().await == [16, 8]).then_some(())).await;
    let paused = cluster.get::<Deployment>("web").await;
    assert_eq!(condition(&paused, "Progressing"), ("Unknown".into(), "DeploymentPaused".into()));
}

#[tokio::test(start_paused = true)]
async fn history_is_as_long_as_asked_for() {
    let cluster = Cluster::new(1).await;
    let mut wish = deployment("web", 1, "v0");
    wish["spec"]["revisionHistoryLimit"] = json!(2);
    cluster.create::<Deployment>(wish).await;
    cluster.rolled_out("web").await;
    for version in 1..6 {
        let containers = json!([{"name": "main", "image": format!("v{version}")}]);
        let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        cluster.patch::<Deployment>("web", change).await;
        cluster.rolled_out("web").await;
    }
    cluster
        .until("the oldest are gone", async || {
            let revisions = cluster.revisions().await;
            let numbers: Vec<_> = revisions.iter().map(|(number, _)| number.as_str()).collect();
            (numbers == ["4", "5", "6"]).then_some(())
        })
        .await;
}
