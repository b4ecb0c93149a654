//! From HTTP to the store: the API server.
//!
//! A request passes the filters of [`chain`], finds its kind in the table of [`kinds`], and runs
//! one of the verbs in [`endpoints`], which are written once over `dyn Kind`. This room alone
//! touches the store; it imports `api` and `store` and nothing else of the house.

mod error;
mod kinds;
mod registry;

pub use error::{ApiError, Cause, CauseReason, Reason};
