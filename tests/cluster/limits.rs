//! Workloads that behave badly, and a neighbour that must not notice.

use anyhow::Result;
use harness::{Cluster, Kubectl, get};

use crate::guests;

/// A pod of one container that runs `image`.
fn pod(name: &str, image: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - {{name: main, image: '{image}'}}
"
    )
}

/// A deployment that answers on a port of the host: the address.
async fn neighbour(kubectl: &Kubectl) -> Result<String> {
    kubectl.run("create deployment neighbour --image=hello-http --replicas=2").await?;
    kubectl.run("expose deployment neighbour --port=80 --type=NodePort").await?;
    kubectl.run("rollout status deployment/neighbour --timeout=60s").await?;
    kubectl
        .until("get endpoints neighbour -o jsonpath={.subsets[*].addresses[*].ip}", |ips| {
            ips.split_whitespace().count() == 2
        })
        .await?;
    let port = kubectl.run("get service neighbour -o jsonpath={.spec.ports[0].nodePort}").await?;
    Ok(format!("http://127.0.0.1:{port}/"))
}

/// What `name`'s container waits for or ended with.
fn state(name: &str) -> String {
    format!(
        "get pod {name} -o jsonpath={{.status.containerStatuses[0].state}}\
         {{.status.containerStatuses[0].lastState}}"
    )
}

#[tokio::test]
async fn guests_that_misbehave_disturb_nobody() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    for (image, text) in [
        ("trapping", guests::trapping()),
        ("spinning", guests::spinning()),
        ("printing", guests::printing()),
    ] {
        cluster.upload_text(&text, &format!("{image}:v1")).await?;
    }
    let address = neighbour(&kubectl).await?;
    let manifest =
        ["trapping", "spinning", "printing"].map(|name| pod(name, &format!("{name}:v1")));
    kubectl.apply(&manifest.concat()).await?;
    kubectl
        .apply(&pod("hogging", "memory-hog").replace(
            "image: 'memory-hog'",
            "image: memory-hog, resources: {limits: {memory: 20Mi}}",
        ))
        .await?;

    // A trap is an error with its reason, tried again with pauses.
    let trapped =
        kubectl.until(&state("trapping"), |state| state.contains("CrashLoopBackOff")).await?;
    assert!(trapped.contains(r#""reason":"Error""#), "{trapped}");
    assert!(trapped.contains("unreachable"), "the message says what happened: {trapped}");
    kubectl.until(&state("hogging"), |state| state.contains("OOMKilled")).await?;
    kubectl.until(&state("spinning"), |state| state.contains("running")).await?;
    assert_eq!(kubectl.run("logs spinning").await?, "hello\n");
    let printed = kubectl.run("logs printing --tail=3").await?;
    assert_eq!(printed, "hello\nhello\nhello\n");

    for _ in 0..20 {
        assert!(get(&address).await?.starts_with("Hello from neighbour-"));
    }
    let nodes = kubectl.run("get nodes --no-headers").await?;
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 3, "{nodes}");

    // Neither hears the request to end; the grace period ends them.
    kubectl
        .run("delete pod spinning printing trapping hogging --grace-period=1 --timeout=60s")
        .await?;
    let left = kubectl.run("get pods --no-headers").await?;
    assert_eq!(left.lines().count(), 2, "{left}");
    let restarts = kubectl
        .run("get pods -o jsonpath={.items[*].status.containerStatuses[*].restartCount}")
        .await?;
    assert_eq!(restarts, "0 0", "the neighbours were never restarted");
    Ok(())
}

#[tokio::test]
async fn a_log_without_end_keeps_to_its_size_on_disk() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    cluster.upload_text(&guests::printing(), "printing:v1").await?;
    kubectl.apply(&pod("printing", "printing:v1")).await?;
    kubectl.run("wait pod/printing --for=condition=Ready --timeout=60s").await?;
    // A limit of bytes holds although there is always more to read.
    let log = kubectl.run("logs printing --limit-bytes=3000").await?;
    assert_eq!(log.len(), 3000);
    kubectl.run("delete pod printing --now --timeout=60s").await?;
    kubectl.refused("logs printing").await?;
    Ok(())
}

#[tokio::test]
async fn a_cpu_limit_holds_a_burner_back() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    for (name, limits) in [("limited", "{cpu: 50m}"), ("free", "{}")] {
        kubectl
            .apply(&format!(
                "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  containers:
  - {{name: main, image: cpu-burner, args: ['4'], resources: {{limits: {limits}}}}}
"
            ))
            .await?;
    }
    let mut rounds = Vec::new();
    for name in ["limited", "free"] {
        let log = kubectl.until(&format!("logs {name}"), |log| log.contains("done: ")).await?;
        let done = log.lines().last().and_then(|line| line.split_whitespace().nth(1));
        rounds.push(done.unwrap_or_default().parse::<u64>()?);
    }
    // The share itself is measured in the sandbox's own tests, where nothing else disturbs. Even
    // on a busy machine a twentieth of a core is far from a whole one.
    assert!(rounds[0] > 0 && rounds[0] * 4 < rounds[1], "limited and free: {rounds:?}");
    Ok(())
}
