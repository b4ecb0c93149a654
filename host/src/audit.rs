//! The audit log as a file: one JSON line an event, cut at a size, the oldest cuts taken away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use coracle_api::clock;
use coracle_apiserver::{Audit, AuditPolicy, AuditSink};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::config::Config;

/// Events that may wait to be written.
const WAITING: usize = 10_000;

/// What the log is told.
#[derive(Clone, Debug)]
struct Options {
    path: PathBuf,
    /// Bytes after which a new file is begun.
    size: u64,
    /// Files that are kept besides the present one.
    backups: usize,
}

/// The audit log that `config` asks for, and the task that writes it.
pub(crate) async fn begin(
    config: &Config,
) -> Result<Option<(Audit, impl Future<Output = ()> + use<>)>> {
    let (Some(policy), Some(path)) = (&config.audit_policy_file, &config.audit_log_path) else {
        return Ok(None);
    };
    let file = policy.display();
    let text = fs::read_to_string(policy).await.with_context(|| format!("reading {file}"))?;
    let policy = AuditPolicy::read(&text).with_context(|| format!("in {file}"))?;
    let options = Options {
        path: path.clone(),
        size: config.audit_log_maxsize << 20,
        backups: config.audit_log_maxbackup,
    };
    let (log, writes) = open(options).await?;
    Ok(Some((Audit { policy: Arc::new(policy), sink: Arc::new(log) }, writes)))
}

/// Hands events to the task that writes them.
#[derive(Debug)]
struct Log(mpsc::Sender<Vec<u8>>);

impl AuditSink for Log {
    fn write(&self, event: Vec<u8>) {
        if self.0.try_send(event).is_err() {
            tracing::error!("an audit event is lost: the log cannot be written fast enough");
        }
    }
}

/// Opens the log. The task writes until the log is dropped.
async fn open(options: Options) -> Result<(Log, impl Future<Output = ()> + use<>)> {
    let path = options.path.display().to_string();
    let mut writer = Writer::open(options).await.with_context(|| {
        format!("opening the audit log {path}: choose another with --audit-log-path")
    })?;
    let (sender, mut events) = mpsc::channel::<Vec<u8>>(WAITING);
    let task = async move {
        let mut batch = vec![];
        while events.recv_many(&mut batch, 256).await > 0 {
            if let Err(error) = writer.write(&mut batch).await {
                tracing::error!(%error, "audit events cannot be written");
            }
            batch.clear();
        }
    };
    Ok((Log(sender), task))
}

struct Writer {
    options: Options,
    file: File,
    written: u64,
}

impl Writer {
    async fn open(options: Options) -> Result<Self> {
        let mut open = OpenOptions::new();
        let file = open.create(true).append(true).mode(0o600).open(&options.path).await?;
        let written = file.metadata().await?.len();
        Ok(Self { options, file, written })
    }

    async fn write(&mut self, events: &mut [Vec<u8>]) -> Result<()> {
        let mut text = vec![];
        for event in events {
            text.append(event);
            text.push(b'\n');
            if self.written + text.len() as u64 >= self.options.size {
                self.append(&mut text).await?;
                self.cut().await?;
            }
        }
        self.append(&mut text).await
    }

    async fn append(&mut self, text: &mut Vec<u8>) -> Result<()> {
        self.file.write_all(text).await?;
        self.file.flush().await?;
        self.written += text.len() as u64;
        text.clear();
        Ok(())
    }

    /// Puts the present file aside under its time and begins a new one.
    async fn cut(&mut self) -> Result<()> {
        let path = self.options.path.clone();
        let time = clock::now().strftime("%Y-%m-%dT%H-%M-%S%.6f");
        fs::rename(&path, path.with_extension(format!("{time}.log"))).await?;
        *self = Self::open(self.options.clone()).await?;
        let mut aside = aside(&path).await?;
        aside.sort();
        let surplus = aside.len().saturating_sub(self.options.backups);
        for old in aside.into_iter().take(surplus) {
            fs::remove_file(old).await?;
        }
        Ok(())
    }
}

/// The files that were put aside.
async fn aside(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let stem = format!("{}.", path.file_stem().unwrap_or_default().to_string_lossy());
    let mut entries = fs::read_dir(folder.unwrap_or(Path::new("."))).await?;
    let mut found = vec![];
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let cut = name.strip_prefix(&stem).is_some_and(|rest| rest.len() > "log".len());
        if cut && name.ends_with(".log") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_log_is_cut_and_old_cuts_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let options = Options { path: path.clone(), size: 100, backups: 2 };
        let (log, task) = open(options).await.unwrap();
        let task = tokio::spawn(task);
        for n in 0..50 {
            log.write(format!("{{\"event\":{n:02}}}").into_bytes());
        }
        drop(log);
        task.await.unwrap();
        let aside = aside(&path).await.unwrap();
        assert_eq!(aside.len(), 2);
        let kept = fs::read_to_string(&path).await.unwrap();
        assert!(kept.is_empty() || kept.ends_with("{\"event\":49}\n"), "{kept}");
        for cut in aside {
            let text = fs::read_to_string(cut).await.unwrap();
            assert!(text.len() >= 100 && text.lines().all(|line| line.ends_with('}')), "{text}");
        }
    }
}
