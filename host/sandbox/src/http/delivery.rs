//! An answer's way to its client, and what is left to do for its guest afterwards.
//!
//! The connection drops a body as soon as it has what it was promised: all the bytes that
//! `content-length` says, or none at all for a `HEAD`. The guest may still be writing then. So the
//! remains of a body that was delivered go to whoever drives the guest, who reads them to their
//! end; the guest sees its writes fail only if its client has gone.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// The client's and the guest's end of a delivery.
pub(crate) fn delivery() -> (Delivery, Afterwards) {
    let (sender, receiver) = oneshot::channel();
    (Delivery { remains: sender, head_only: false }, Afterwards(receiver))
}

/// A delivery that has not begun.
pub(crate) struct Delivery {
    remains: oneshot::Sender<HyperOutgoingBody>,
    head_only: bool,
}

impl Delivery {
    /// The delivery of an answer to a request with `method`.
    pub(crate) fn of(self, method: &Method) -> Self {
        Self { head_only: *method == Method::HEAD, ..self }
    }

    /// Begins to deliver.
    pub(crate) fn of_response(self, response: Response<HyperOutgoingBody>) -> Response<Delivered> {
        let bodiless = self.head_only
            || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let due = if bodiless { Some(0) } else { length(response.headers()) };
        response.map(|body| Delivered { body: Some(body), due, remains: Some(self.remains) })
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A guest's body on its way to the client.
pub(crate) struct Delivered {
    /// Absent once it has ended.
    body: Option<HyperOutgoingBody>,
    /// Bytes that the client still waits for, where that is known.
    due: Option<u64>,
    remains: Option<oneshot::Sender<HyperOutgoingBody>>,
}

impl Body for Delivered {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Buf::remaining) as u64;
                self.due = self.due.map(|due| due.saturating_sub(bytes));
            }
            Some(Err(_)) | None => self.body = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        if let (Some(0), Some(body), Some(remains)) =
            (self.due, self.body.take(), self.remains.take())
        {
            // A guest that has ended needs nobody to read.
            let _ = remains.send(body);
        }
    }
}

/// What comes after a delivery.
pub(crate) struct Afterwards(oneshot::Receiver<HyperOutgoingBody>);

impl Afterwards {
    /// Returns when a request has had its time: `limit` until its answer begins, and `limit` again
    /// once the answer is delivered or its client is gone.
    pub(crate) async fn expired(self, limit: Duration, answered: &AtomicBool) {
        let mut delivered = pin!(self.0);
        let remains = tokio::select! {
            remains = &mut delivered => remains,
            () = sleep(limit) => {
                if !answered.load(Ordering::Acquire) {
                    return;
                }
                delivered.await
            }
        };
        let reading = async {
            if let Ok(mut body) = remains {
                while let Some(Ok(_)) = body.frame().await {}
            }
            std::future::pending::<()>().await;
        };
        // The time being over is the only way for this to end.
        let _ = timeout(limit, reading).await;
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::channel::Channel;

    use super::*;

    fn body()
    -> (http_body_util::channel::Sender<Bytes, wasmtime_wasi_http::Error>, HyperOutgoingBody) {
        let (sender, body) = Channel::new(1);
        (sender, body.boxed_unsync())
    }

    fn response(length: Option<u64>, body: HyperOutgoingBody) -> Response<HyperOutgoingBody> {
        let mut response = Response::new(body);
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        response
    }

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_guest_may_write_on_after_its_client_has_everything() {
        let (delivery, afterwards) = delivery();
        let (mut guest, body) = body();
        let mut answer = delivery.of(&Method::GET).of_response(response(Some(5), body)).into_body();
        guest.send_data(Bytes::from("hello")).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        drop(answer);
        let sent = AtomicBool::new(true);
        let writing = async {
            for _ in 0..100 {
                guest.send_data(Bytes::from("more")).await.unwrap();
            }
        };
        tokio::select! {
            () = afterwards.expired(LIMIT, &sent) => panic!("its time is not over"),
            () = writing => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_of_a_head_is_read_by_nobody_and_harms_nobody() {
        let (delivery, afterwards) = delivery();
        let (mut guest, body) = body();
        drop(delivery.of(&Method::HEAD).of_response(response(None, body)));
        let sent = AtomicBool::new(true);
        let writing = async {
            for _ in 0..100 {
                guest.send_data(Bytes::from("more")).await.unwrap();
            }
        };
        tokio::select! {
            () = afterwards.expired(LIMIT, &sent) => panic!("its time is not over"),
            () = writing => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_is_noticed() {
        let (delivery, afterwards) = delivery();
        let (mut guest, body) = body();
        drop(delivery.of(&Method::GET).of_response(response(Some(5), body)));
        assert!(guest.send_data(Bytes::from("hello")).await.is_err());
        let begun = tokio::time::Instant::now();
        afterwards.expired(LIMIT, &AtomicBool::new(true)).await;
        assert_eq!(begun.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_must_begin_in_time_and_may_then_take_any_time() {
        let (waiting, afterwards) = delivery();
        let begun = tokio::time::Instant::now();
        afterwards.expired(LIMIT, &AtomicBool::new(false)).await;
        assert_eq!(begun.elapsed(), LIMIT);
        drop(waiting);

        let (delivering, afterwards) = delivery();
        let sent = AtomicBool::new(true);
        let expiry = timeout(10 * LIMIT, afterwards.expired(LIMIT, &sent)).await;
        assert!(expiry.is_err(), "it is being delivered");
        drop(delivering);
    }
}
