//! Kubernetes' Common Expression Language: an expression is parsed, checked against the types of
//! its variables, and evaluated over JSON within a budget of cost.
//!
//! ```
//! use coracle_cel::{Activation, Budget, Env, Type, Value};
//! let env = Env::new().variable("self", Type::Dyn);
//! let program = env.compile("self.replicas <= 5", &[Type::Bool]).unwrap();
//! let object = serde_json::json!({ "replicas": 3 });
//! let activation = Activation::new().bind("self", Value::json(&object));
//! let answer = program.evaluate(&activation, &mut Budget::default()).unwrap();
//! assert!(matches!(answer, Value::Bool(true)));
//! ```
//!
//! `syntax` makes a tree of text, `check` resolves its names and overloads and finds its type,
//! `evaluate` walks what `check` made; `functions` are the libraries, one file each, and `value`
//! is what expressions compute with. The language is Kubernetes' own dialect: existing
//! interpreters in Rust neither check types nor bound evaluation, which are the two things that
//! an API server cannot do without, so this is one of our own. Pure: no I/O, no clock; knows
//! nothing of requests or kinds.

mod activation;
mod ast;
mod budget;
mod check;
mod declaration;
mod env;
mod error;
mod escape;
mod evaluate;
mod functions;
mod program;
mod schema;
mod syntax;
mod value;

#[cfg(test)]
mod tests;

pub use activation::Activation;
pub use budget::{Budget, CALL_LIMIT, MATCH_LIMIT, RUNTIME_LIMIT};
pub use declaration::{Field, ListType, Merge, ObjectType, Type};
pub use env::Env;
pub use error::{CompileError, EvalError, Fault};
pub use escape::{escape, unescape};
pub use functions::authorizer::{Authorizer, Check, Decision};
pub use functions::regex::compile as regex;
pub use program::Program;
pub use value::{Text, Value};
