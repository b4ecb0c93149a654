//! The program's own life: starts, ends and crashes.

use std::collections::BTreeSet;

use anyhow::Result;
use harness::{Cluster, Kubectl, Options, get, program};
use rustix::process::Signal;

async fn deploy(kubectl: &Kubectl) -> Result<()> {
    kubectl.run("create deployment web --image=hello-http --replicas=3").await?;
    kubectl.run("expose deployment web --port=80 --type=NodePort").await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    Ok(())
}

/// Asks the service until three pods have answered.
async fn assert_served(kubectl: &Kubectl) -> Result<()> {
    kubectl
        .until("get endpoints web -o jsonpath={.subsets[*].addresses[*].ip}", |ips| {
            ips.split_whitespace().count() == 3
        })
        .await?;
    let port = kubectl.run("get service web -o jsonpath={.spec.ports[0].nodePort}").await?;
    let mut answers = BTreeSet::new();
    for _ in 0..90 {
        answers.insert(get(&format!("http://127.0.0.1:{port}/")).await?);
    }
    assert_eq!(answers.len(), 3, "{answers:?}");
    Ok(())
}

#[tokio::test]
async fn after_a_crash_the_same_pods_run_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    deploy(&kubectl).await?;
    kubectl.run("create configmap kept --from-literal=a=b").await?;
    let identity = [
        "get",
        "pods",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.spec.nodeName};{end}",
    ];
    let before = kubectl.run_arguments(identity).await?;
    assert_eq!(before.matches(';').count(), 3, "{before}");

    // A new port is taken on each start, and the kubeconfig tells of it.
    let cluster = cluster.crash_and_restart().await?;
    let kubectl = cluster.kubectl();
    assert_eq!(kubectl.run("get configmap kept -o jsonpath={.data.a}").await?, "b");
    kubectl.run("wait nodes --all --for=condition=Ready --timeout=60s").await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    assert_served(&kubectl).await?;
    assert_eq!(kubectl.run_arguments(identity).await?, before, "names, uids and nodes");
    let restarts = "get pods -o jsonpath={.items[*].status.containerStatuses[*].restartCount}";
    assert_eq!(kubectl.run(restarts).await?, "1 1 1");

    // New pods are made as before.
    kubectl.run("scale deployment/web --replicas=4").await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_it_in_order_and_a_new_start_goes_on() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for (round, signal) in [Signal::INT, Signal::TERM].into_iter().enumerate() {
        let cluster = Cluster::start_in(directory.path(), Options::default()).await?;
        let kubectl = cluster.kubectl();
        if round == 0 {
            deploy(&kubectl).await?;
        }
        kubectl.run("rollout status deployment/web --timeout=60s").await?;
        assert_served(&kubectl).await?;
        // Who watches is told that it is over, and does not hold the program up.
        let mut watching = kubectl.command(["get", "pods", "--watch"]);
        let mut watching = watching.stdout(std::process::Stdio::null()).spawn()?;
        assert_eq!(cluster.end_with(signal).await?, Some(0), "{signal:?}");
        watching.kill().await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_clusters_run_side_by_side() -> Result<()> {
    let (one, other) = tokio::try_join!(Cluster::start(), Cluster::start())?;
    assert_ne!(one.url(), other.url());
    one.kubectl().run("create namespace only-here").await?;
    let refused = other.kubectl().refused("get namespace only-here").await?;
    assert!(refused.contains("not found"), "{refused}");
    deploy(&one.kubectl()).await?;
    deploy(&other.kubectl()).await?;
    assert_served(&one.kubectl()).await?;
    assert_served(&other.kubectl()).await?;
    // Neither trusts what the other signed.
    let foreign = one.token()?;
    let header = format!("Authorization: Bearer {foreign}");
    assert_eq!(other.anonymous(&["-H", &header], "/api/v1/pods").await?.code, 401);
    assert_eq!(one.stop().await?, Some(0));
    assert_served(&other.kubectl()).await?;
    Ok(())
}

#[tokio::test]
async fn one_directory_serves_one_cluster_at_a_time() -> Result<()> {
    let cluster = Cluster::start().await?;
    let output = tokio::process::Command::new(program())
        .args(["up", "--port", "0", "--data-dir"])
        .arg(cluster.directory())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), output).await??;
    let output = harness::Output::from(output);
    assert!(!output.success, "{output:?}");
    let directory = cluster.directory().display().to_string();
    assert!(output.stderr.contains(&directory), "{output:?}");
    assert!(output.stderr.contains("another"), "it says what is the matter: {output:?}");
    assert_eq!(cluster.kubectl().run("get --raw /readyz").await?, "ok");
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let directory = tempfile::tempdir()?;
    let output = tokio::process::Command::new(program())
        .args(["up", "--port", &port, "--data-dir"])
        .arg(directory.path())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), output).await??;
    let output = harness::Output::from(output);
    assert!(!output.success, "{output:?}");
    assert!(output.stderr.contains(&format!("127.0.0.1:{port}")), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn an_ephemeral_cluster_forgets() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let options = || Options {
        arguments: ["--ephemeral", "--nodes", "2"].map(String::from).to_vec(),
        ..Options::default()
    };
    let cluster = Cluster::start_in(directory.path(), options()).await?;
    let kubectl = cluster.kubectl();
    assert_eq!(kubectl.run("get nodes -o name").await?, "node/node-0\nnode/node-1\n");
    kubectl.run("create namespace forgotten").await?;
    kubectl.run("run one --image=pause").await?;
    kubectl.run("wait pod/one --for=condition=Ready --timeout=60s").await?;
    assert_eq!(cluster.stop().await?, Some(0));
    let cluster = Cluster::start_in(directory.path(), options()).await?;
    let kubectl = cluster.kubectl();
    assert_eq!(kubectl.run("get pods -o name").await?, "");
    kubectl.refused("get namespace forgotten").await?;
    Ok(())
}
