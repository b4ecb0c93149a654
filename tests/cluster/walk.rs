//! The README's first walk, step by step, with kubectl and curl.

use anyhow::Result;
use harness::{Cluster, get, module};

#[tokio::test]
async fn from_a_file_to_three_pods_behind_a_service() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();

    let nodes = kubectl.run("get nodes --no-headers").await?;
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 3, "{nodes}");

    for tag in ["v1", "v2"] {
        let uploaded = cluster.upload(&module("hello-http"), &format!("hello:{tag}")).await?;
        assert!(uploaded.success, "{uploaded:?}");
    }

    kubectl.run("create deployment hello --image=hello:v1 --replicas=3").await?;
    let rollout = kubectl.run("rollout status deployment/hello --timeout=60s").await?;
    assert!(rollout.contains("successfully rolled out"), "{rollout}");

    kubectl.run("expose deployment hello --port=80 --type=NodePort").await?;
    let port = kubectl.run("get service hello -o jsonpath={.spec.ports[0].nodePort}").await?;
    kubectl
        .until("get endpoints hello -o jsonpath={.subsets[0].addresses[*].ip}", |ips| {
            ips.split_whitespace().count() == 3
        })
        .await?;
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..60 {
        answers.insert(get(&format!("http://127.0.0.1:{port}/")).await?);
    }
    assert_eq!(answers.len(), 3, "three pods answer in turn: {answers:?}");

    let inside = "get --raw /api/v1/namespaces/default/services/hello:80/proxy/";
    assert!(answers.contains(&kubectl.run(inside).await?), "the same through the API server");

    let wide = kubectl.run("get pods -o wide --no-headers").await?;
    assert_eq!(wide.lines().filter(|line| line.contains("1/1")).count(), 3, "{wide}");
    let log = kubectl.run("logs deploy/hello").await?;
    assert!(log.contains(" answers its first request"), "{log}");
    let described = kubectl.run("describe pods -l app=hello --show-events").await?;
    for event in ["Scheduled", "Pulled", "Created", "Started"] {
        assert!(described.contains(event), "no {event} event in:\n{described}");
    }

    kubectl.run("scale deployment/hello --replicas=1").await?;
    kubectl.until("get pods -l app=hello --no-headers", |pods| pods.lines().count() == 1).await?;
    kubectl.run("set image deployment/hello hello=hello:v2").await?;
    kubectl.run("rollout status deployment/hello --timeout=60s").await?;
    let image = "get deployment hello -o jsonpath={.spec.template.spec.containers[0].image}";
    assert_eq!(kubectl.run(image).await?, "hello:v2");
    kubectl.run("rollout undo deployment/hello").await?;
    kubectl.run("rollout status deployment/hello --timeout=60s").await?;
    assert_eq!(kubectl.run(image).await?, "hello:v1");
    let history = kubectl.run("rollout history deployment/hello").await?;
    assert!(history.contains('3'), "three revisions: {history}");

    kubectl.run("delete deployment hello").await?;
    kubectl.until("get pods,replicasets --no-headers", |left| left.is_empty()).await?;
    assert_eq!(cluster.stop().await?, Some(0));
    Ok(())
}
