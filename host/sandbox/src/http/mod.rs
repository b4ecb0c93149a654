//! HTTP handlers: requests that arrive at the guest's address are answered by instances of it.
//!
//! `serve` accepts connections, `handler` answers a request, `delivery` sees its answer off, `pool`
//! keeps the instances. A request
//! that fails, whatever way, costs its instance and nothing else.

mod delivery;
mod handler;
mod pool;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use coracle_network::{Listener, Stream};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::capabilities::Guest;
use crate::command::{Started, bring_up, or_refuse};
use crate::container::Container;
use crate::instance::{Ended, ExitReason};
use crate::spec::HttpSpec;
use crate::{StartError, failure};
use handler::Handler;
use pool::Pool;

/// How long a client may take to send a request's head, or to send the next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long answers may still take to be delivered when there will be no others.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes that a connection buffers in each direction.
const BUFFER: usize = 64 * 1024;

/// Serves a handler until it is stopped.
pub(crate) async fn serve(
    container: &Arc<Container>,
    pre: &ProxyPre<Guest>,
    spec: HttpSpec,
    started: Started,
) -> Result<Ended, Option<Ended>> {
    let port = spec.port;
    let listening =
        container.interface.listen(port).map_err(|source| StartError::Listen { port, source });
    let (listener, started) = or_refuse(listening, started)?;
    let pool = Pool::new(container.clone(), pre.clone(), &spec);

    // One instance comes up before the guest counts as started, to see that it can.
    let (mut store, started) = or_refuse(container.component_store(), started)?;
    let proxy = {
        let counter = store.counter();
        let up = pre.instantiate_async(&mut store.store);
        let up = pin!(container.run(counter, up));
        bring_up(container, up, true, started).await?
    };
    pool.adopt(store, proxy);

    let handler = Handler::new(container.clone(), pool.clone(), &spec);
    let mut server = Server {
        handler: handler.clone(),
        connections: JoinSet::new(),
        closing: CancellationToken::new(),
    };
    let mut stop = container.stop.clone();
    let over = tokio::select! {
        biased;
        () = stop.asked() => None,
        ended = handler.over() => Some(ended),
        ended = server.accept(listener, &spec) => Some(ended),
        () = pool.shrink() => None,
    };
    // New connections are refused from here on, and those that are open close after the answer
    // that they are waiting for.
    server.closing.cancel();
    let ended = match over {
        Some(ended) => {
            // Nothing further will be answered; what has been is let go.
            let _ = timeout(FAREWELL, server.closed()).await;
            ended
        }
        None => tokio::select! {
            biased;
            ended = stop.interrupted(true) => ended,
            ended = handler.over() => ended,
            () = server.closed() => Ended::with_code(0),
        },
    };
    server.connections.shutdown().await;
    handler.cut().await;
    Ok(ended)
}

/// The connections of one handler.
struct Server {
    handler: Arc<Handler>,
    connections: JoinSet<()>,
    closing: CancellationToken,
}

impl Server {
    /// Accepts connections for as long as the guest has an address.
    async fn accept(&mut self, mut listener: Listener, spec: &HttpSpec) -> Ended {
        let permits = Arc::new(Semaphore::new(spec.max_connections.max(1) as usize));
        loop {
            let accepting = async {
                let permit = permits.clone().acquire_owned().await;
                (permit, listener.accept().await)
            };
            tokio::select! {
                (permit, accepted) = accepting => match accepted {
                    Ok(accepted) => {
                        let (handler, closing) = (self.handler.clone(), self.closing.clone());
                        let serving = connection(handler, accepted.stream, closing);
                        self.connections.spawn(async move {
                            let _permit = permit;
                            serving.await;
                        });
                    }
                    Err(error) => {
                        let message = Some(error.to_string());
                        return Ended { code: 137, reason: ExitReason::Stopped, message };
                    }
                },
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    /// Returns when every connection is closed and every request is done.
    async fn closed(&mut self) {
        while self.connections.join_next().await.is_some() {}
        self.handler.idle().await;
    }
}

async fn connection(handler: Arc<Handler>, stream: Stream, closing: CancellationToken) {
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, std::convert::Infallible>(handler.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // The client's doing: it went away or did not speak HTTP.
        tracing::trace!(%error, "connection failed");
    }
}

/// What `error` did to the container, beyond the request.
fn end_of_container(error: &wasmtime::Error) -> Option<Ended> {
    let ended = failure::ended(error);
    (ended.reason == ExitReason::FuelExhausted).then_some(ended)
}
