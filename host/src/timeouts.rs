//! Every time limit of the program's rim, one line each.

use std::time::Duration;

/// A client has this long to finish its TLS handshake.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// A client has this long to send a request's headers.
pub const HEADER_READ: Duration = Duration::from_secs(30);
/// The pause after a failed accept.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Requests under way have this long to end at shutdown.
pub const CONNECTION_DRAIN: Duration = Duration::from_secs(5);
/// Pods have this long to end at shutdown, whatever grace they ask for.
pub const POD_DRAIN: Duration = Duration::from_secs(10);
