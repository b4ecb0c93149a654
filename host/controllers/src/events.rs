//! Events are written beside the work: a bounded queue, one task a controller. If the queue is full
//! the event is lost and counted in the log; no reconcile ever waits for an event.

use std::sync::Arc;

use coracle_api::clock;
use coracle_api::events::{Action, Correlator, Report, reference};
use k8s_openapi::api::core::v1::Event;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::informer::Kind;

const WAITING: usize = 1000;

/// Where a controller reports what it did.
#[derive(Clone)]
pub(crate) struct Recorder {
    reports: mpsc::Sender<Report>,
}

impl Recorder {
    /// A recorder for `component`, and what writes its events until the recorder is dropped.
    pub(crate) fn new(client: Client, component: &'static str) -> (Self, impl Future<Output = ()>) {
        let (reports, waiting) = mpsc::channel(WAITING);
        (Self { reports }, write(client, component, waiting))
    }

    /// Something went as it should.
    pub(crate) fn normal<K: Kind>(&self, object: &K, reason: &str, message: impl Into<String>) {
        self.report(Report::normal(reference(object), reason, message));
    }

    /// Something did not.
    pub(crate) fn warning<K: Kind>(&self, object: &K, reason: &str, message: impl Into<String>) {
        self.report(Report::warning(reference(object), reason, message));
    }

    pub(crate) fn report(&self, report: Report) {
        if let Err(mpsc::error::TrySendError::Full(report)) = self.reports.try_send(report) {
            warn!(reason = report.reason, message = report.message, "too many events, one is lost");
        }
    }
}

async fn write(client: Client, component: &'static str, mut waiting: mpsc::Receiver<Report>) {
    let mut correlator = Correlator::new(component, None);
    while let Some(report) = waiting.recv().await {
        let result = match correlator.correlate(report, clock::now()) {
            Action::Create(event) => create(&client, &event).await,
            Action::Repeat(event) => repeat(&client, &event).await,
            Action::Drop => Ok(()),
        };
        if let Err(error) = result {
            debug!(component, %error, "an event is lost");
        }
    }
}

fn api(client: &Client, event: &Event) -> (Api<Event>, Arc<str>) {
    let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
    let name = event.metadata.name.as_deref().unwrap_or_default();
    (Api::namespaced(client.clone(), namespace), name.into())
}

async fn create(client: &Client, event: &Event) -> kube::Result<()> {
    let (api, _) = api(client, event);
    api.create(&PostParams::default(), event).await.map(drop)
}

async fn repeat(client: &Client, event: &Event) -> kube::Result<()> {
    let (api, name) = api(client, event);
    let patch = json!({
        "count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message,
    });
    match api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => create(client, event).await,
        result => result.map(drop),
    }
}
