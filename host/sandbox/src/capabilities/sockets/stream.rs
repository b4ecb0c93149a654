//! The two directions of a connection as `wasi:io` streams.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use coracle_network::Stream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::io::poll_read_buf;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::pending::glance;
use crate::lock::lock;

/// The most that one read or write moves: guests name sizes, the host allocates them.
const MAX_TRANSFER: usize = 64 * 1024;

/// What is read to find out whether there is anything to read.
const PROBE: usize = 4096;

/// A connection's halves, as its socket holds them to shut them down.
pub(super) struct Connection {
    reading: Arc<Mutex<Reading>>,
    writing: Arc<Mutex<Writing>>,
}

impl Connection {
    /// The connection over `stream`, and the streams for the guest.
    pub(super) fn new(stream: Stream) -> (Self, Input, Output) {
        let (reader, writer) = tokio::io::split(stream);
        let reading = Arc::new(Mutex::new(Reading {
            half: Some(reader),
            buffered: Bytes::new(),
            error: None,
        }));
        let writing = Arc::new(Mutex::new(Writing::Idle(writer)));
        let input = Input(reading.clone());
        let output = Output(writing.clone());
        (Self { reading, writing }, input, output)
    }

    /// Ends reading: what has arrived and is not read is lost.
    pub(super) fn shut_reading(&self) {
        lock(&self.reading).shut();
    }

    /// Ends writing: the other side sees the end once all that was written has arrived.
    pub(super) fn shut_writing(&self) {
        lock(&self.writing).shut();
    }
}

struct Reading {
    /// None at the end of the stream.
    half: Option<ReadHalf<Stream>>,
    buffered: Bytes,
    /// An error that the guest has not been told yet.
    error: Option<io::Error>,
}

impl Reading {
    fn shut(&mut self) {
        self.half = None;
        self.buffered = Bytes::new();
    }

    /// Ready when a read has something to say.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.buffered.is_empty() {
            return Poll::Ready(());
        }
        let Some(half) = &mut self.half else { return Poll::Ready(()) };
        let mut bytes = [0; PROBE];
        let mut probe = ReadBuf::new(&mut bytes);
        match Pin::new(half).poll_read(context, &mut probe) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if probe.filled().is_empty() => self.half = None,
            Poll::Ready(Ok(())) => self.buffered = Bytes::copy_from_slice(probe.filled()),
            Poll::Ready(Err(error)) => {
                self.half = None;
                self.error = Some(error);
            }
        }
        Poll::Ready(())
    }

    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let _ = self.poll_fill(&mut glance());
        if let Some(error) = self.error.take() {
            return Err(StreamError::LastOperationFailed(error.into()));
        }
        if self.buffered.is_empty() {
            return if self.half.is_none() { Err(StreamError::Closed) } else { Ok(Bytes::new()) };
        }
        let room = size.min(MAX_TRANSFER);
        if self.buffered.len() < PROBE || room <= PROBE {
            return Ok(self.buffered.split_to(room.min(self.buffered.len())));
        }
        Ok(self.read_on(room))
    }

    /// What is buffered, and what lies behind it.
    fn read_on(&mut self, room: usize) -> Bytes {
        let mut bytes = BytesMut::with_capacity(room);
        bytes.extend_from_slice(&mem::take(&mut self.buffered));
        if let Some(half) = &mut self.half {
            let mut rest = (&mut bytes).limit(room.saturating_sub(PROBE));
            match poll_read_buf(Pin::new(half), &mut glance(), &mut rest) {
                Poll::Pending | Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => self.half = None,
                Poll::Ready(Err(error)) => {
                    self.half = None;
                    self.error = Some(error);
                }
            }
        }
        bytes.freeze()
    }
}

enum Writing {
    Idle(WriteHalf<Stream>),
    /// What did not fit yet is being written; the guest may not write meanwhile.
    Busy(JoinHandle<io::Result<WriteHalf<Stream>>>),
    /// An error that the guest has not been told yet.
    Failed(io::Error),
    Closed,
}

impl Writing {
    fn take(&mut self) -> Self {
        mem::replace(self, Self::Closed)
    }

    fn failed(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error),
        }
    }

    /// Ready when a write may begin or an error be told.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Busy(task) = self {
            *self = match Pin::new(task).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Ok(half))) => Self::Idle(half),
                Poll::Ready(Ok(Err(error))) => Self::failed(error),
                Poll::Ready(Err(_)) => Self::Closed,
            };
        }
        Poll::Ready(())
    }

    /// The error that stands in the way, if any; each is told once.
    fn check(&mut self) -> StreamResult<()> {
        match self {
            Self::Idle(_) | Self::Busy(_) => Ok(()),
            Self::Closed => Err(StreamError::Closed),
            Self::Failed(_) => match self.take() {
                Self::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
                _ => Err(StreamError::Closed),
            },
        }
    }

    fn permit(&mut self) -> StreamResult<usize> {
        let ready = self.poll_ready(&mut glance());
        self.check()?;
        Ok(if ready.is_ready() { MAX_TRANSFER } else { 0 })
    }

    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        let Self::Idle(half) = self else {
            return Err(StreamError::trap("write without permit"));
        };
        if bytes.len() > MAX_TRANSFER {
            return Err(StreamError::trap("write of more than was permitted"));
        }
        while !bytes.is_empty() {
            match Pin::new(&mut *half).poll_write(&mut glance(), &bytes) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    let _ = bytes.split_to(written);
                }
                Poll::Ready(Ok(_)) => {
                    *self = Self::Closed;
                    return self.check();
                }
                Poll::Ready(Err(error)) => {
                    *self = Self::failed(error);
                    return self.check();
                }
                Poll::Pending => {
                    self.write_in_background(bytes);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn write_in_background(&mut self, bytes: Bytes) {
        if let Self::Idle(mut half) = self.take()
            && let Ok(runtime) = Handle::try_current()
        {
            *self = Self::Busy(runtime.spawn(async move {
                half.write_all(&bytes).await?;
                Ok(half)
            }));
        }
    }

    fn shut(&mut self) {
        let state = self.take();
        let mut closing = Box::pin(async move {
            let half = match state {
                Self::Idle(half) => Some(half),
                Self::Busy(task) => task.await.ok().and_then(Result::ok),
                Self::Failed(_) | Self::Closed => None,
            };
            if let Some(mut half) = half
                && let Err(error) = half.shutdown().await
            {
                tracing::debug!(%error, "a guest's connection broke before its end");
            }
        });
        // Where no runtime is left to finish it, the connection ends by being dropped.
        if closing.as_mut().poll(&mut glance()).is_pending()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(closing);
        }
    }
}

/// The reading direction, for the guest. Dropping it ends reading.
pub(crate) struct Input(Arc<Mutex<Reading>>);

impl Drop for Input {
    fn drop(&mut self) {
        lock(&self.0).shut();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        poll_fn(|context| lock(&self.0).poll_fill(context)).await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        lock(&self.0).read(size)
    }
}

/// The writing direction, for the guest. Dropping it is the other side's end of stream, after all
/// that was written.
pub(crate) struct Output(Arc<Mutex<Writing>>);

impl Drop for Output {
    fn drop(&mut self) {
        lock(&self.0).shut();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        poll_fn(|context| lock(&self.0).poll_ready(context)).await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.0).write(bytes)
    }

    /// Nothing is held back, so there is nothing to flush; `check-write` waits for what is still
    /// on its way.
    fn flush(&mut self) -> StreamResult<()> {
        lock(&self.0).check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        lock(&self.0).permit()
    }

    async fn cancel(&mut self) {
        self.ready().await;
    }
}
