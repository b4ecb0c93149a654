//! StatefulSets from the outside.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::harness::{Cluster, pod};

fn set(replicas: i32, changes: &Value) -> Value {
    let mut set = json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas, "serviceName": "web",
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"terminationGracePeriodSeconds": 1,
                "containers": [{"name": "main", "image": "one"}]}}}});
    json_patch::merge(&mut set["spec"], changes);
    set
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

fn claims() -> Value {
    json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]})
}

async fn names(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.list::<Pod>().await;
    pods.into_iter().filter_map(|pod| pod.metadata.name).collect()
}

async fn status(
    cluster: &Cluster,
    what: &str,
    done: impl Fn(&StatefulSetStatus) -> bool,
) -> StatefulSetStatus {
    cluster
        .until(what, async || {
            let set = cluster.get::<StatefulSet>("web").await;
            let status = set.status?;
            let seen = status.observed_generation >= set.metadata.generation;
            (seen && done(&status)).then_some(status)
        })
        .await
}

async fn settled(cluster: &Cluster, replicas: i32) -> StatefulSetStatus {
    status(cluster, &format!("{replicas} are ready and updated"), |status| {
        let some = (replicas > 0).then_some(replicas);
        status.replicas == replicas
            && status.ready_replicas == some
            && status.current_revision == status.update_revision
    })
    .await
}

fn images(pods: &[Pod]) -> Vec<String> {
    let image = |pod: &Pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap();
    pods.iter().map(image).collect()
}

#[tokio::test(start_paused = true)]
async fn pods_come_and_go_in_order_and_keep_their_names() {
    let cluster = Cluster::new(2).await;
    cluster.create::<StatefulSet>(set(3, &json!({"ordinals": {"start": 1}}))).await;
    cluster
        .until("all are ready, one after the other", async || {
            let pods = cluster.list::<Pod>().await;
            let unready = pods.iter().filter(|pod| !coracle_api::pods::is_ready(pod)).count();
            assert!(unready <= 1, "the next waits for the one before");
            (pods.len() == 3 && unready == 0).then_some(())
        })
        .await;
    let status = settled(&cluster, 3).await;
    assert_eq!(names(&cluster).await, ["web-1", "web-2", "web-3"]);
    assert_eq!((status.available_replicas, status.updated_replicas), (Some(3), Some(3)));
    let pod = cluster.get::<Pod>("web-2").await;
    let labels = pod.metadata.labels.unwrap();
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "web-2");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "2");
    assert_eq!(Some(&labels["controller-revision-hash"]), status.update_revision.as_ref());
    let spec = pod.spec.unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("web-2"), Some("web")));
    cluster.told("SuccessfulCreate", "create Pod web-1 in StatefulSet web successful").await;

    // Who is lost comes back under the same name.
    let before = pod.metadata.uid;
    cluster.delete::<Pod>("web-2", DeleteParams::default()).await;
    cluster
        .until("it is back", async || {
            let pod = cluster.api::<Pod>().get_opt("web-2").await.unwrap()?;
            (pod.metadata.uid != before && coracle_api::pods::is_ready(&pod)).then_some(())
        })
        .await;

    cluster.patch::<StatefulSet>("web", json!({"spec": {"replicas": 1}})).await;
    cluster
        .until("the others are gone, the last first", async || {
            let names = names(&cluster).await;
            assert!(
                !names.contains(&"web-3".into()) || names.contains(&"web-2".into()),
                "{names:?}"
            );
            (names == ["web-1"]).then_some(())
        })
        .await;
    settled(&cluster, 1).await;
    cluster.told("SuccessfulDelete", "delete Pod web-3 in StatefulSet web successful").await;
}

#[tokio::test(start_paused = true)]
async fn updates_go_from_the_end_down_to_the_partition_and_back() {
    let cluster = Cluster::new(2).await;
    cluster.create::<StatefulSet>(set(3, &json!({}))).await;
    let first = settled(&cluster, 3).await.current_revision;
    let rolling = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}});
    cluster.patch::<StatefulSet>("web", rolling).await;
    cluster.patch::<StatefulSet>("web", image("two")).await;
    let canary = status(&cluster, "one is updated", |status| {
        status.updated_replicas == Some(1) && status.ready_replicas == Some(3)
    });
    let canary = canary.await;
    assert_eq!(canary.current_revision, first);
    assert_ne!(canary.update_revision, first);
    assert_eq!(canary.current_replicas, Some(2));
    assert_eq!(images(&cluster.list::<Pod>().await), ["one", "one", "two"]);
    // What is lost below the partition comes back as it was.
    let lost = cluster.get::<Pod>("web-0").await.metadata.uid;
    cluster.delete::<Pod>("web-0", DeleteParams::default()).await;
    cluster
        .until("it is back", async || {
            let pod = cluster.api::<Pod>().get_opt("web-0").await.unwrap()?;
            (pod.metadata.uid != lost && coracle_api::pods::is_ready(&pod)).then_some(())
        })
        .await;
    assert_eq!(images(&cluster.list::<Pod>().await), ["one", "one", "two"]);

    let rolling = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}});
    cluster.patch::<StatefulSet>("web", rolling).await;
    cluster
        .until("all are updated, one at a time", async || {
            let pods = cluster.list::<Pod>().await;
            let ready = pods.iter().filter(|pod| {
                coracle_api::pods::is_ready(pod) && !coracle_api::pods::is_terminating(pod)
            });
            assert!(ready.count() >= 2);
            (images(&pods) == ["two", "two", "two"]).then_some(())
        })
        .await;
    let second = settled(&cluster, 3).await;
    assert_eq!(second.current_revision, canary.update_revision);

    // As `kubectl rollout undo` does: what the first revision keeps, applied again.
    let first = first.unwrap();
    let revision = cluster.get::<ControllerRevision>(&first).await;
    assert_eq!(revision.revision, 1);
    cluster.patch::<StatefulSet>("web", revision.data.unwrap().0).await;
    let third = status(&cluster, "it is undone", |status| {
        status.current_revision.as_ref() == Some(&first) && status.ready_replicas == Some(3)
    });
    assert_eq!(third.await.update_revision.as_ref(), Some(&first));
    assert_eq!(cluster.get::<ControllerRevision>(&first).await.revision, 3);
    assert_eq!(cluster.list::<ControllerRevision>().await.len(), 2);
    assert_eq!(images(&cluster.list::<Pod>().await), ["one", "one", "one"]);
}

#[tokio::test(start_paused = true)]
async fn history_is_kept_as_long_as_asked_for() {
    let cluster = Cluster::new(1).await;
    let changes = json!({"revisionHistoryLimit": 1, "podManagementPolicy": "Parallel"});
    cluster.create::<StatefulSet>(set(1, &changes)).await;
    settled(&cluster, 1).await;
    for number in ["two", "three", "four"] {
        cluster.patch::<StatefulSet>("web", image(number)).await;
        let updated = |status: &StatefulSetStatus| {
            status.updated_replicas == Some(1) && status.current_revision == status.update_revision
        };
        status(&cluster, number, updated).await;
    }
    cluster
        .until("the oldest are gone", async || {
            let revisions = cluster.list::<ControllerRevision>().await;
            let numbers: BTreeSet<_> = revisions.iter().map(|one| one.revision).collect();
            (numbers == BTreeSet::from([3, 4])).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_keeps_its_members_until_it_is_heard_of() {
    let cluster = Cluster::new(2).await;
    cluster.create::<StatefulSet>(set(2, &json!({"podManagementPolicy": "Parallel"}))).await;
    settled(&cluster, 2).await;
    let pod = cluster.get::<Pod>("web-0").await;
    let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap();
    cluster.cut_off(&node, true);
    let going = cluster
        .until("it is told to go", async || {
            let pod = cluster.get::<Pod>("web-0").await;
            pod.metadata.deletion_timestamp.is_some().then_some(pod)
        })
        .await;
    assert_eq!(going.metadata.uid, pod.metadata.uid);
    tokio::time::sleep(std::time::Duration::from_secs(1200)).await;
    let still = cluster.get::<Pod>("web-0").await;
    assert_eq!(still.metadata.uid, pod.metadata.uid, "it may still run where nobody sees it");
    assert_eq!(names(&cluster).await.len(), 2);
    cluster.cut_off(&node, false);
    cluster
        .until("it is made again", async || {
            let pod = cluster.api::<Pod>().get_opt("web-0").await.unwrap()?;
            (pod.metadata.uid != still.metadata.uid && coracle_api::pods::is_ready(&pod))
                .then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn claims_are_made_and_go_with_whom_the_policy_says() {
    let cluster = Cluster::new(1).await;
    let mut changes = claims();
    changes["podManagementPolicy"] = json!("Parallel");
    changes["persistentVolumeClaimRetentionPolicy"] =
        json!({"whenScaled": "Delete", "whenDeleted": "Retain"});
    cluster.create::<StatefulSet>(set(2, &changes)).await;
    let held = async || {
        let claims = cluster.list::<PersistentVolumeClaim>().await;
        claims.into_iter().filter_map(|one| one.metadata.name).collect::<Vec<_>>()
    };
    let both = || vec!["data-web-0".to_owned(), "data-web-1".to_owned()];
    cluster.until("both are there", async || (held().await == both()).then_some(())).await;
    let message = "create Claim data-web-1 Pod web-1 in StatefulSet web success";
    cluster.told("SuccessfulCreate", message).await;
    let claim = cluster.get::<PersistentVolumeClaim>("data-web-1").await;
    assert_eq!(claim.metadata.labels.as_ref().unwrap()["app"], "web");
    cluster
        .until("the pods mount them", async || {
            let pod = cluster.api::<Pod>().get_opt("web-1").await.unwrap()?;
            let volumes = pod.spec?.volumes?;
            let claim = volumes.iter().find_map(|one| one.persistent_volume_claim.clone())?;
            (claim.claim_name == "data-web-1").then_some(())
        })
        .await;
    // One whose pod is replaced stays.
    cluster.delete::<Pod>("web-1", DeleteParams::default().grace_period(0)).await;
    cluster
        .until("it is back", async || {
            cluster.api::<Pod>().get_opt("web-1").await.unwrap().map(drop)
        })
        .await;
    let again = cluster.get::<PersistentVolumeClaim>("data-web-1").await;
    assert_eq!(again.metadata.uid, claim.metadata.uid, "the same claim is bound again");
    // One that is scaled away takes its claim along.
    cluster.patch::<StatefulSet>("web", json!({"spec": {"replicas": 1}})).await;
    cluster.until("it is gone", async || (held().await == ["data-web-0"]).then_some(())).await;
    cluster.delete::<StatefulSet>("web", DeleteParams::background()).await;
    cluster
        .until("the pods are gone", async || names(&cluster).await.is_empty().then_some(()))
        .await;
    assert_eq!(held().await, ["data-web-0"], "what is retained stays");
}

#[tokio::test(start_paused = true)]
async fn orphans_are_adopted_by_name_only() {
    let cluster = Cluster::new(1).await;
    for name in ["web-0", "other-0"] {
        let mut orphan = pod(name, json!({}));
        orphan["metadata"]["labels"] = json!({"app": "web"});
        cluster.create::<Pod>(orphan).await;
    }
    cluster.create::<StatefulSet>(set(2, &json!({"updateStrategy": {"type": "OnDelete"}}))).await;
    cluster
        .until("it is complete", async || {
            (names(&cluster).await == ["other-0", "web-0", "web-1"]).then_some(())
        })
        .await;
    let adopted = cluster.get::<Pod>("web-0").await;
    assert!(coracle_api::owner::controller_of(&adopted.metadata).is_some());
    assert_eq!(adopted.metadata.labels.unwrap()["apps.kubernetes.io/pod-index"], "0");
    let other = cluster.get::<Pod>("other-0").await;
    assert!(coracle_api::owner::controller_of(&other.metadata).is_none());
}
