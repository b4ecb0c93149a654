//! Objects as kubectl shows, applies and deletes them.

use anyhow::{Context, Result};
use harness::Cluster;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn kubectl_learns_what_there_is() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();

    let resources = kubectl.run("api-resources --no-headers").await?;
    for (resource, short, version, namespaced, kind) in [
        ("pods", "po", "v1", "true", "Pod"),
        ("nodes", "no", "v1", "false", "Node"),
        ("deployments", "deploy", "apps/v1", "true", "Deployment"),
        ("replicasets", "rs", "apps/v1", "true", "ReplicaSet"),
        ("modules", "mod", "coracle.dev/v1", "true", "Module"),
    ] {
        let found = resources
            .lines()
            .any(|line| line.split_whitespace().eq([resource, short, version, namespaced, kind]));
        assert!(found, "no {resource} in:\n{resources}");
    }
    let explained = kubectl.run("explain deployment.spec.strategy.rollingUpdate").await?;
    assert!(explained.contains("maxSurge\t<IntOrString>"), "{explained}");
    let explained = kubectl.run("explain modules").await?;
    assert!(explained.contains("KIND:       Module"), "{explained}");

    let who = kubectl.run("auth whoami").await?;
    assert!(who.contains("kubernetes-admin") && who.contains("system:masters"), "{who}");
    assert_eq!(kubectl.run("auth can-i delete nodes").await?.trim(), "yes");
    let version = kubectl.run("version").await?;
    assert!(version.contains("Server Version: v1.36"), "{version}");
    let info = kubectl.run("cluster-info").await?;
    assert!(info.contains("Kubernetes control plane") && info.contains(cluster.url()), "{info}");

    for (path, expected) in [("/livez", "ok"), ("/readyz", "ok"), ("/healthz", "ok")] {
        assert_eq!(kubectl.run(&format!("get --raw {path}")).await?, expected, "{path}");
    }
    let metrics = kubectl.run("get --raw /metrics").await?;
    assert!(metrics.contains("apiserver_request_total{"), "{metrics}");

    let described = kubectl.run("describe node node-0").await?;
    for part in ["Ready", "Allocatable:", "wasmtime://", "Non-terminated Pods:"] {
        assert!(described.contains(part), "no {part:?} in:\n{described}");
    }
    let modules = kubectl.run("get modules -n coracle-modules --no-headers").await?;
    assert!(modules.lines().any(|line| line.starts_with("hello-http ")), "{modules}");
    Ok(())
}

const MANIFEST: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: green}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: pause
        env: [{name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

#[tokio::test]
async fn what_is_applied_twice_is_unchanged() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let created = kubectl.apply(MANIFEST).await?;
    assert_eq!(
        created,
        "configmap/settings created\ndeployment.apps/web created\nservice/web created\n"
    );
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    assert_eq!(kubectl.apply(MANIFEST).await?, created.replace("created", "unchanged"));
    let same = kubectl.feed("diff -f -", MANIFEST).await?;
    assert!(same.success && same.stdout.is_empty(), "{same:?}");

    let changed = MANIFEST.replace("replicas: 2", "replicas: 1").replace("green", "blue");
    let diff = kubectl.feed("diff -f -", &changed).await?;
    assert!(!diff.success, "{diff:?}");
    for line in ["-  colour: green", "+  colour: blue", "-  replicas: 2", "+  replicas: 1"] {
        assert!(diff.stdout.lines().any(|printed| printed == line), "no {line:?} in {diff:?}");
    }
    let applied = kubectl.apply(&changed).await?;
    assert!(applied.contains("deployment.apps/web configured"), "{applied}");
    kubectl.until("get pods -l app=web --no-headers", |pods| pods.lines().count() == 1).await?;

    let deleted = kubectl.feed("delete --timeout=60s -f -", &changed).await?;
    assert!(deleted.success, "{deleted:?}");
    kubectl
        .until("get deployments,replicasets,pods,endpoints,endpointslices -l app=web", |left| {
            left.is_empty()
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn lists_are_printed_as_tables() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(MANIFEST).await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    for (what, columns) in [
        ("pods", "NAME READY STATUS RESTARTS AGE"),
        ("pods -o wide", "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"),
        ("deployments", "NAME READY UP-TO-DATE AVAILABLE AGE"),
        ("replicasets", "NAME DESIRED CURRENT READY AGE"),
        ("services", "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE"),
        ("endpointslices", "NAME ADDRESSTYPE PORTS ENDPOINTS AGE"),
        ("configmaps", "NAME DATA AGE"),
        ("nodes", "NAME STATUS ROLES AGE VERSION"),
        ("namespaces", "NAME STATUS AGE"),
        ("serviceaccounts", "NAME SECRETS AGE"),
        ("events", "LAST SEEN TYPE REASON OBJECT MESSAGE"),
        ("leases -n kube-node-lease", "NAME HOLDER AGE"),
        ("pods -A", "NAMESPACE NAME READY STATUS RESTARTS AGE"),
        ("pods --show-labels", "NAME READY STATUS RESTARTS AGE LABELS"),
    ] {
        let table = kubectl.run(&format!("get {what}")).await?;
        let header = table.lines().next().unwrap_or_default();
        let header = header.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(header, columns, "get {what}:\n{table}");
        assert!(table.lines().count() > 1, "get {what}:\n{table}");
    }
    let sorted = kubectl.run("get pods --sort-by=.metadata.name -o name").await?;
    let mut names: Vec<&str> = sorted.lines().collect();
    names.sort_unstable();
    assert_eq!(sorted.lines().collect::<Vec<_>>(), names);
    Ok(())
}

#[tokio::test]
async fn owners_take_their_dependents_along_or_leave_them() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.run("create deployment kept --image=pause --replicas=2").await?;
    kubectl.run("create deployment taken --image=pause --replicas=2").await?;
    for name in ["kept", "taken"] {
        kubectl.run(&format!("rollout status deployment/{name} --timeout=60s")).await?;
    }
    let uids = "get pods -l app=kept -o jsonpath={.items[*].metadata.uid}";
    let before = kubectl.run(uids).await?;
    kubectl.run("delete deployment kept --cascade=orphan").await?;
    kubectl
        .until(
            "get replicasets -l app=kept -o jsonpath={.items[*].metadata.ownerReferences}",
            str::is_empty,
        )
        .await?;
    kubectl.run("delete deployment taken --cascade=foreground --timeout=60s").await?;
    let left = kubectl.run("get replicasets,pods -l app=taken").await?;
    assert_eq!(left, "", "the owner went last");
    assert_eq!(kubectl.run(uids).await?, before, "the orphans were left alone");

    // A new deployment of the same selector adopts what was left.
    kubectl.run("create deployment kept --image=pause --replicas=2").await?;
    kubectl.run("rollout status deployment/kept --timeout=60s").await?;
    kubectl
        .until(
            "get replicasets -l app=kept -o jsonpath={.items[*].metadata.ownerReferences[*].name}",
            |owners| owners == "kept",
        )
        .await?;
    kubectl.run("delete deployment kept").await?;
    kubectl.until("get replicasets,pods -l app=kept", str::is_empty).await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_is_emptied_before_it_goes() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let refused = kubectl.refused("create configmap early -n team").await?;
    assert!(refused.contains("namespaces \"team\" not found"), "{refused}");
    kubectl.run("create namespace team").await?;
    kubectl.until("get serviceaccounts -n team -o name", |names| names.contains("default")).await?;
    kubectl
        .until("get configmaps -n team -o name", |names| names.contains("kube-root-ca.crt"))
        .await?;
    let applied = kubectl.feed("apply -n team -f -", MANIFEST).await?;
    assert!(applied.success, "{applied:?}");
    kubectl.run("rollout status deployment/web -n team --timeout=60s").await?;
    kubectl.run("delete namespace team --timeout=60s").await?;
    let left = kubectl.run("get all,configmaps,secrets,endpointslices -n team").await?;
    assert_eq!(left, "");
    let refused = kubectl.refused("get namespace team").await?;
    assert!(refused.contains("namespaces \"team\" not found"), "{refused}");
    // The name is free again.
    kubectl.run("create namespace team").await?;
    assert_eq!(kubectl.run("get pods -n team").await?, "");
    Ok(())
}

#[tokio::test]
async fn what_every_cluster_has_comes_back() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let refused = kubectl.refused("delete namespace kube-system").await?;
    assert!(refused.contains("this namespace may not be deleted"), "{refused}");
    for (kind, name) in [("service", "kubernetes"), ("endpoints", "kubernetes")] {
        let before =
            kubectl.run(&format!("get {kind} {name} -o jsonpath={{.metadata.uid}}")).await?;
        kubectl.run(&format!("delete {kind} {name}")).await?;
        kubectl.run(&format!("wait {kind}/{name} --for=create --timeout=60s")).await?;
        let after =
            kubectl.run(&format!("get {kind} {name} -o jsonpath={{.metadata.uid}}")).await?;
        assert_ne!(before, after);
    }
    Ok(())
}

#[tokio::test]
async fn a_watch_shows_a_pod_come_and_go() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let mut watching = kubectl.command(["get", "pods", "--watch", "--output-watch-events"]);
    let mut watching = watching.stdout(std::process::Stdio::piped()).spawn()?;
    let stdout = watching.stdout.take().context("its output")?;
    let mut lines = BufReader::new(stdout).lines();
    // It waits for what it mounts.
    kubectl
        .apply(
            "{apiVersion: v1, kind: Pod, metadata: {name: seen}, spec: {containers: [{name: main, \
             image: pause}], volumes: [{name: late, configMap: {name: late}}]}}",
        )
        .await?;
    let mut told = String::new();
    let watched = async {
        let (mut made, mut deleting) = (false, false);
        while let Some(line) = lines.next_line().await? {
            let words: Vec<&str> = line.split_whitespace().collect();
            told.push_str(&format!("{line}\n"));
            match (words.first(), words.get(3)) {
                (Some(&"DELETED"), _) => return Ok(()),
                (_, Some(&"ContainerCreating")) if !made => {
                    made = true;
                    kubectl.run("create configmap late").await?;
                }
                (_, Some(&"Running")) if !deleting => {
                    deleting = true;
                    kubectl.run("delete pod seen --wait=false").await?;
                }
                _ => {}
            }
        }
        anyhow::bail!("the watch ended early")
    };
    let watched = tokio::time::timeout(std::time::Duration::from_secs(60), watched).await;
    watching.kill().await?;
    anyhow::ensure!(matches!(watched, Ok(Ok(()))), "{watched:?}:\n{told}");
    for part in ["ADDED", "MODIFIED", "Pending", "ContainerCreating", "Running", "Terminating"] {
        assert!(told.contains(part), "no {part} in:\n{told}");
    }
    Ok(())
}
