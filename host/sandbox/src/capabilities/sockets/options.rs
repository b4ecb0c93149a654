//! Socket options. Connections in memory neither die unnoticed nor pass routers, so the options
//! are kept and answered but change nothing.

use std::time::Duration;

use coracle_network::PIPE_CAPACITY;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// The options of one socket; accepted sockets inherit their listener's.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) keep_alive: bool,
    pub(super) keep_alive_idle: u64,
    pub(super) keep_alive_interval: u64,
    pub(super) keep_alive_count: u32,
    pub(super) hop_limit: u8,
    pub(super) receive_buffer: u64,
    pub(super) send_buffer: u64,
}

impl Default for Options {
    /// Linux' defaults.
    fn default() -> Self {
        Self {
            keep_alive: false,
            keep_alive_idle: nanoseconds(7200),
            keep_alive_interval: nanoseconds(75),
            keep_alive_count: 9,
            hop_limit: 64,
            receive_buffer: PIPE_CAPACITY as u64,
            send_buffer: PIPE_CAPACITY as u64,
        }
    }
}

fn nanoseconds(seconds: u64) -> u64 {
    u64::try_from(Duration::from_secs(seconds).as_nanos()).unwrap_or(u64::MAX)
}

/// Every option but `keep_alive` refuses zero.
pub(super) fn set<T: Default + PartialEq>(option: &mut T, value: T) -> Result<(), ErrorCode> {
    if value == T::default() {
        return Err(ErrorCode::InvalidArgument);
    }
    *option = value;
    Ok(())
}
