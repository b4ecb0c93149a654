//! kubectl as a person uses it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether it ended well.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Self {
        Self {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// kubectl against one cluster.
#[derive(Clone, Debug)]
pub struct Kubectl {
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// No command of a test takes longer.
    const LIMIT: Duration = Duration::from_secs(120);

    pub(crate) fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig }
    }

    /// A command to be run otherwise than [`Kubectl::run`] does, to follow a log for instance.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let pinned = crate::repository().join(".tools/bin/kubectl");
        let mut command =
            Command::new(if pinned.exists() { pinned.as_path() } else { "kubectl".as_ref() });
        // A cache of its own: discovery of one cluster must not be taken for another's.
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.kubeconfig.with_extension("cache"))
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command line split at its spaces; its standard output if it ended well.
    pub async fn run(&self, line: &str) -> Result<String> {
        self.run_arguments(line.split_whitespace()).await
    }

    /// Runs a command of separate arguments; its standard output if it ended well.
    pub async fn run_arguments<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let output = self.output(self.command(arguments), None).await?;
        if !output.success {
            bail!("kubectl failed: {}{}", output.stdout, output.stderr);
        }
        Ok(output.stdout)
    }

    /// Runs a command line that is expected to fail; its standard error.
    pub async fn refused(&self, line: &str) -> Result<String> {
        let output = self.output(self.command(line.split_whitespace()), None).await?;
        if output.success {
            bail!("kubectl {line} succeeded: {}", output.stdout);
        }
        Ok(output.stderr)
    }

    /// `kubectl apply -f -` of `manifest`, or any other command that reads it.
    pub async fn feed(&self, line: &str, manifest: &str) -> Result<Output> {
        self.output(self.command(line.split_whitespace()), Some(manifest)).await
    }

    /// `kubectl apply -f -` of `manifest`, which must succeed; what it printed.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        let output = self.feed("apply -f -", manifest).await?;
        if !output.success {
            bail!("kubectl apply failed: {}{}", output.stdout, output.stderr);
        }
        Ok(output.stdout)
    }

    async fn output(&self, mut command: Command, input: Option<&str>) -> Result<Output> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().context("starting kubectl: run `make kubectl`")?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = tokio::time::timeout(Self::LIMIT, child.wait_with_output())
            .await
            .context("kubectl did not end in time")??;
        Ok(output.into())
    }

    /// Runs `line` until its output satisfies `done`, for at most a minute.
    pub async fn until(&self, line: &str, done: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        for _ in 0..240 {
            match self.run(line).await {
                Ok(output) if done(&output) => return Ok(output),
                Ok(output) => last = output,
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        bail!("`kubectl {line}` never printed what was awaited; last:\n{last}")
    }
}
