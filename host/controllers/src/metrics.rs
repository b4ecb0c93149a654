//! What this crate counts, under Kubernetes' names where it has one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    controller: &'static str,
    result: &'static str,
}

/// Counters of all controllers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    depth: Family<Name, Gauge>,
    adds: Family<Name, Counter>,
    retries: Family<Name, Counter>,
    reconciles: Family<Outcome, Counter>,
}

/// Counters of one queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueMetrics {
    pub(crate) depth: Gauge,
    pub(crate) adds: Counter,
    pub(crate) retries: Counter,
}

/// Counters of one controller's reconciles.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReconcileMetrics {
    pub(crate) success: Counter,
    pub(crate) error: Counter,
}

impl Metrics {
    /// Shows the counters in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("workqueue_depth", "Current depth of workqueue", self.depth.clone());
        registry.register(
            "workqueue_adds",
            "Total number of adds handled by workqueue",
            self.adds.clone(),
        );
        registry.register(
            "workqueue_retries",
            "Total number of retries handled by workqueue",
            self.retries.clone(),
        );
        registry.register(
            "controller_runtime_reconcile",
            "Total number of reconciliations per controller",
            self.reconciles.clone(),
        );
    }

    pub(crate) fn queue(&self, name: &'static str) -> QueueMetrics {
        let name = Name { name };
        QueueMetrics {
            depth: self.depth.get_or_create_owned(&name),
            adds: self.adds.get_or_create_owned(&name),
            retries: self.retries.get_or_create_owned(&name),
        }
    }

    pub(crate) fn reconciles(&self, controller: &'static str) -> ReconcileMetrics {
        let of = |result| self.reconciles.get_or_create_owned(&Outcome { controller, result });
        ReconcileMetrics { success: of("success"), error: of("error") }
    }
}
