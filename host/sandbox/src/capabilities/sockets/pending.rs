//! Something that a guest started and comes back for.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A context for looking whether something is ready without waiting for it.
pub(super) fn glance() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The outcome of an operation, or the operation. It goes on only while it is polled.
pub(super) enum Pending<T> {
    Going(Pin<Box<dyn Future<Output = T> + Send>>),
    Done(T),
}

impl<T> Pending<T> {
    /// Starts an operation, which may be done at once.
    pub(super) fn start(operation: impl Future<Output = T> + Send + 'static) -> Self {
        let mut pending = Self::Going(Box::pin(operation));
        let _ = pending.poll(&mut glance());
        pending
    }

    /// Moves the operation on.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<&mut T> {
        if let Self::Going(operation) = self {
            match operation.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(outcome) => *self = Self::Done(outcome),
            }
        }
        match self {
            Self::Going(_) => Poll::Pending,
            Self::Done(outcome) => Poll::Ready(outcome),
        }
    }

    /// The outcome, or the operation if it is not done.
    pub(super) fn finish(mut self) -> Result<T, Self> {
        let _ = self.poll(&mut glance());
        match self {
            Self::Done(outcome) => Ok(outcome),
            going @ Self::Going(_) => Err(going),
        }
    }
}
