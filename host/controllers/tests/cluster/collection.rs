//! Cascading deletion from the outside.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::DeleteParams;
use serde_json::json;

use crate::harness::{Cluster, deployment};

async fn everything(cluster: &Cluster) -> [usize; 3] {
    [
        cluster.list::<Deployment>().await.len(),
        cluster.list::<ReplicaSet>().await.len(),
        cluster.list::<Pod>().await.len(),
    ]
}

#[tokio::test(start_paused = true)]
async fn deletion_cascades_in_the_background() {
    let cluster = Cluster::new(2).await;
    cluster.create::<Deployment>(deployment("web", 5, "good")).await;
    cluster.rolled_out("web").await;
    cluster.delete::<Deployment>("web", DeleteParams::background()).await;
    cluster
        .until("all is gone", async || (everything(&cluster).await == [0; 3]).then_some(()))
        .await;
}

#[tokio::test(start_paused = true)]
async fn deletion_waits_in_the_foreground() {
    let cluster = Cluster::new(2).await;
    cluster.create::<Deployment>(deployment("web", 3, "good")).await;
    cluster.rolled_out("web").await;
    cluster.delete::<Deployment>("web", DeleteParams::foreground()).await;
    cluster
        .until("all is gone, the owner last", async || {
            let [deployments, replica_sets, pods] = everything(&cluster).await;
            assert!(deployments == 1 || (replica_sets == 0 && pods == 0));
            assert!(replica_sets == 1 || pods == 0);
            (deployments == 0).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_and_are_adopted_again() {
    let cluster = Cluster::new(2).await;
    cluster.create::<Deployment>(deployment("web", 3, "good")).await;
    cluster.rolled_out("web").await;
    let before = cluster.list::<Pod>().await;
    cluster.delete::<Deployment>("web", DeleteParams::orphan()).await;
    cluster
        .until("the owner is gone", async || {
            (everything(&cluster).await == [0, 1, 3]).then_some(())
        })
        .await;
    let (_, orphan) = cluster.revisions().await.remove(0);
    assert!(orphan.metadata.owner_references.is_none_or(|owners| owners.is_empty()));
    cluster.create::<Deployment>(deployment("web", 3, "good")).await;
    cluster.rolled_out("web").await;
    let names =
        |pods: &[Pod]| -> Vec<_> { pods.iter().map(|pod| pod.metadata.name.clone()).collect() };
    assert_eq!(names(&cluster.list::<Pod>().await), names(&before), "the same pods");
}

#[tokio::test(start_paused = true)]
async fn only_real_owners_hold() {
    let cluster = Cluster::new(1).await;
    let owner = cluster.create::<ConfigMap>(json!({"metadata": {"name": "owner"}})).await;
    let uid = owner.metadata.uid.unwrap();
    let dependent = |name: &str, uids: &[&str]| {
        let owners: Vec<_> = uids
            .iter()
            .map(
                |uid| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}),
            )
            .collect();
        json!({"metadata": {"name": name, "ownerReferences": owners}})
    };
    cluster.create::<ConfigMap>(dependent("held", &[&uid])).await;
    cluster.create::<ConfigMap>(dependent("stale", &["another-uid"])).await;
    cluster.create::<ConfigMap>(dependent("both", &["another-uid", &uid])).await;
    cluster
        .until("what nobody owns is gone", async || {
            let stale = cluster.api::<ConfigMap>().get_opt("stale").await.unwrap();
            let both = cluster.get::<ConfigMap>("both").await;
            let owners = both.metadata.owner_references.unwrap_or_default().len();
            (stale.is_none() && owners == 1).then_some(())
        })
        .await;
    assert!(cluster.api::<ConfigMap>().get_opt("held").await.unwrap().is_some());
    cluster.delete::<ConfigMap>("owner", DeleteParams::background()).await;
    cluster
        .until("the dependents follow", async || {
            let left = cluster.list::<ConfigMap>().await;
            let names: Vec<_> = left.iter().filter_map(|one| one.metadata.name.clone()).collect();
            (names == ["kube-root-ca.crt"]).then_some(())
        })
        .await;
}
