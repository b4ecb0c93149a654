//! The program as a child process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Kubectl;

/// How long the program may take to be ready, on a machine under load.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Lets the cluster in `data` take compiled code from the clusters before it: what it keeps of a
/// module is bound to nothing but the module and the engine.
fn share_compiled(data: &Path) -> Result<()> {
    let shared = crate::repository().join("target/compiled");
    std::fs::create_dir_all(&shared)?;
    let own = data.join("compiled");
    if !own.exists() {
        std::os::unix::fs::symlink(&shared, &own)
            .with_context(|| format!("linking {}", own.display()))?;
    }
    Ok(())
}

/// How a cluster is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// More arguments for `coracle up`.
    pub arguments: Vec<String>,
    /// Whether the program ends when this process does, however that comes about: for a cluster
    /// that nobody drops because all tests of a process share it.
    pub ends_with_us: bool,
}

/// An answer over HTTP.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body.
    pub body: String,
}

/// A running cluster. Dropping it kills it and removes its data.
pub struct Cluster {
    child: Child,
    directory: Directory,
    url: String,
    options: Options,
}

enum Directory {
    Own(TempDir),
    Given(PathBuf),
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Self::Own(directory) => directory.path(),
            Self::Given(path) => path,
        }
    }
}

impl Cluster {
    /// A cluster in a directory of its own.
    pub async fn start() -> Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// The same, with options.
    pub async fn start_with(options: Options) -> Result<Self> {
        Self::launch(Directory::Own(tempfile::tempdir()?), options).await
    }

    /// A cluster in a directory that the caller keeps.
    pub async fn start_in(directory: &Path, options: Options) -> Result<Self> {
        Self::launch(Directory::Given(directory.to_owned()), options).await
    }

    async fn launch(directory: Directory, options: Options) -> Result<Self> {
        share_compiled(directory.path())?;
        let mut command = if options.ends_with_us { guarded() } else { Command::new(program()) };
        let mut child = command
            .args(["up", "--port", "0", "--data-dir"])
            .arg(directory.path())
            .args(&options.arguments)
            .stdout(Stdio::piped())
            .stdin(if options.ends_with_us { Stdio::piped() } else { Stdio::null() })
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}: run `make build`", program().display()))?;
        let stdout = child.stdout.take().context("the child has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = tokio::time::timeout(START_LIMIT, async {
            let mut url = None;
            while let Some(line) = lines.next_line().await? {
                if let Some(at) = line.find("https://") {
                    url.get_or_insert(
                        line[at..].split_whitespace().next().unwrap_or("").to_owned(),
                    );
                }
                if line.starts_with("Ctrl-C") {
                    return Ok(url);
                }
            }
            bail!("the program ended before it was ready")
        })
        .await
        .context("the program was not ready in time")??
        .context("the program printed no address")?;
        // The pipe must stay open and empty, or the program's last words would end it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, directory, url, options })
    }

    /// `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the cluster keeps its data.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory().join("admin.kubeconfig")
    }

    /// The admin's bearer token.
    pub fn token(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.directory().join("admin.token"))?.trim().to_owned())
    }

    /// The cluster's certificate authority.
    pub fn ca(&self) -> PathBuf {
        self.directory().join("pki/ca.crt")
    }

    /// The id of the program's process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// A client with the admin's rights.
    pub async fn client(&self) -> Result<kube::Client> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// kubectl with the admin's rights.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.kubeconfig())
    }

    /// What the API server answers to curl with the admin's token, `arguments` and `path`.
    pub async fn curl(&self, arguments: &[&str], path: &str) -> Result<Answer> {
        let token = format!("Authorization: Bearer {}", self.token()?);
        let mut all = vec!["-H", &token];
        all.extend(arguments);
        self.anonymous(&all, path).await
    }

    /// The same without a token.
    pub async fn anonymous(&self, arguments: &[&str], path: &str) -> Result<Answer> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
            .arg(self.ca())
            .args(["--write-out", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("{}{path}", self.url))
            .output()
            .await
            .context("running curl")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "curl {arguments:?} {path}: {stderr}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let (body, code) = stdout.rsplit_once('\n').context("curl printed no code")?;
        Ok(Answer { code: code.parse()?, body: body.to_owned() })
    }

    /// Uploads a module written as text; what the cluster says of it.
    pub async fn upload_text(&self, text: &str, image: &str) -> Result<crate::Output> {
        let path = self.directory().join(format!("{}.wasm", image.replace(':', "-")));
        std::fs::write(&path, wat::parse_str(text)?)?;
        let output = self.upload(&path, image).await?;
        anyhow::ensure!(output.success, "uploading {image}: {output:?}");
        Ok(output)
    }

    /// Uploads WebAssembly as `image` (`name:tag`) of the namespace `default` with curl, as the
    /// program's greeting tells people to.
    pub async fn upload(&self, wasm: &Path, image: &str) -> Result<crate::Output> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--cacert"])
            .arg(self.ca())
            .arg("-H")
            .arg(format!("Authorization: Bearer {}", self.token()?))
            .arg("-T")
            .arg(wasm)
            .arg(format!("{}/upload/default/{image}", self.url))
            .output()
            .await
            .context("running curl")?;
        Ok(output.into())
    }

    /// Sends `signal` to the program.
    pub fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let pid = self.pid().context("the program has ended")?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?).context("no such process")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Asks the program to end, as Ctrl-C does, and waits for its exit code.
    pub async fn stop(self) -> Result<Option<i32>> {
        self.end_with(rustix::process::Signal::INT).await
    }

    /// Ends the program with `signal` and waits for its exit code.
    pub async fn end_with(mut self, signal: rustix::process::Signal) -> Result<Option<i32>> {
        self.signal(signal)?;
        let status = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        Ok(status.context("the program did not end in time")??.code())
    }

    /// Kills the program without a warning and starts it again on the same data.
    pub async fn crash_and_restart(mut self) -> Result<Self> {
        self.child.kill().await?;
        Self::launch(self.directory, self.options).await
    }
}

/// The program under the eyes of a shell whose standard input ends when this process does.
fn guarded() -> Command {
    let script = "\"$@\" </dev/null & read -r _; kill -9 $!; wait";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program());
    command
}

/// The program under test: `CORACLE_BIN`, or the debug build.
pub fn program() -> PathBuf {
    std::env::var_os("CORACLE_BIN")
        .map_or_else(|| crate::repository().join("target/debug/coracle"), PathBuf::from)
}
