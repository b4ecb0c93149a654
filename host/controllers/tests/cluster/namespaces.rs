//! Namespaces from the outside.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::harness::{Cluster, deployment};

#[tokio::test(start_paused = true)]
async fn every_namespace_is_furnished() {
    let cluster = Cluster::new(0).await;
    cluster.create_namespace("team").await;
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), "team");
    let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), "team");
    let furnished = async || {
        let account = accounts.get_opt("default").await.unwrap();
        let map = maps.get_opt("kube-root-ca.crt").await.unwrap();
        account.zip(map).map(|(_, map)| map)
    };
    let map = cluster.until("it is furnished", furnished).await;
    assert_eq!(map.data.unwrap()["ca.crt"], "a certificate");
    accounts.delete("default", &DeleteParams::default()).await.unwrap();
    maps.delete("kube-root-ca.crt", &DeleteParams::default()).await.unwrap();
    cluster.until("it is furnished again", furnished).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_namespace_takes_everything_along() {
    let cluster = Cluster::new(1).await;
    cluster.create_namespace("team").await;
    let client = cluster.client.clone();
    let deployments = Api::<Deployment>::namespaced(client.clone(), "team");
    let wish = serde_json::from_value(deployment("web", 3, "good")).unwrap();
    deployments.create(&PostParams::default(), &wish).await.unwrap();
    let pods = Api::<Pod>::namespaced(client.clone(), "team");
    cluster
        .until("the pods run", async || {
            let list = pods.list(&ListParams::default()).await.unwrap();
            let ready = list.items.iter().filter(|pod| coracle_api::pods::is_ready(pod)).count();
            (ready == 3).then_some(())
        })
        .await;
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "team");
    let held = serde_json::from_value(held).unwrap();
    maps.create(&PostParams::default(), &held).await.unwrap();

    let namespaces = Api::<Namespace>::all(client);
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    cluster
        .until("only what is held is left, and that is said", async || {
            let namespace = namespaces.get("team").await.unwrap();
            let conditions = namespace.status.unwrap_or_default().conditions;
            let find = |type_| coracle_api::conditions::find(conditions.as_ref(), type_);
            let message = find("NamespaceFinalizersRemaining")?.message.clone()?;
            let content = find("NamespaceContentRemaining")?.message.clone()?;
            let said = message
                == "Some finalizers are remaining: example.com/hold in 1 resource instances"
                && content == "Some resources are remaining: configmaps. has 1 resource instances";
            said.then_some(())
        })
        .await;
    let free = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &kube::api::PatchParams::default(), &free).await.unwrap();
    cluster
        .until("it is gone", async || {
            namespaces.get_opt("team").await.unwrap().is_none().then_some(())
        })
        .await;
}
