//! Events are written beside the decisions, several at a time; what does not fit the queue is lost
//! and said so in the log.

use coracle_api::clock;
use coracle_api::events::{Action, Correlator, Report};
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

/// Events that may wait.
pub(crate) const WAITING: usize = 10_000;
/// Events written at a time.
const WRITERS: usize = 32;

pub(crate) async fn write(client: Client, component: String, mut waiting: mpsc::Receiver<Report>) {
    let mut correlator = Correlator::new(component, None);
    let mut writers = JoinSet::new();
    while let Some(report) = waiting.recv().await {
        let (event, repeated) = match correlator.correlate(report, clock::now()) {
            Action::Create(event) => (event, false),
            Action::Repeat(event) => (event, true),
            Action::Drop => continue,
        };
        while writers.len() >= WRITERS {
            writers.join_next().await;
        }
        let client = client.clone();
        writers.spawn(async move {
            let written = if repeated {
                repeat(&client, &event).await
            } else {
                create(&client, &event).await
            };
            if let Err(error) = written {
                debug!(%error, "an event is lost");
            }
        });
        while writers.try_join_next().is_some() {}
    }
}

fn api(client: &Client, event: &Event) -> Api<Event> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
    Api::namespaced(client.clone(), namespace)
}

async fn create(client: &Client, event: &Event) -> kube::Result<()> {
    api(client, event).create(&PostParams::default(), event).await.map(drop)
}

async fn repeat(client: &Client, event: &Event) -> kube::Result<()> {
    let patch = json!({
        "count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message,
    });
    let name = event.metadata.name.as_deref().unwrap_or_default();
    let patch = Patch::Merge(patch);
    match api(client, event).patch(name, &PatchParams::default(), &patch).await {
        Err(Error::Api(status)) if status.code == 404 => create(client, event).await,
        result => result.map(drop),
    }
}
