//! Evaluation costs, counted in Kubernetes' units, so that no expression runs for long.

use crate::error::EvalError;

/// What a single evaluation may cost.
pub const CALL_LIMIT: u64 = 1_000_000;
/// What all expressions over one object may cost together.
pub const RUNTIME_LIMIT: u64 = 10_000_000;
/// What the match conditions of one policy or webhook may cost together.
pub const MATCH_LIMIT: u64 = 2_500_000;

/// What is left for evaluations that share a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    remaining: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(RUNTIME_LIMIT)
    }
}

impl Budget {
    /// A budget of that many units.
    pub const fn new(units: u64) -> Self {
        Self { remaining: units }
    }

    /// The units left.
    pub const fn remaining(self) -> u64 {
        self.remaining
    }

    /// Takes units away without evaluating; fails if there are not that many.
    pub fn spend(&mut self, units: u64) -> Result<(), EvalError> {
        let left = self.remaining.checked_sub(units);
        self.remaining = left.unwrap_or(0);
        left.map(drop).ok_or(EvalError::BudgetSpent)
    }
}

/// The cost of one evaluation while it runs.
#[derive(Debug)]
pub(crate) struct Meter {
    spent: u64,
    limit: u64,
    /// Visits of equality and its like, of which ten cost a unit.
    visits: u64,
}

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { spent: 0, limit: CALL_LIMIT.min(budget.remaining), visits: 0 }
    }

    pub(crate) fn charge(&mut self, units: u64) -> Result<(), EvalError> {
        self.spent = self.spent.saturating_add(units);
        if self.spent <= self.limit {
            return Ok(());
        }
        let own = self.limit == CALL_LIMIT;
        Err(if own { EvalError::CallLimit } else { EvalError::BudgetSpent })
    }

    /// Charges for looking at `size` parts of a value.
    pub(crate) fn visit(&mut self, size: usize) -> Result<(), EvalError> {
        self.visits += size as u64;
        let units = self.visits / 10;
        self.visits %= 10;
        self.charge(units)
    }

    pub(crate) fn settle(&self, budget: &mut Budget) {
        budget.remaining = budget.remaining.saturating_sub(self.spent);
    }
}

/// The cost of passing over `size` characters or elements: a tenth each, rounded up.
pub(crate) fn traversal(size: usize) -> u64 {
    (size as u64).div_ceil(10)
}
