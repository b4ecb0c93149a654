//! What is counted, under the names that Kubernetes gives it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::error::ApiError;
use crate::registry::ApiResource;

/// A name of a kind that is served, shared with its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Name(Arc<str>);

impl From<&Arc<str>> for Name {
    fn from(name: &Arc<str>) -> Self {
        Self(name.clone())
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        EncodeLabelValue::encode(&&*self.0, encoder)
    }
}

/// What a request was, without its outcome. Only names from the tables, so that callers cannot
/// make new time series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) verb: &'static str,
    pub(crate) group: Name,
    pub(crate) version: Name,
    pub(crate) resource: Name,
    pub(crate) subresource: &'static str,
    pub(crate) scope: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnsweredLabels {
    verb: &'static str,
    group: Name,
    version: Name,
    resource: Name,
    subresource: &'static str,
    scope: &'static str,
    code: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InflightLabels {
    request_kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabels {
    flow_schema: String,
    priority_level: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    group: Name,
    version: Name,
    resource: Name,
}

impl ResourceLabels {
    fn of(names: &ApiResource) -> Self {
        let ApiResource { group, version, plural, .. } = names;
        Self { group: group.into(), version: version.into(), resource: plural.into() }
    }
}

#[derive(Clone)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            0.0001, 0.0005, 0.001, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0,
            5.0, 10.0, 30.0, 60.0,
        ])
    }
}

pub(crate) struct Metrics {
    /// The registry of the whole program.
    registry: Arc<Mutex<Registry>>,
    requests: Family<AnsweredLabels, Counter>,
    durations: Family<RequestLabels, Histogram, Durations>,
    inflight: Family<InflightLabels, Gauge>,
    rejected: Family<RejectedLabels, Counter>,
    watches: Family<ResourceLabels, Gauge>,
    events: Family<ResourceLabels, Counter>,
    objects: Family<ResourceLabels, Gauge>,
}

/// Counts a thing as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new(registry: Arc<Mutex<Registry>>) -> Self {
        let metrics = Self {
            registry: registry.clone(),
            requests: Family::default(),
            durations: Family::new_with_constructor(Durations),
            inflight: Family::default(),
            rejected: Family::default(),
            watches: Family::default(),
            events: Family::default(),
            objects: Family::default(),
        };
        let mut registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(
            "apiserver_request",
            "Requests answered, by verb, resource and HTTP code",
            metrics.requests.clone(),
        );
        registry.register(
            "apiserver_request_duration_seconds",
            "Seconds from request to answer",
            metrics.durations.clone(),
        );
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests under way",
            metrics.inflight.clone(),
        );
        registry.register(
            "apiserver_flowcontrol_rejected_requests",
            "Requests that priority and fairness sent away",
            metrics.rejected.clone(),
        );
        registry.register(
            "apiserver_longrunning_requests",
            "Watches under way",
            metrics.watches.clone(),
        );
        registry.register(
            "apiserver_watch_events",
            "Events sent to watchers",
            metrics.events.clone(),
        );
        registry.register("apiserver_storage_objects", "Stored objects", metrics.objects.clone());
        drop(registry);
        metrics
    }

    pub(crate) fn answered(&self, labels: &RequestLabels, code: u16, took: Duration) {
        let RequestLabels { verb, group, version, resource, subresource, scope } = labels.clone();
        let code = u32::from(code);
        let answered = AnsweredLabels { verb, group, version, resource, subresource, scope, code };
        self.requests.get_or_create(&answered).inc();
        self.durations.get_or_create(labels).observe(took.as_secs_f64());
    }

    pub(crate) fn rejected(&self, schema: &str, level: &str, reason: &'static str) {
        let (flow_schema, priority_level) = (schema.to_owned(), level.to_owned());
        let labels = RejectedLabels { flow_schema, priority_level, reason };
        self.rejected.get_or_create(&labels).inc();
    }

    pub(crate) fn enter(&self, writes: bool) -> Counted {
        let request_kind = if writes { "mutating" } else { "readOnly" };
        Counted::new(self.inflight.get_or_create_owned(&InflightLabels { request_kind }))
    }

    /// Counts a watch as long as the first lives, and its events with the second.
    pub(crate) fn watch(&self, names: &ApiResource) -> (Counted, Counter) {
        let labels = ResourceLabels::of(names);
        let counted = Counted::new(self.watches.get_or_create_owned(&labels));
        (counted, self.events.get_or_create_owned(&labels))
    }

    pub(crate) fn stored(&self, names: &ApiResource, objects: usize) {
        let labels = ResourceLabels::of(names);
        let objects = i64::try_from(objects).unwrap_or(i64::MAX);
        self.objects.get_or_create(&labels).set(objects);
    }

    /// Everything that the program counts, in the text format.
    pub(crate) fn text(&self) -> Result<String, ApiError> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode(&mut text, &registry).map_err(ApiError::internal)?;
        Ok(text)
    }
}
