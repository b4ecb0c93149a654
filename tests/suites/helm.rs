//! helm and a chart of ours: every step of a release's life, hooks and tests included.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use harness::{Cluster, Output};
use serde_json::Value;

struct Helm<'a> {
    cluster: &'a Cluster,
}

impl Helm<'_> {
    async fn output(&self, line: &str) -> Result<Output> {
        let repository = harness::repository();
        let chart = repository.join("tests/suites/chart");
        let arguments = line.split_whitespace().map(|word| match word {
            "CHART" => chart.as_os_str(),
            word => word.as_ref(),
        });
        let mut command = tokio::process::Command::new(repository.join(".tools/bin/helm"));
        command
            .args(arguments)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("HELM_CACHE_HOME", self.cluster.directory().join("helm"))
            .env("HOME", self.cluster.directory())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let limit = std::time::Duration::from_secs(120);
        let output = tokio::time::timeout(limit, command.output())
            .await
            .with_context(|| format!("helm {line} did not end in time"))?
            .context("starting helm: run `make kubectl`")?;
        Ok(output.into())
    }

    async fn run(&self, line: &str) -> Result<String> {
        let output = self.output(line).await?;
        ensure!(output.success, "helm {line}: {}{}", output.stdout, output.stderr);
        Ok(output.stdout)
    }

    async fn json(&self, line: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.run(&format!("{line} --output json")).await?)?)
    }
}

/// Everything that happens to a release whose hooks are of this kind.
async fn live(hook: &str) -> Result<()> {
    let cluster = Cluster::start().await?;
    let (helm, kubectl) = (Helm { cluster: &cluster }, cluster.kubectl());
    let flags = format!("--namespace shop --wait --timeout 60s --set hookKind={hook}");
    let greeting = "get configmap echo --namespace shop --output jsonpath={.data.greeting}";
    let replicas = "get deployment echo --namespace shop --output jsonpath={.status.readyReplicas}";

    helm.run(&format!("install echo CHART --create-namespace {flags}")).await?;
    assert_eq!(kubectl.run(greeting).await?, "hello");
    assert_eq!(kubectl.run(replicas).await?, "1");
    let before = format!(
        "get {hook} echo-pre-install --namespace shop \
         --output jsonpath={{.status.phase}}{{.status.succeeded}}"
    );
    let before = kubectl.run(&before).await?;
    assert!(matches!(before.as_str(), "Succeeded" | "1"), "the hook before the rest: {before}");

    helm.run(&format!("upgrade echo CHART --set greeting=servus,replicas=2 {flags}")).await?;
    assert_eq!(kubectl.run(greeting).await?, "servus");
    assert_eq!(kubectl.run(replicas).await?, "2");

    // An upgrade whose hook fails is a failed revision and changes nothing else.
    let broken = format!("upgrade echo CHART --set brokenHook=true,greeting=no {flags}");
    let refused = helm.output(&broken).await?;
    assert!(!refused.success, "{refused:?}");
    assert!(refused.stderr.contains("pre-upgrade hooks failed"), "{refused:?}");
    assert_eq!(kubectl.run(greeting).await?, "servus");

    let tested = helm.run("test echo --namespace shop --timeout 60s").await?;
    assert!(tested.contains("Phase:          Succeeded"), "{tested}");

    helm.run("rollback echo 1 --namespace shop --wait --timeout 60s").await?;
    assert_eq!(kubectl.run(greeting).await?, "hello");
    kubectl.until(replicas, |ready| ready == "1").await?;
    let history = helm.json("history echo --namespace shop").await?;
    let history: Vec<&str> = history
        .as_array()
        .context("a list")?
        .iter()
        .filter_map(|one| one["status"].as_str())
        .collect();
    assert_eq!(history, ["superseded", "superseded", "failed", "deployed"]);
    let list = helm.json("list --all-namespaces").await?;
    assert_eq!(list[0]["name"], "echo", "{list}");
    assert_eq!(list[0]["revision"], "4", "{list}");

    helm.run("uninstall echo --namespace shop --wait --timeout 60s").await?;
    assert_eq!(helm.json("list --all-namespaces").await?, serde_json::json!([]));
    // Hooks are not the release's.
    for left in [
        "get deployments,replicasets,services --namespace shop --output name",
        "get pods --selector app.kubernetes.io/instance=echo --namespace shop --output name",
    ] {
        let left = kubectl.until(left, |left| !left.contains("echo")).await?;
        assert!(!left.contains("echo"), "{left}");
    }
    Ok(())
}

#[tokio::test]
async fn helm_installs_upgrades_rolls_back_tests_and_uninstalls_with_hooks_that_are_pods()
-> Result<()> {
    live("Pod").await
}

#[tokio::test]
async fn helm_does_so_with_hooks_that_are_jobs() -> Result<()> {
    live("Job").await
}
