//! The expressions of webhooks and policies, compiled: their variables, what they must come to,
//! and what is wrong with them. Follows `k8s.io/apiserver/pkg/admission/plugin`. Evaluates nothing.

mod expressions;
mod mutating;
mod typecheck;
mod validating;

pub use expressions::{Conditions, Expression, Variables, env};
pub use mutating::{Mutation, Mutations};
pub use typecheck::warnings;
pub use validating::{Rule, Validations};
