//! HTTP handlers: requests that arrive at the guest's address are answered by instances of it.
//!
//! `serve` accepts connections, `handler` answers a request, `pool` keeps the instances. A request
//! that fails, whatever way, costs its instance and nothing else.

mod handler;
mod pool;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use coracle_network::Stream;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::capabilities::Guest;
use crate::command::{Started, bring_up, or_refuse};
use crate::container::Container;
use crate::instance::{Ended, ExitReason};
use crate::spec::HttpSpec;
use crate::stop::Stop;
use crate::{StartError, failure};
use handler::Handler;
use pool::Pool;

/// How long a client may take to send a request's head, or to send the next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that a connection buffers in each direction.
const BUFFER: usize = 64 * 1024;

/// Serves a handler until it is stopped; none if it did not start.
pub(crate) async fn serve(
    container: &Arc<Container>,
    pre: &ProxyPre<Guest>,
    spec: HttpSpec,
    started: Started,
) -> Option<Ended> {
    serve_or_refuse(container, pre, spec, started).await.map_or_else(|early| early, Some)
}

async fn serve_or_refuse(
    container: &Arc<Container>,
    pre: &ProxyPre<Guest>,
    spec: HttpSpec,
    started: Started,
) -> Result<Ended, Option<Ended>> {
    let port = spec.port;
    let listening =
        container.interface.listen(port).map_err(|source| StartError::Listen { port, source });
    let (mut listener, started) = or_refuse(listening, started)?;
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

    let permits = Arc::new(Semaphore::new(spec.max_connections.max(1) as usize));
    let handler = Handler::new(container.clone(), pool.clone(), &spec);
    let mut connections = JoinSet::new();
    let mut stop = container.stop.clone();
    let mut shrinking = pin!(pool.shrink());
    loop {
        let accepting = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = stop.asked() => break,
            ended = handler.over() => return Ok(ended),
            () = &mut shrinking => {}
            Some(_) = connections.join_next() => {}
            accepted = accepting => match accepted {
                (Ok(permit), Ok(accepted)) => {
                    let (handler, stop) = (handler.clone(), stop.clone());
                    connections.spawn(connection(handler, accepted.stream, stop, permit));
                }
                (_, Err(error)) => {
                    let message = Some(error.to_string());
                    return Ok(Ended { code: 137, reason: ExitReason::Stopped, message });
                }
                (Err(_), _) => break,
            },
        }
    }

    // New connections are refused from here on; what was accepted is answered within the grace.
    drop(listener);
    let mut overdue = stop.clone();
    let ended = tokio::select! {
        biased;
        ended = overdue.interrupted(true) => ended,
        ended = handler.over() => ended,
        () = async {
            while connections.join_next().await.is_some() {}
            handler.idle().await;
        } => Ended::with_code(0),
    };
    connections.shutdown().await;
    handler.cut().await;
    Ok(ended)
}

async fn connection(
    handler: Arc<Handler>,
    stream: Stream,
    mut stop: Stop,
    _permit: OwnedSemaphorePermit,
) {
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
        () = stop.asked() => {
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
