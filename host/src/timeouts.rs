//! Every time limit of the program's rim, one line each.

use std::time::Duration;

/// A client has this long to finish its TLS handshake.
pub(crate) const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// A client has this long to send a request's headers.
pub(crate) const HEADER_READ: Duration = Duration::from_secs(30);
/// What is left of an answered request's body is read for this long.
pub(crate) const UNREAD_BODY: Duration = Duration::from_secs(30);
/// The pause after a failed accept.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Requests under way have this long to end at shutdown.
pub(crate) const CONNECTION_DRAIN: Duration = Duration::from_secs(5);
/// Pods have this long to end at shutdown, whatever grace they ask for.
pub(crate) const POD_DRAIN: Duration = Duration::from_secs(10);
/// Controllers, scheduler and proxies have this long to end.
pub(crate) const CONTROL_STOP: Duration = Duration::from_secs(10);
/// How often it is seen to that the objects every cluster has are there.
pub(crate) const BOOTSTRAP: Duration = Duration::from_secs(10);
/// A node of this process must be Ready within this time of its start.
pub(crate) const NODE_READY: Duration = Duration::from_secs(30);
/// How often unused images are looked for.
pub(crate) const IMAGE_COLLECTION: Duration = Duration::from_secs(3600);
/// How long an unused image is kept, for pushes whose Module is still to come.
pub(crate) const IMAGE_GRACE: Duration = Duration::from_secs(3600);
/// What a pod's own grace is cut to at shutdown.
pub(crate) const POD_GRACE: Duration = Duration::from_secs(5);
