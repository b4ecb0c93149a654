//! Bodies of requests that are answered before they are read to their end.
//!
//! A server may answer early, as it does when a body is too large, but many clients (curl up to
//! 8.0 over HTTP/2, and any over HTTP/1.1 whose connection is closed under its feet) then lose the
//! answer. So what is left of the body is read and dropped, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::timeouts;

/// How much of a body is read for nothing. It is as much as a module may have bytes: somebody who
/// sends a file that is too large is told so.
const UNREAD_AT_MOST: usize = 1 << 30;

/// A request's body, whose rest is read and dropped if its reader gives up.
pub(crate) struct Polite(Option<Incoming>);

impl Polite {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Body for Polite {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(timeouts::UNREAD_BODY, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut left = UNREAD_AT_MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}
