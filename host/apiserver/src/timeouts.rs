//! Every period of this room.

use std::time::Duration;

/// How long a request other than a watch or a log may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(60);

/// How often a quiet watch that asked for bookmarks gets one.
pub(crate) const BOOKMARK: Duration = Duration::from_secs(60);

/// How long a watch lives at least if its caller does not say; a random part as long is added, so
/// that watches do not end all at once.
pub(crate) const WATCH_MINIMUM: Duration = Duration::from_secs(30 * 60);

/// How long an Event outlives its last change.
pub(crate) const EVENT_LIFE: Duration = Duration::from_secs(60 * 60);

/// How often outlived Events are looked for.
pub(crate) const EVENT_SWEEP: Duration = Duration::from_secs(60);

/// When custom resource definitions are looked at again that could not be settled.
pub(crate) const DEFINITIONS_RETRY: Duration = Duration::from_secs(1);

/// How long a request waits for its turn at most.
pub(crate) const QUEUE: Duration = Duration::from_secs(15);

/// How long a webhook may take to convert objects.
pub(crate) const CONVERSION: Duration = Duration::from_secs(30);

/// When a caller that met a full server shall try again, in seconds.
pub(crate) const RETRY_AFTER: u32 = 1;

/// How long a webhook that does not say may take.
pub(crate) const WEBHOOK: Duration = Duration::from_secs(10);

/// When what the aggregator follows is followed again that could not be.
pub(crate) const AGGREGATOR_RETRY: Duration = Duration::from_secs(1);

/// How long an extension API server may take to say that it is there, or what it serves.
pub(crate) const EXTENSION: Duration = Duration::from_secs(5);

/// How long it may take to describe what it serves, which is much.
pub(crate) const OPENAPI: Duration = Duration::from_secs(30);

/// How often an extension is looked at of which nothing was heard.
pub(crate) const EXTENSION_RESYNC: Duration = Duration::from_secs(30);

/// How soon an extension is looked at again that did not answer; twice as late each time.
pub(crate) const EXTENSION_RETRY: Duration = Duration::from_millis(50);
