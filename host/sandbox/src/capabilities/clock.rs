//! `wasi:clocks`: guests see the cluster's time.

use std::time::Duration;

use coracle_api::clock;
use wasmtime_wasi::HostWallClock;

/// The wall clock that guests read.
pub(crate) struct WallClock;

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::try_from(clock::now().as_duration()).unwrap_or_default()
    }
}
