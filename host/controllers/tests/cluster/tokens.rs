//! Tokens that stand in Secrets, of service accounts and for new nodes.

use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::harness::Cluster;

fn of_account(name: &str, account: &str) -> Value {
    json!({
        "metadata": {"name": name,
            "annotations": {"kubernetes.io/service-account.name": account}},
        "type": "kubernetes.io/service-account-token",
    })
}

fn text<'a>(secret: &'a Secret, key: &str) -> &'a str {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    bytes.map_or("", |bytes| std::str::from_utf8(&bytes.0).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_an_account_is_filled_in_and_goes_with_it() {
    let cluster = Cluster::new(0).await;
    let account =
        json!({"metadata": {"name": "robot"}, "secrets": [{"name": "kept"}, {"name": "x"}]});
    let account: ServiceAccount = cluster.create(account).await;
    cluster.create::<Secret>(of_account("kept", "robot")).await;
    let filled = cluster
        .until("the Secret is filled in", async || {
            let secret = cluster.get::<Secret>("kept").await;
            (!text(&secret, "token").is_empty()).then_some(secret)
        })
        .await;
    assert_eq!(text(&filled, "ca.crt"), "a certificate");
    assert_eq!(text(&filled, "namespace"), "default");
    let annotations = filled.metadata.annotations.as_ref().unwrap();
    let uid = annotations["kubernetes.io/service-account.uid"].as_str();
    assert_eq!(Some(uid), account.metadata.uid.as_deref());

    // What is not there is not listed, and what nobody is behind is not kept.
    cluster.delete::<Secret>("kept", DeleteParams::default()).await;
    let names = async || -> Vec<String> {
        let account = cluster.get::<ServiceAccount>("robot").await;
        let listed = account.secrets.unwrap_or_default().into_iter();
        listed.filter_map(|secret| secret.name).collect()
    };
    cluster.until("it is forgotten", async || (names().await == ["x"]).then_some(())).await;
    cluster.create::<Secret>(of_account("again", "robot")).await;
    cluster
        .until("the new one is filled in", async || {
            let secret = cluster.get::<Secret>("again").await;
            (!text(&secret, "token").is_empty()).then_some(())
        })
        .await;
    cluster.delete::<ServiceAccount>("robot", DeleteParams::default()).await;
    cluster.create::<Secret>(of_account("orphan", "nobody")).await;
    cluster
        .until("tokens without an account are gone", async || {
            cluster.list::<Secret>().await.is_empty().then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn bootstrap_tokens_vouch_for_the_cluster_until_they_end() {
    let cluster = Cluster::new(0).await;
    cluster.create_namespace("kube-public").await;
    let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), "kube-public");
    let info = json!({"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": "where"}});
    let info = serde_json::from_value(info).unwrap();
    maps.create(&PostParams::default(), &info).await.unwrap();
    let secrets = Api::<Secret>::namespaced(cluster.client.clone(), "kube-system");
    let token = |id: &str, more: Value| {
        let mut token = json!({
            "metadata": {"name": format!("bootstrap-token-{id}")},
            "type": "bootstrap.kubernetes.io/token",
            "stringData": {"token-id": id, "token-secret": "0123456789abcdef"},
        });
        json_patch::merge(&mut token, &json!({"stringData": more}));
        serde_json::from_value::<Secret>(token).unwrap()
    };
    let end = coracle_api::clock::now() + jiff::SignedDuration::from_mins(10);
    let signing = json!({"usage-bootstrap-signing": "true", "expiration": end.to_string()});
    secrets.create(&PostParams::default(), &token("abcdef", signing)).await.unwrap();
    secrets.create(&PostParams::default(), &token("silent", json!({}))).await.unwrap();
    let signed = async || maps.get("cluster-info").await.unwrap().data.unwrap();
    let signatures = cluster
        .until("it is signed", async || {
            let data = signed().await;
            (data.len() > 1).then_some(data)
        })
        .await;
    let names: Vec<_> = signatures.keys().map(String::as_str).collect();
    assert_eq!(names, ["jws-kubeconfig-abcdef", "kubeconfig"]);
    cluster
        .until("the token has ended, and its signature with it", async || {
            (signed().await.len() == 1).then_some(())
        })
        .await;
    assert!(secrets.get_opt("bootstrap-token-abcdef").await.unwrap().is_none());
    assert!(secrets.get_opt("bootstrap-token-silent").await.unwrap().is_some());
    assert!(coracle_api::clock::now() >= end);
}
