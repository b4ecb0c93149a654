//! What can be wrong with an expression, and with its evaluation.

use std::fmt;

/// The stage at which an expression turned out to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is no expression, or does not fit the types of its variables.
    Invalid,
    /// It is right, but of another type than the caller wants.
    ResultType,
}

/// An expression that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// The stage.
    pub fault: Fault,
    /// The explanation, as Kubernetes words it: `compilation failed: ERROR: <input>:1:1: ...`.
    pub message: String,
}

/// One thing that is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    /// Byte offset in the expression.
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Issue {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// The issues of one expression, each with its line and a mark under its column.
pub(crate) fn report(source: &str, mut issues: Vec<Issue>) -> CompileError {
    issues.sort_by_key(|issue| issue.at);
    let shown: Vec<_> = issues.iter().map(|issue| Shown { source, issue }.to_string()).collect();
    let message = format!("compilation failed: {}", shown.join("\n"));
    CompileError { fault: Fault::Invalid, message }
}

struct Shown<'a> {
    source: &'a str,
    issue: &'a Issue,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.source.get(..self.issue.at).unwrap_or(self.source);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[start..].chars().count();
        let text = self.source[start..].lines().next().unwrap_or_default();
        let message = &self.issue.message;
        write!(f, "ERROR: <input>:{line}:{}: {message}", column + 1)?;
        write!(f, "\n | {text}\n | {}^", ".".repeat(column))
    }
}

/// An evaluation that came to no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The single evaluation costs more than one may.
    #[error("operation cancelled: actual cost limit exceeded")]
    CallLimit,
    /// The budget that several evaluations share is spent.
    #[error("operation cancelled: actual cost limit exceeded")]
    BudgetSpent,
    /// A function was given values that it is not for.
    #[error("no such overload")]
    NoSuchOverload,
    /// A field or key is not there.
    #[error("no such key: {0}")]
    NoSuchKey(String),
    /// A list is shorter.
    #[error("index out of bounds: {0}")]
    OutOfBounds(i128),
    /// Anything else, in its own words.
    #[error("{0}")]
    Failed(String),
}

impl EvalError {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// Whether something was looked for that is not there, which `has` and `?` ask about.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchKey(_) | Self::OutOfBounds(_))
    }

    /// Whether the evaluation was stopped for its cost, rather than went wrong.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::CallLimit | Self::BudgetSpent)
    }
}
