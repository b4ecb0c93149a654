//! One request: from its head to the instance being free again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::delivery::{Afterwards, Delivered, delivery};
use super::end_of_container;
use super::pool::{Pool, Worker};
use crate::container::Container;
use crate::failure;
use crate::instance::{Ended, ExitReason};
use crate::lock::lock;
use crate::spec::HttpSpec;

/// What a client gets: the guest's body, or a line of the host's.
pub(crate) type Answer = Response<Either<Delivered, Full<Bytes>>>;

/// Answers requests with the instances of a pool.
pub(crate) struct Handler {
    container: Arc<Container>,
    pool: Arc<Pool>,
    seats: Arc<Semaphore>,
    /// Room for those who wait for a seat.
    lobby: Semaphore,
    patience: Duration,
    requests: TaskTracker,
    cut: CancellationToken,
    /// Set when no request can be answered any more.
    over: Mutex<Option<Ended>>,
    is_over: Notify,
}

/// What there is to send to a client: the guest's answer, or a status of the host's own.
type Outcome = Result<Response<HyperOutgoingBody>, StatusCode>;

/// Where the answer goes, once.
#[derive(Clone)]
struct Reply(Arc<ReplyInner>);

struct ReplyInner {
    sender: Mutex<Option<oneshot::Sender<Outcome>>>,
    sent: AtomicBool,
}

impl Reply {
    fn new(sender: oneshot::Sender<Outcome>) -> Self {
        Self(Arc::new(ReplyInner {
            sender: Mutex::new(Some(sender)),
            sent: AtomicBool::new(false),
        }))
    }

    fn send(&self, answer: Outcome) {
        if let Some(sender) = lock(&self.0.sender).take() {
            self.0.sent.store(true, Ordering::Release);
            // A client that has gone away needs no answer.
            let _ = sender.send(answer);
        }
    }

    fn sent(&self) -> bool {
        self.0.sent.load(Ordering::Acquire)
    }
}

impl Handler {
    pub(crate) fn new(container: Arc<Container>, pool: Arc<Pool>, spec: &HttpSpec) -> Arc<Self> {
        // A budget is exact only if nobody else spends it meanwhile.
        let seats = if container.budget.is_some() { 1 } else { spec.max_instances.max(1) };
        Arc::new(Self {
            container,
            pool,
            seats: Arc::new(Semaphore::new(seats as usize)),
            lobby: Semaphore::new(spec.max_waiting as usize),
            patience: spec.request_timeout,
            requests: TaskTracker::new(),
            cut: CancellationToken::new(),
            over: Mutex::default(),
            is_over: Notify::new(),
        })
    }

    /// Returns when no further request can be answered.
    pub(crate) async fn over(&self) -> Ended {
        loop {
            let told = self.is_over.notified();
            if let Some(ended) = lock(&self.over).take() {
                return ended;
            }
            told.await;
        }
    }

    /// Returns when no request is in progress.
    pub(crate) async fn idle(&self) {
        self.requests.close();
        self.requests.wait().await;
        self.pool.clear();
    }

    /// Interrupts the requests in progress.
    pub(crate) async fn cut(&self) {
        self.cut.cancel();
        self.idle().await;
    }

    /// Answers one request.
    pub(crate) async fn answer(self: &Arc<Self>, mut request: Request<Incoming>) -> Answer {
        let Some(seat) = self.seat().await else {
            return own(StatusCode::SERVICE_UNAVAILABLE);
        };
        if request.uri().authority().is_none() && !request.headers().contains_key(header::HOST) {
            // HTTP/1.0 knows no Host; guests always see an authority.
            let host = HeaderValue::from_str(&self.container.interface.ip().to_string());
            request.headers_mut().extend(host.ok().map(|host| (header::HOST, host)));
        }
        let (reply, replied) = oneshot::channel();
        let (delivery, afterwards) = delivery();
        let delivery = delivery.of(request.method());
        let work = self.clone().work(request, Reply::new(reply), afterwards);
        let cut = self.cut.clone();
        self.requests.spawn(async move {
            let _seat = seat;
            // Dropping the work ends its instance.
            cut.run_until_cancelled(work).await;
        });
        match replied.await {
            Ok(Ok(response)) => delivery.of_response(response).map(Either::Left),
            Ok(Err(status)) => own(status),
            Err(_) => own(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    async fn seat(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(seat) = self.seats.clone().try_acquire_owned() {
            return Some(seat);
        }
        let _place = self.lobby.try_acquire().ok()?;
        timeout(self.patience, self.seats.clone().acquire_owned()).await.ok()?.ok()
    }

    async fn work(
        self: Arc<Self>,
        request: Request<Incoming>,
        reply: Reply,
        afterwards: Afterwards,
    ) {
        let mut worker = match timeout(self.patience, self.pool.take()).await {
            Ok(Ok(worker)) => worker,
            Ok(Err(error)) => return self.failed(&error, &reply).await,
            Err(_) => return self.given_up(StatusCode::SERVICE_UNAVAILABLE, &reply).await,
        };
        self.container.meter.request();
        let called = {
            let call = self.call(&mut worker, request, reply.clone());
            tokio::select! {
                biased;
                called = call => Some(called),
                () = afterwards.expired(self.patience, &reply.0.sent) => None,
            }
        };
        self.pool.settle(&mut worker.store);
        match called {
            Some(Ok(())) if reply.sent() => self.pool.give_back(worker),
            Some(Ok(())) => {
                let error = wasmtime::Error::msg("the handler returned without an answer");
                self.failed(&error, &reply).await;
            }
            Some(Err(error)) => {
                // Its memory is free before the client hears of it.
                drop(worker);
                self.failed(&error, &reply).await;
            }
            None => {
                drop(worker);
                self.given_up(StatusCode::GATEWAY_TIMEOUT, &reply).await;
            }
        }
    }

    async fn call(
        &self,
        worker: &mut Worker,
        request: Request<Incoming>,
        reply: Reply,
    ) -> wasmtime::Result<()> {
        let counter = worker.store.counter();
        let store = &mut worker.store.store;
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let guest = self.container.clone();
        let outparam =
            store.data_mut().http().new_response_outparam_from_callback(move |answer| {
                reply.send(answer.map_err(|code| {
                    tracing::debug!(
                        guest = guest.name,
                        ?code,
                        "the handler answered with an error"
                    );
                    guest.meter.failure();
                    StatusCode::INTERNAL_SERVER_ERROR
                }));
            })?;
        let handler = worker.proxy.wasi_http_incoming_handler();
        self.container.run(counter, handler.call_handle(store, request, outparam)).await
    }

    /// The guest failed: the client gets a 500, the guest's owner the reason.
    async fn failed(&self, error: &wasmtime::Error, reply: &Reply) {
        let ended = failure::ended(error);
        if ended.reason == ExitReason::OomKilled {
            self.container.meter.oom_kill();
        }
        self.container.meter.failure();
        reply.send(Err(StatusCode::INTERNAL_SERVER_ERROR));
        if let Some(ended) = end_of_container(error) {
            *lock(&self.over) = Some(ended);
            self.is_over.notify_one();
        }
        let text = ended.message.unwrap_or_else(|| format!("exit with code {}", ended.code));
        tracing::debug!(guest = self.container.name, text, "request failed");
        self.container.console.report(&text).await;
    }

    /// The guest, or a place for it, took too long.
    async fn given_up(&self, status: StatusCode, reply: &Reply) {
        self.container.meter.failure();
        reply.send(Err(status));
        let text = format!("request given up after {} s", self.patience.as_secs());
        self.container.console.report(&text).await;
    }
}

/// The host's own answer.
fn own(status: StatusCode) -> Answer {
    let text = format!("{status}\n");
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response
}
