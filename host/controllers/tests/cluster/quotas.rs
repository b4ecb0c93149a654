//! Quotas from the outside: charged by the server, given back by their controller.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::harness::Cluster;

fn pod(name: &str, cpu: &str) -> Pod {
    let pod = json!({
        "metadata": { "name": name },
        "spec": { "containers": [
            { "name": "c", "image": "good", "resources": { "requests": { "cpu": cpu } } },
        ] },
    });
    serde_json::from_value(pod).unwrap()
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_is_charged_and_what_goes_is_given_back() {
    let cluster = Cluster::new(1).await;
    cluster.create_namespace("team").await;
    let client = cluster.client.clone();
    let quotas = Api::<ResourceQuota>::namespaced(client.clone(), "team");
    let pods = Api::<Pod>::namespaced(client.clone(), "team");
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "team");
    cluster
        .until("the namespace is furnished", async || {
            maps.get_opt("kube-root-ca.crt").await.unwrap().map(drop)
        })
        .await;
    let hard = json!({ "pods": "2", "requests.cpu": "1", "count/configmaps": "2" });
    let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": hard } });
    let params = PostParams::default();
    quotas.create(&params, &serde_json::from_value(quota).unwrap()).await.unwrap();
    let used = async |expected: Value| {
        cluster
            .until(&format!("{expected} is used"), async || {
                let status = quotas.get("q").await.unwrap().status.unwrap_or_default();
                (json!(status.used) == expected && json!(status.hard) == hard).then_some(())
            })
            .await;
    };
    used(json!({ "pods": "0", "requests.cpu": "0", "count/configmaps": "1" })).await;

    pods.create(&params, &pod("a", "600m")).await.unwrap();
    used(json!({ "pods": "1", "requests.cpu": "600m", "count/configmaps": "1" })).await;
    let refused = async |created: Result<Pod, kube::Error>| match created {
        Err(kube::Error::Api(status)) => status.message.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(pods.create(&params, &pod("b", "500m")).await).await,
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: \
         requests.cpu=600m, limited: requests.cpu=1"
    );
    let silent = json!({
        "metadata": { "name": "c" },
        "spec": { "containers": [{ "name": "c", "image": "good" }] },
    });
    assert_eq!(
        refused(pods.create(&params, &serde_json::from_value(silent).unwrap()).await).await,
        "pods \"c\" is forbidden: failed quota: q: must specify requests.cpu for: c"
    );
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    pods.create(&dry, &pod("d", "100m")).await.unwrap();
    used(json!({ "pods": "1", "requests.cpu": "600m", "count/configmaps": "1" })).await;

    pods.delete("a", &DeleteParams::default().grace_period(0)).await.unwrap();
    used(json!({ "pods": "0", "requests.cpu": "0", "count/configmaps": "1" })).await;

    maps.create(&params, &map("a")).await.unwrap();
    let full = maps.create(&params, &map("b")).await.unwrap_err();
    assert!(
        full.to_string().contains("exceeded quota: q, requested: count/configmaps=1"),
        "{full}"
    );
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    used(json!({ "pods": "0", "requests.cpu": "0", "count/configmaps": "1" })).await;
    maps.create(&params, &map("b")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quota_follows_its_limits() {
    let cluster = Cluster::new(1).await;
    let quotas = Api::<ResourceQuota>::namespaced(cluster.client.clone(), "default");
    let quota = |pods: &str, resource_version: Option<String>| -> ResourceQuota {
        let quota = json!({
            "metadata": { "name": "q", "resourceVersion": resource_version },
            "spec": { "hard": { "pods": pods } },
        });
        serde_json::from_value(quota).unwrap()
    };
    let hard = async |expected: &str| {
        cluster
            .until("the limits are taken over", async || {
                let status = quotas.get("q").await.unwrap().status.unwrap_or_default();
                (json!(status.hard) == json!({ "pods": expected })).then_some(())
            })
            .await;
    };
    quotas.create(&PostParams::default(), &quota("1", None)).await.unwrap();
    hard("1").await;
    quotas.replace("q", &PostParams::default(), &quota("3", None)).await.unwrap();
    hard("3").await;
}
