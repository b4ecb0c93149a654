//! Processor time: how much a container may have, and how much of it at a turn.
//!
//! A limit is a token bucket of processor time, charged with the time that guests spend being
//! polled; a container in debt is not polled until the debt is earned back. As with the kernel's
//! bandwidth control, what is not used within 100 ms is lost.
//!
//! Weights are the length of a turn. The runtime lets runnable guests take turns, so two guests
//! that never pause share a thread in the proportion of their turns.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;
use crate::spec::{CpuShare, Limits};

/// What may be saved up: this long at full rate.
const BURST: Duration = Duration::from_millis(100);
/// A container that has been in debt goes on when it has earned this long at full rate, so that
/// pausing does not cost more than the guest's own work.
const HEADWAY: Duration = Duration::from_millis(5);
/// A turn by weight: this much for each thousandth of a processor requested ...
const TURN_PER_MILLI: Duration = Duration::from_micros(5);
/// ... but not shorter ...
const SHORTEST_TURN: Duration = Duration::from_micros(100);
/// ... and not longer.
const LONGEST_TURN: Duration = Duration::from_millis(5);

/// The processor time of one container, shared by all its instances.
#[derive(Debug)]
pub(crate) struct Cpu {
    bucket: Option<Bucket>,
    turn: Duration,
}

impl Cpu {
    pub(crate) fn new(limits: &Limits) -> Self {
        let turn = TURN_PER_MILLI.saturating_mul(limits.cpu_weight);
        Self { bucket: limits.cpu.map(Bucket::new), turn: turn.clamp(SHORTEST_TURN, LONGEST_TURN) }
    }

    /// How long a guest may run before others have their turn.
    pub(crate) fn turn(&self) -> Duration {
        self.turn
    }

    /// Takes `spent` off the container's share; how long to pause if that left it in debt.
    pub(crate) fn charge(&self, spent: Duration, now: Instant) -> Option<Duration> {
        self.bucket.as_ref()?.charge(spent, now)
    }
}

#[derive(Debug)]
struct Bucket {
    /// Processors per time.
    rate: f64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// Seconds of processor time; negative: debt.
    seconds: f64,
    at: Option<Instant>,
}

impl Bucket {
    fn new(share: CpuShare) -> Self {
        let rate = f64::from(share.millis.max(1)) / 1000.0;
        let level = Level { seconds: BURST.as_secs_f64() * rate, at: None };
        Self { rate, level: Mutex::new(level) }
    }

    fn charge(&self, spent: Duration, now: Instant) -> Option<Duration> {
        let mut level = lock(&self.level);
        let since = level.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        level.at = Some(level.at.map_or(now, |at| at.max(now)));
        let earned = level.seconds + since.as_secs_f64() * self.rate;
        // Saved time is cut before the charge, not after it: a long poll has been earning as well.
        level.seconds = earned.min(BURST.as_secs_f64() * self.rate) - spent.as_secs_f64();
        (level.seconds < 0.0).then(|| Duration::from_secs_f64(-level.seconds / self.rate) + HEADWAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a guest that always wants to run, in polls of `poll`, for `total`; its share.
    fn share_of(millis: u32, poll: Duration, total: Duration) -> f64 {
        let bucket = Bucket::new(CpuShare { millis });
        let begun = Instant::now();
        let mut now = begun;
        let mut spent = Duration::ZERO;
        while now - begun < total {
            now += poll;
            spent += poll;
            if let Some(pause) = bucket.charge(poll, now) {
                // Timers have a granularity of a millisecond and are late.
                now += pause + Duration::from_millis(1);
            }
        }
        spent.as_secs_f64() / (now - begun).as_secs_f64()
    }

    #[test]
    fn the_share_holds_for_every_length_of_poll() {
        for millis in [10, 50, 100, 250, 500, 900] {
            for micros in [30, 300, 1000, 5000] {
                let share =
                    share_of(millis, Duration::from_micros(micros), Duration::from_secs(60));
                let wanted = f64::from(millis) / 1000.0;
                assert!((share / wanted - 1.0).abs() < 0.02, "{millis}m at {micros} us: {share}");
            }
        }
    }

    #[test]
    fn a_guest_within_its_share_is_never_paused() {
        let bucket = Bucket::new(CpuShare { millis: 200 });
        let mut now = Instant::now();
        for _ in 0..10_000 {
            now += Duration::from_millis(10);
            assert_eq!(bucket.charge(Duration::from_millis(1), now), None);
        }
    }

    #[test]
    fn idling_saves_up_no_more_than_the_burst() {
        let bucket = Bucket::new(CpuShare { millis: 100 });
        let now = Instant::now();
        assert_eq!(bucket.charge(Duration::ZERO, now), None);
        let later = now + Duration::from_secs(3600);
        assert_eq!(bucket.charge(Duration::from_millis(10), later), None);
        assert!(bucket.charge(Duration::from_millis(1), later).is_some());
    }

    #[test]
    fn turns_follow_weights_within_bounds() {
        let turn = |cpu_weight| Cpu::new(&Limits { cpu_weight, ..Limits::default() }).turn();
        assert_eq!(turn(0), SHORTEST_TURN);
        assert_eq!(turn(500), turn(250) * 2);
        assert_eq!(turn(64_000), LONGEST_TURN);
    }
}
