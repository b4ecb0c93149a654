//! Container logs: one file per container instance in the CRI's format, rotated, read back for
//! `kubectl logs`. All files are written by one thread a node; a container has at most one batch
//! under way, so that one which prints without end slows only itself. May not know of pods.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use coracle_api::clock;
use coracle_sandbox::{Output, Printed};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

mod cri;
mod files;
mod read;
mod writer;

pub(crate) use files::remove;
pub(crate) use read::{Options, Reader, tail};

/// Writes of a guest that may wait for the log: 16 KiB each at most.
const WAITING_WRITES: usize = 16;

/// Batches of all containers that may wait for the writer.
const WAITING_BATCHES: usize = 256;

/// When a log is rotated, and how much of it is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// Bytes after which a new file is begun.
    pub max_size: u64,
    /// Files kept of one container instance, the present one included.
    pub max_files: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { max_size: 10 << 20, max_files: 5 }
    }
}

/// How far a log that is being written has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How many times it was rotated.
    pub(crate) rotations: u64,
    /// Bytes in the present file.
    pub(crate) size: u64,
    /// Whether nothing more will come.
    pub(crate) closed: bool,
}

/// One instance of a container, as logs are named: `<directory>/<instance>.log`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogName {
    pub(crate) directory: PathBuf,
    pub(crate) instance: i32,
}

impl LogName {
    pub(crate) fn new(directory: &Path, instance: i32) -> Self {
        Self { directory: directory.to_owned(), instance }
    }
}

/// The writer before its thread is started.
pub(crate) struct LogWriter {
    limits: LogLimits,
    taken: mpsc::Receiver<writer::Order>,
}

impl LogWriter {
    /// Starts the thread; it ends when the last clone of the logs is gone.
    pub(crate) fn start(self) -> io::Result<()> {
        let Self { limits, taken } = self;
        let thread = std::thread::Builder::new().name("logs".into());
        thread.spawn(move || writer::Writer::new(limits).run(taken)).map(drop)
    }
}

/// The node's logs.
#[derive(Clone)]
pub(crate) struct Logs {
    orders: mpsc::Sender<writer::Order>,
    live: Arc<Mutex<HashMap<LogName, watch::Receiver<Progress>>>>,
}

impl Logs {
    /// The logs, and what writes them once it is started.
    pub(crate) fn new(limits: LogLimits) -> (Self, LogWriter) {
        let (orders, taken) = mpsc::channel(WAITING_BATCHES);
        (Self { orders, live: Arc::default() }, LogWriter { limits, taken })
    }

    /// Begins the log of a container instance. What is sent to the output is written; the task
    /// ends once the output is dropped and everything is in the file.
    pub(crate) fn open(&self, name: LogName) -> (Output, JoinHandle<()>) {
        let (output, printed) = mpsc::channel(WAITING_WRITES);
        let (progress, live) = watch::channel(Progress::default());
        self.lock().insert(name.clone(), live);
        let logs = self.clone();
        let pump = tokio::spawn(async move {
            logs.pump(&name, printed, progress).await;
            logs.lock().remove(&name);
        });
        (output, pump)
    }

    async fn pump(
        &self,
        name: &LogName,
        mut printed: mpsc::Receiver<Printed>,
        progress: watch::Sender<Progress>,
    ) {
        let progress = Arc::new(progress);
        loop {
            let mut batch = Vec::new();
            let more = printed.recv_many(&mut batch, WAITING_WRITES).await > 0;
            let (done, written) = oneshot::channel();
            let order = writer::Order {
                name: name.clone(),
                batch,
                at: clock::now(),
                close: !more,
                progress: progress.clone(),
                done,
            };
            // Without a writer the node is going down, and the guests with it.
            if self.orders.send(order).await.is_err() || written.await.is_err() || !more {
                return;
            }
        }
    }

    /// How far a log has come that is still being written.
    pub(crate) fn live(&self, name: &LogName) -> Option<watch::Receiver<Progress>> {
        self.lock().get(name).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<LogName, watch::Receiver<Progress>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
