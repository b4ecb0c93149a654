//! The one thread that writes a node's logs.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

use coracle_sandbox::Printed;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::cri::{self, Lines};
use super::{LogLimits, LogName, Progress, files};

/// Files kept open between writes.
const MAX_OPEN: usize = 256;

/// A batch of one container's prints.
pub(super) struct Order {
    pub(super) name: LogName,
    pub(super) batch: Vec<Printed>,
    pub(super) at: Timestamp,
    /// Whether it is the last one.
    pub(super) close: bool,
    pub(super) progress: Arc<watch::Sender<Progress>>,
    pub(super) done: oneshot::Sender<()>,
}

/// A log that is being written.
#[derive(Default)]
struct Log {
    lines: Lines,
    file: Option<File>,
    progress: Progress,
    /// Whether the last write failed, so that the failure is reported once.
    failing: bool,
}

pub(super) struct Writer {
    limits: LogLimits,
    logs: HashMap<LogName, Log>,
    open: usize,
}

impl Writer {
    pub(super) fn new(limits: LogLimits) -> Self {
        Self { limits, logs: HashMap::new(), open: 0 }
    }

    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.blocking_recv() {
            self.carry_out(order);
        }
    }

    fn carry_out(&mut self, order: Order) {
        let Order { name, batch, at, close, progress, done } = order;
        if self.open >= MAX_OPEN {
            self.logs.values_mut().for_each(|log| log.file = None);
            self.open = 0;
        }
        let log = self.logs.entry(name.clone()).or_default();
        let was_open = log.file.is_some();
        let at = cri::time(at);
        let mut text = Vec::new();
        for printed in &batch {
            log.lines.take(printed, &at, &mut text);
        }
        if close {
            log.lines.finish(&at, &mut text);
            log.progress.closed = true;
        }
        match log.write(&name, &text, self.limits) {
            Ok(()) => log.failing = false,
            Err(error) if !log.failing => {
                log.failing = true;
                tracing::error!(log = %files::present(&name).display(), %error, "log lines are lost");
            }
            Err(_) => {}
        }
        self.open += usize::from(log.file.is_some());
        self.open -= usize::from(was_open);
        progress.send_replace(log.progress);
        if close && self.logs.remove(&name).is_some_and(|log| log.file.is_some()) {
            self.open -= 1;
        }
        // The container may have stopped waiting: its log is gone with its pod.
        let _ = done.send(());
    }
}

impl Log {
    fn write(&mut self, name: &LogName, text: &[u8], limits: LogLimits) -> io::Result<()> {
        if text.is_empty() && self.progress.size > 0 {
            return Ok(());
        }
        if self.progress.size > 0 && self.progress.size + text.len() as u64 > limits.max_size {
            self.rotate(name, limits)?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                fs::create_dir_all(&name.directory)?;
                let path = files::present(name);
                self.file.insert(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        file.write_all(text)?;
        self.progress.size += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, name: &LogName, limits: LogLimits) -> io::Result<()> {
        self.file = None;
        fs::rename(files::present(name), files::rotated(name, self.progress.rotations))?;
        self.progress.rotations += 1;
        self.progress.size = 0;
        let kept = u64::from(limits.max_files.max(1) - 1);
        if let Some(old) = self.progress.rotations.checked_sub(kept + 1) {
            fs::remove_file(files::rotated(name, old))?;
        }
        Ok(())
    }
}
