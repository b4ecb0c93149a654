//! Jobs and CronJobs, as people run them.

use anyhow::{Context, Result, ensure};
use harness::{Cluster, program};

#[tokio::test]
async fn jobs_are_run_with_kubectl() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.run("create job hello --image=toolbox -- echo hello").await?;
    kubectl.run("wait job/hello --for=condition=Complete --timeout=60s").await?;
    assert_eq!(kubectl.run("logs job/hello").await?, "hello\n");
    let listed = kubectl.run("get job hello --no-headers").await?;
    assert!(listed.contains("Complete") && listed.contains("1/1"), "{listed}");
    let described = kubectl.run("describe job hello").await?;
    for expected in ["0 Active (0 Ready) / 1 Succeeded / 0 Failed", "SuccessfulCreate", "Completed"]
    {
        assert!(described.contains(expected), "{expected}: {described}");
    }

    kubectl.run("create cronjob tick --image=toolbox --schedule=@yearly -- echo tick").await?;
    kubectl.run("create job by-hand --from=cronjob/tick").await?;
    kubectl.run("wait job/by-hand --for=condition=Complete --timeout=60s").await?;
    assert_eq!(kubectl.run("logs job/by-hand").await?, "tick\n");
    kubectl.run("delete cronjob tick").await?;
    kubectl.until("get jobs -o name", |jobs| jobs == "job.batch/hello\n").await?;
    kubectl.run("delete job hello").await?;
    kubectl.until("get pods -o name", str::is_empty).await?;
    Ok(())
}

#[tokio::test]
async fn one_line_runs_an_image_once_or_by_a_schedule() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(program());
        command.arg("run").args(arguments).env("KUBECONFIG", cluster.kubeconfig());
        let output = command.output().await.context("running coracle")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        anyhow::Ok((output.status.success(), text(&output.stdout) + &text(&output.stderr)))
    };
    let now = run(&["once", "--image", "toolbox", "--", "echo", "cleaned", "up"]).await?;
    assert_eq!(now, (true, "job.batch/once created\n".to_owned()));
    kubectl.run("wait job/once --for=condition=Complete --timeout=60s").await?;
    assert_eq!(kubectl.run("logs job/once").await?, "cleaned up\n");

    let later = run(&["cleanup", "--image=cleanup", "--runAt=0 1 0 * *"]).await?;
    ensure!(
        !later.0 && later.1.contains("beginning of range (0) below minimum (1): 0"),
        "{later:?}"
    );
    let later = run(&["cleanup", "--image=cleanup", "--run-at", "0 1 * * *"]).await?;
    assert_eq!(later, (true, "cronjob.batch/cleanup created\n".to_owned()));
    let schedule = kubectl.run("get cronjob cleanup -o jsonpath={.spec.schedule}").await?;
    assert_eq!(schedule, "0 1 * * *");
    let again = run(&["once", "--image", "toolbox"]).await?;
    ensure!(!again.0 && again.1.contains("jobs.batch \"once\" already exists"), "{again:?}");
    Ok(())
}
