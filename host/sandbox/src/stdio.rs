//! Where a guest's prints go. Nothing piles up here: a guest that prints faster than its output is
//! taken waits, and what is held of it is bounded by one chunk a stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::lock::lock;

/// Where a guest's prints go: a bounded channel, whose bound is the most that can wait in it.
pub type Output = mpsc::Sender<Printed>;

/// Bytes of one write of a guest, as they are: not lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Which of the two streams.
    pub stream: Stdio,
    /// The bytes, at most 16 KiB.
    pub bytes: Bytes,
}

/// The two streams that a guest prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The most that one write may carry.
const CHUNK: usize = 16 * 1024;

/// The channel has no receiver any more.
#[derive(Debug)]
struct Closed;

/// Both streams of a container. Prints that the channel has no room for wait in `backlog`, and as
/// long as any do, no stream accepts a further write.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    output: Output,
    backlog: Arc<Mutex<VecDeque<Printed>>>,
}

impl Console {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, backlog: Arc::default() }
    }

    /// One of the streams, for a guest.
    pub(crate) fn stream(&self, stream: Stdio) -> GuestOutput {
        GuestOutput { console: self.clone(), stream }
    }

    /// Prints on behalf of a guest that can no longer do it itself.
    pub(crate) async fn report(&self, text: &str) {
        let mut bytes = Bytes::from(format!("{text}\n"));
        bytes.truncate(CHUNK);
        if self.push(Printed { stream: Stdio::Stderr, bytes }).is_ok() {
            self.drain().await;
        }
    }

    fn push(&self, printed: Printed) -> Result<(), Closed> {
        let mut backlog = lock(&self.backlog);
        if !backlog.is_empty() {
            backlog.push_back(printed);
            return Ok(());
        }
        match self.output.try_send(printed) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(printed)) => {
                backlog.push_back(printed);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Closed),
        }
    }

    /// Waits until the channel has taken everything; without a receiver there is nobody to wait for.
    pub(crate) async fn drain(&self) {
        while !lock(&self.backlog).is_empty() {
            let Ok(permit) = self.output.reserve().await else {
                lock(&self.backlog).clear();
                return;
            };
            if let Some(printed) = lock(&self.backlog).pop_front() {
                permit.send(printed);
            }
        }
    }

    fn waiting(&self) -> bool {
        !lock(&self.backlog).is_empty()
    }
}

/// One stream of a console, as the guest's standard output or standard error.
pub(crate) struct GuestOutput {
    console: Console,
    stream: Stdio,
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Writer { output: self.console.stream(self.stream), draining: None })
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.console.stream(self.stream))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {
        self.console.drain().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let printed = Printed { stream: self.stream, bytes };
        self.console.push(printed).map_err(|Closed| StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.console.output.is_closed() {
            return Err(StreamError::Closed);
        }
        Ok(if self.console.waiting() { 0 } else { CHUNK })
    }
}

/// A stream for those who write asynchronously.
struct Writer {
    output: GuestOutput,
    draining: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Writer {
    fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let console = &self.output.console;
        let draining = self.draining.get_or_insert_with(|| {
            let console = console.clone();
            Box::pin(async move { console.drain().await })
        });
        ready!(draining.as_mut().poll(context));
        self.draining = None;
        Poll::Ready(())
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drained(context));
        let chunk = bytes.get(..CHUNK).unwrap_or(bytes);
        let written = this.output.write(Bytes::copy_from_slice(chunk));
        Poll::Ready(match written {
            Ok(()) => Ok(chunk.len()),
            Err(_) => Err(std::io::ErrorKind::BrokenPipe.into()),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().poll_drained(context).map(Ok)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_channel_stops_the_guest_and_loses_nothing() {
        let (output, mut taken) = mpsc::channel(2);
        let console = Console::new(output);
        let mut stream = console.stream(Stdio::Stdout);
        for text in ["a", "b", "c"] {
            assert_eq!(stream.check_write().unwrap(), CHUNK, "{text}");
            stream.write(Bytes::from(text)).unwrap();
        }
        assert_eq!(stream.check_write().unwrap(), 0);
        assert_eq!(console.stream(Stdio::Stderr).check_write().unwrap(), 0);

        let taking = async {
            let mut seen = Vec::new();
            for _ in 0..3 {
                seen.push(taken.recv().await.unwrap().bytes);
            }
            seen
        };
        let ((), seen) = tokio::join!(stream.ready(), taking);
        assert_eq!(seen, ["a", "b", "c"]);
        assert_eq!(stream.check_write().unwrap(), CHUNK);
    }

    #[tokio::test]
    async fn without_a_receiver_writes_fail() {
        let (output, taken) = mpsc::channel(1);
        let console = Console::new(output);
        let mut stream = console.stream(Stdio::Stdout);
        stream.write(Bytes::from("a")).unwrap();
        stream.write(Bytes::from("b")).unwrap();
        drop(taken);
        console.drain().await;
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
        assert!(matches!(stream.write(Bytes::from("c")), Err(StreamError::Closed)));
    }
}
