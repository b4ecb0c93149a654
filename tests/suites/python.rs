//! Suites of Python packages, run by pytest in the folders that their source packages unpack to.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use harness::Cluster;

use crate::expected::{Verdict, Verdicts, judge, unpacked};

/// No suite takes longer.
const LIMIT: Duration = Duration::from_secs(540);

/// Runs the suite `name` with arguments for pytest, and judges it.
async fn run(cluster: &Cluster, name: &str, arguments: &[&str]) -> Result<()> {
    let repository = harness::repository();
    let folder = unpacked(name)?;
    let scratch = tempfile::tempdir()?;
    let verdicts = scratch.path().join("verdicts");
    let words = scratch.path().join("words");
    let mut command = tokio::process::Command::new(repository.join(".tools/suites/bin/python"));
    command
        .args(["-m", "pytest", "-p", "verdicts", "-p", "no:cacheprovider", "--tb=short", "-q"])
        .args(arguments)
        .current_dir(&folder)
        .env("PYTHONPATH", repository.join("tests/suites/stand-ins"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PATH", path_with_tools(&repository))
        // Discovery is cached in the home directory: one cluster's must not be taken for another's.
        .env("HOME", scratch.path())
        .env("TMPDIR", scratch.path())
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("CORACLE_KUBECONFIG", cluster.kubeconfig())
        .env("CORACLE_VERDICTS", &verdicts)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&words)?)
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(LIMIT, command.status()).await;
    let words = String::from_utf8_lossy(&std::fs::read(&words)?).into_owned();
    println!("{words}");
    ended
        .with_context(|| format!("{name} did not end in time"))?
        .context("starting Python: run `make suites`")?;
    let text = std::fs::read_to_string(&verdicts).context("pytest wrote no verdicts")?;
    judge(name, &parse(&text)?, &words)
}

fn path_with_tools(repository: &Path) -> std::ffi::OsString {
    let mut path = repository.join(".tools/bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

fn parse(text: &str) -> Result<Verdicts> {
    text.lines()
        .map(|line| {
            let (verdict, test) = line.split_once(' ').context("a line without a test")?;
            let verdict = match verdict {
                "passed" => Verdict::Passed,
                "failed" => Verdict::Failed,
                "skipped" => Verdict::Skipped,
                other => bail!("what is {other}?"),
            };
            Ok((test.to_owned(), verdict))
        })
        .collect()
}

/// A Python client library, asynchronous and not: everything from pods to port-forwarding.
#[tokio::test]
async fn kr8s() -> Result<()> {
    let cluster = Cluster::start().await?;
    // The suite reads and watches the pods that every real cluster has in this namespace.
    let kubectl = cluster.kubectl();
    kubectl.run("create deployment addon --image=pause --namespace=kube-system").await?;
    kubectl.run("rollout status deployment/addon --namespace=kube-system --timeout=60s").await?;
    let arguments = ["-p", "pytest_kind.plugin", "--no-cov", "--timeout=60", "kr8s"];
    run(&cluster, "kr8s", &arguments).await
}

/// A framework for operators: each of its examples, run as an operator.
#[tokio::test]
async fn kopf() -> Result<()> {
    let cluster = Cluster::start().await?;
    // Warnings of Python about the client's own leavings are errors there unless ignored.
    run(&cluster, "kopf", &["--only-e2e", "-Wignore", "--timeout=120", "tests/e2e"]).await
}

/// The official Python client's dynamic client.
#[tokio::test]
async fn kubernetes() -> Result<()> {
    let cluster = Cluster::start().await?;
    let arguments = ["-p", "kubernetes_e2e", "--timeout=60", "kubernetes/dynamic"];
    run(&cluster, "kubernetes", &arguments).await
}
