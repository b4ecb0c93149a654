//! Services' endpoints from the outside.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::DeleteParams;
use serde_json::json;

use crate::harness::{Cluster, deployment};

fn addresses(slices: &[EndpointSlice], ready: bool) -> Vec<String> {
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    let wanted = endpoints.filter(|endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(ready)
    });
    let mut all: Vec<_> = wanted.flat_map(|endpoint| endpoint.addresses.clone()).collect();
    all.sort();
    all
}

async fn addresses_of_pods(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.list::<Pod>().await.into_iter();
    let mut all: Vec<_> =
        pods.filter(coracle_api::pods::is_active).filter_map(|pod| pod.status?.pod_ip).collect();
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_the_pods() {
    let mut cluster = Cluster::new(1).await;
    let zone = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "west"}}});
    cluster.add_node("zoned", zone).await;
    let service = json!({"metadata": {"name": "web", "labels": {"team": "a"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    cluster.create::<Service>(service).await;
    cluster
        .until("there is an empty slice", async || {
            (cluster.list::<EndpointSlice>().await.len() == 1).then_some(())
        })
        .await;
    cluster.create::<Deployment>(deployment("web", 4, "good")).await;
    cluster.rolled_out("web").await;
    cluster
        .until("all pods are behind the service", async || {
            let slices = cluster.list::<EndpointSlice>().await;
            (addresses(&slices, true) == addresses_of_pods(&cluster).await).then_some(())
        })
        .await;
    let slices = cluster.list::<EndpointSlice>().await;
    let slice = slices.iter().find(|slice| slice.endpoints.is_some()).unwrap();
    let labels = slice.metadata.labels.as_ref().unwrap();
    assert_eq!(labels["kubernetes.io/service-name"], "web");
    assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(8080));
    let endpoints = slice.endpoints.as_ref().unwrap();
    assert!(endpoints.iter().any(|one| one.zone.as_deref() == Some("west")));
    let legacy = cluster
        .until("the older form says the same", async || {
            let subsets = cluster.api::<Endpoints>().get_opt("web").await.unwrap()?.subsets?;
            (subsets[0].addresses.as_ref()?.len() == 4).then_some(subsets)
        })
        .await;
    assert_eq!(legacy[0].ports.as_ref().unwrap()[0].port, 8080);

    cluster.patch::<Deployment>("web", json!({"spec": {"replicas": 1}})).await;
    cluster.rolled_out("web").await;
    cluster
        .until("only the one is left", async || {
            let slices = cluster.list::<EndpointSlice>().await;
            let left = addresses(&slices, true);
            (left.len() == 1 && left == addresses_of_pods(&cluster).await).then_some(())
        })
        .await;
    cluster.delete::<Service>("web", DeleteParams::default()).await;
    cluster
        .until("nothing is left", async || {
            let slices = cluster.list::<EndpointSlice>().await;
            let legacy = cluster.api::<Endpoints>().get_opt("web").await.unwrap();
            (slices.is_empty() && legacy.is_none()).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_not_ready_are_said_not_to_be() {
    let cluster = Cluster::new(1).await;
    let service = json!({"metadata": {"name": "web"},
        "spec": {"clusterIP": "None", "selector": {"app": "web"}}});
    cluster.create::<Service>(service).await;
    cluster.create::<Deployment>(deployment("web", 2, "broken")).await;
    let slices = cluster
        .until("both are known", async || {
            let slices = cluster.list::<EndpointSlice>().await;
            (addresses(&slices, false).len() == 2).then_some(slices)
        })
        .await;
    assert!(addresses(&slices, true).is_empty());
    let labels = slices[0].metadata.labels.as_ref().unwrap();
    assert!(labels.contains_key("service.kubernetes.io/headless"));
}
