//! Requests that schemathesis derives from the cluster's own OpenAPI documents: whatever they are,
//! none is answered with a fault of the server.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::Cluster;

/// The documents that are tried; `SCHEMATHESIS_EXAMPLES` says how often each operation is.
const DOCUMENTS: &[&str] = &["api/v1", "apis/apps/v1", "apis/rbac.authorization.k8s.io/v1"];

/// What speaks to something else than the API, or never ends.
const NOT_TRIED: &str = "/(watch|proxy|exec|attach|portforward|log)(/|$)";

#[tokio::test]
async fn no_request_meets_a_fault_of_the_server() -> Result<()> {
    let repository = harness::repository();
    let cluster = Cluster::start().await?;
    let examples = std::env::var("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| "2".to_owned());
    let token = format!("Authorization: Bearer {}", cluster.token()?);
    for document in DOCUMENTS {
        let answer = cluster.curl(&[], &format!("/openapi/v3/{document}")).await?;
        ensure!(answer.code == 200, "{document}: {answer:?}");
        let file = cluster.directory().join("openapi.json");
        std::fs::write(&file, &answer.body)?;
        let mut command =
            tokio::process::Command::new(repository.join(".tools/suites/bin/schemathesis"));
        command
            .arg("run")
            .arg(&file)
            .args(["--url", cluster.url(), "--header", &token, "--tls-verify"])
            .arg(cluster.ca())
            .args(["--checks", "not_a_server_error", "--phases", "fuzzing", "--seed", "1"])
            .args(["--max-examples", &examples, "--workers", "2", "--no-shrink"])
            .args(["--request-timeout", "10", "--suppress-health-check", "all"])
            .args(["--generation-database", "none", "--exclude-path-regex", NOT_TRIED])
            .args(["--warnings", "off", "--no-color"])
            .current_dir(cluster.directory())
            .env("PYTHONPATH", repository.join("tests/suites/stand-ins"))
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(500), command.output())
            .await
            .with_context(|| format!("{document} did not end in time"))?
            .context("starting schemathesis: run `make suites`")?;
        let words = String::from_utf8_lossy(&output.stdout);
        println!("{words}{}", String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{document}: {:?}", output.status);
    }
    Ok(())
}
