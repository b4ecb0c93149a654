//! How full a node would be.

use super::BEST;
use crate::cluster::Place;
use crate::cycle::Cycle;

/// CPU and memory: what would be taken, and all there is.
fn taken(cycle: &Cycle<'_>, place: &Place<'_>) -> [(i64, i64); 2] {
    let (cpu, memory) = cycle.pod.info.requests.scored();
    let all = &place.facts.allocatable;
    [(place.info.scored.0 + cpu, all.cpu), (place.info.scored.1 + memory, all.memory)]
}

/// The emptier, the better.
pub(super) fn least(cycle: &Cycle<'_>, places: &[Place<'_>]) -> Vec<i64> {
    let free = |(taken, all): (i64, i64)| {
        if all <= 0 || taken > all { 0 } else { part(all - taken, all) }
    };
    places.iter().map(|place| taken(cycle, place).map(free).iter().sum::<i64>() / 2).collect()
}

/// The more alike the parts of CPU and memory taken, the better.
pub(super) fn balanced(cycle: &Cycle<'_>, places: &[Place<'_>]) -> Vec<i64> {
    let used = |(taken, all): (i64, i64)| if all <= 0 { BEST } else { part(taken, all).min(BEST) };
    let score = |place: &Place<'_>| {
        let [cpu, memory] = taken(cycle, place).map(used);
        BEST - (cpu - memory).abs() / 2
    };
    places.iter().map(score).collect()
}

/// `part` of `all` in hundredths.
fn part(part: i64, all: i64) -> i64 {
    let hundredths = i128::from(part) * i128::from(BEST) / i128::from(all);
    i64::try_from(hundredths).unwrap_or(BEST)
}
