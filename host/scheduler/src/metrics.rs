//! What the scheduler counts, under Kubernetes' names.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    queue: &'static str,
}

/// The scheduler's counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    attempts: Family<Outcome, Counter>,
    pending: Family<Place, Gauge>,
    pub(crate) scheduled: Counter,
    pub(crate) unschedulable: Counter,
    pub(crate) errors: Counter,
    places: [Gauge; 3],
}

impl Default for Metrics {
    fn default() -> Self {
        let attempts: Family<Outcome, Counter> = Family::default();
        let pending: Family<Place, Gauge> = Family::default();
        let result = |result| attempts.get_or_create_owned(&Outcome { result });
        Self {
            scheduled: result("scheduled"),
            unschedulable: result("unschedulable"),
            errors: result("error"),
            places: ["active", "backoff", "unschedulable"]
                .map(|queue| pending.get_or_create_owned(&Place { queue })),
            attempts,
            pending,
        }
    }
}

impl Metrics {
    /// Shows the counters in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "scheduler_schedule_attempts",
            "Number of attempts to schedule pods, by the result",
            self.attempts.clone(),
        );
        registry.register(
            "scheduler_pending_pods",
            "Number of pending pods, by the queue type",
            self.pending.clone(),
        );
    }

    pub(crate) fn lengths(&self, lengths: [usize; 3]) {
        for (gauge, length) in self.places.iter().zip(lengths) {
            gauge.set(i64::try_from(length).unwrap_or(i64::MAX));
        }
    }
}
