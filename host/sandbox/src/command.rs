//! Guests that run once from beginning to end: `wasi:cli/run` components and preview-1 modules.

use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::sync::oneshot;
use wasmtime::{InstancePre, PoolConcurrencyLimitError};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::StartError;
use crate::capabilities::Guest;
use crate::container::{Container, CoreGuest};
use crate::failure;
use crate::instance::Ended;

/// Tells the starter whether the guest has come up.
pub(crate) type Started = oneshot::Sender<Result<(), StartError>>;

/// The error is an end before the guest's entry point; none if the guest did not even start.
pub(crate) type Result<T, E = Option<Ended>> = std::result::Result<T, E>;

/// Runs a core module's `_start` to its end. It cannot hear of stops.
pub(crate) async fn core(
    container: &Container,
    pre: &InstancePre<CoreGuest>,
    started: Started,
) -> Result<Ended> {
    let hears = false;
    let (mut store, started) = or_refuse(container.core_store(), started)?;
    let counter = store.counter();
    let instance = {
        let up = pin!(container.run(counter.clone(), pre.instantiate_async(&mut store.store)));
        bring_up(container, up, hears, started).await?
    };
    let entry = async {
        let start = instance.get_typed_func::<(), ()>(&mut store.store, "_start")?;
        start.call_async(&mut store.store, ()).await
    };
    let mut stop = container.stop.clone();
    Ok(tokio::select! {
        biased;
        ended = stop.interrupted(hears) => ended,
        result = container.run(counter, entry) => match result {
            Ok(()) => Ended::with_code(0),
            Err(error) => failure::ended(&error),
        },
    })
}

/// Runs a component's `wasi:cli/run` to its end.
pub(crate) async fn component(
    container: &Container,
    pre: &CommandPre<Guest>,
    hears: bool,
    started: Started,
) -> Result<Ended> {
    let (mut store, started) = or_refuse(container.component_store(), started)?;
    let counter = store.counter();
    let command = {
        let up = pin!(container.run(counter.clone(), pre.instantiate_async(&mut store.store)));
        bring_up(container, up, hears, started).await?
    };
    let entry = command.wasi_cli_run().call_run(&mut store.store);
    let mut stop = container.stop.clone();
    Ok(tokio::select! {
        biased;
        ended = stop.interrupted(hears) => ended,
        result = container.run(counter, entry) => match result {
            Ok(Ok(())) => Ended::with_code(0),
            Ok(Err(())) => Ended::with_code(1),
            Err(error) => failure::ended(&error),
        },
    })
}

/// Hands an error to the starter.
pub(crate) fn or_refuse<T>(
    result: std::result::Result<T, StartError>,
    started: Started,
) -> Result<(T, Started)> {
    match result {
        Ok(value) => Ok((value, started)),
        Err(error) => {
            // A starter that has gone away needs no answer.
            let _ = started.send(Err(error));
            Err(None)
        }
    }
}

/// Instantiates. The guest has started when that is done, or when it turns out to execute code of
/// the guest's, which may take any time and fail in any way; what fails before is the host's.
pub(crate) async fn bring_up<I>(
    container: &Container,
    mut instantiation: Pin<&mut impl Future<Output = wasmtime::Result<I>>>,
    hears: bool,
    started: Started,
) -> Result<I> {
    let first = futures::poll!(instantiation.as_mut());
    if let Poll::Ready(Err(error)) = &first
        && !failure::of_guest(error)
    {
        return or_refuse(Err(start_error(error)), started).map(|(instance, _)| instance);
    }
    let _ = started.send(Ok(()));
    let instantiated = match first {
        Poll::Ready(instantiated) => instantiated,
        Poll::Pending => {
            let mut stop = container.stop.clone();
            tokio::select! {
                biased;
                ended = stop.interrupted(hears) => return Err(Some(ended)),
                instantiated = instantiation => instantiated,
            }
        }
    };
    instantiated.map_err(|error| Some(failure::ended(&error)))
}

/// What kept an instance from coming up.
pub(crate) fn start_error(error: &wasmtime::Error) -> StartError {
    match error.is::<PoolConcurrencyLimitError>() {
        true => StartError::Capacity(error.root_cause().to_string()),
        false => StartError::Instantiate(format!("{error:#}")),
    }
}
