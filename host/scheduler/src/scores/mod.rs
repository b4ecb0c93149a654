//! Scores: which of the nodes that can take a pod is the best. Each score is from 0 to 100 a node and
//! counts by its weight; equals are decided by the dice. One line a score.

mod allocation;
mod preferences;
mod spreading;

use crate::cluster::Place;
use crate::cycle::Cycle;

/// The best score.
pub(crate) const BEST: i64 = 100;

pub(crate) struct Score {
    pub(crate) weight: i64,
    /// One score for each of the nodes.
    pub(crate) of: fn(&Cycle<'_>, &[Place<'_>]) -> Vec<i64>,
}

/// All scores.
pub(crate) const SCORES: &[Score] = &[
    Score { weight: 3, of: preferences::taints },
    Score { weight: 2, of: preferences::affinity },
    Score { weight: 1, of: allocation::least },
    Score { weight: 1, of: allocation::balanced },
    Score { weight: 2, of: spreading::constraints },
    Score { weight: 2, of: spreading::siblings },
    Score { weight: 2, of: preferences::neighbours },
];

/// Scales to 0..=100 by the highest; `reverse` makes the highest the worst.
pub(super) fn normalize(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if highest <= 0 { 0 } else { *score * BEST / highest };
        *score = if reverse { BEST - scaled } else { scaled };
    }
}
