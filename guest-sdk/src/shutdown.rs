//! The host's request to end. A pod that is deleted, replaced or drained is asked first and ended
//! by force only when its grace period (`terminationGracePeriodSeconds`) is over.
//!
//! ```no_run
//! while !coracle_guest::shutdown::requested() {
//!     // a piece of work
//! }
//! ```

use crate::bindings::coracle::guest::shutdown as host;
use crate::wait::Readiness;

/// Whether the guest has been asked to end.
pub fn requested() -> bool {
    host::requested()
}

/// Ready from the moment the guest is asked to end: one more thing to [wait](crate::wait) for.
pub fn readiness() -> Readiness<'static> {
    Readiness::new(host::subscribe())
}

/// Returns when the guest is asked to end.
pub fn wait() {
    host::subscribe().block();
}
