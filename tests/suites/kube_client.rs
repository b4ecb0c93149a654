//! The tests of the Rust client library that need a cluster and that its authors ignore without one.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::Cluster;

use crate::expected::{Verdict, Verdicts, judge, unpacked};

/// No test of the suite waits for longer, and it is built before.
const LIMIT: Duration = Duration::from_secs(240);

/// The verdicts in what a Rust test binary prints.
fn parse(output: &str) -> Verdicts {
    let line = |line: &str| {
        let (test, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
        let verdict = match verdict.split([' ', ',']).next()? {
            "ok" => Verdict::Passed,
            "FAILED" => Verdict::Failed,
            "ignored" => Verdict::Skipped,
            _ => return None,
        };
        let test = test.split(" - ").next().unwrap_or(test);
        Some((test.to_owned(), verdict))
    };
    output.lines().filter_map(line).collect()
}

#[tokio::test]
async fn kube_client() -> Result<()> {
    let binary = unpacked("kube-client/tests")?;
    let cluster = Cluster::start().await?;
    let mut command = tokio::process::Command::new(binary);
    command
        .args(["--ignored", "--test-threads=2"])
        .env("KUBECONFIG", cluster.kubeconfig())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .context("the suite did not end in time")?
        .context("starting the suite")?;
    let words = String::from_utf8_lossy(&output.stdout);
    println!("{words}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(words.contains("test result:"), "the suite ended early: {:?}", output.status);
    judge("kube-client", &parse(&words), &words)
}
