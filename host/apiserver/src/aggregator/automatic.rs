//! The APIServices of kinds that are defined at run time: made, kept and removed with their
//! definitions (the autoregistration of kube-aggregator). Those that somebody else has made, or has
//! taken the label from, are left alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_store::{Range, Watch};
use futures::{FutureExt, StreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};

use super::services::{APISERVICES, Priorities};
use crate::error::{ApiError, Result};
use crate::server::Server;
use crate::timeouts;

const DEFINITIONS: &str = "/registry/apiextensions.k8s.io/customresourcedefinitions/";
/// Whose APIServices are whose.
pub(crate) const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Those that are kept as they should be.
const ALWAYS: &str = "true";
/// Where defined kinds stand: behind the built-in ones, versions in the order of their names.
pub(super) const PRIORITIES: Priorities = Priorities { group: 1000, version: 100 };

pub(super) async fn run(server: &Arc<Server>, client: &Client) {
    loop {
        if let Err(error) = follow(server, client).await {
            tracing::warn!(%error, "cannot keep the APIServices of defined kinds");
        }
        tokio::time::sleep(timeouts::AGGREGATOR_RETRY).await;
    }
}

async fn follow(server: &Arc<Server>, client: &Client) -> Result<()> {
    let store = &*server.store;
    let revision = store.revision().await?;
    let mut definitions = store.watch(DEFINITIONS, revision).await?;
    let mut services = store.watch(APISERVICES, revision).await?;
    loop {
        settle(server, client).await?;
        let more = tokio::select! {
            event = definitions.next() => event,
            event = services.next() => event,
        };
        let Some(event) = more else { return Ok(()) };
        event?;
        // What has happened meanwhile is seen by the same look.
        drain(&mut definitions)?;
        drain(&mut services)?;
    }
}

fn drain(watch: &mut Watch) -> Result<()> {
    while let Some(Some(event)) = watch.next().now_or_never() {
        event?;
    }
    Ok(())
}

/// Brings the APIServices to what the definitions want.
async fn settle(server: &Server, client: &Client) -> Result<()> {
    let page = server.store.range(DEFINITIONS, Range::default()).await?;
    let definitions = page.entries.iter();
    let definitions = definitions.filter_map(|entry| serde_json::from_slice(&entry.value).ok());
    let mut wanted = wanted(definitions);
    let all = Api::<APIService>::all(client.clone());
    for entry in server.store.range(APISERVICES, Range::default()).await?.entries {
        let present: APIService =
            serde_json::from_slice(&entry.value).map_err(ApiError::internal)?;
        let name = present.metadata.name.clone().unwrap_or_default();
        let due = wanted.remove(&name);
        let labels = present.metadata.labels.as_ref();
        if labels.and_then(|labels| labels.get(AUTOMANAGED)).is_none_or(|value| value != ALWAYS) {
            continue;
        }
        let written = match due {
            Some(due) if present.spec.as_ref() == Some(&due) => continue,
            Some(due) => {
                let mut changed = present;
                changed.metadata.resource_version = Some(entry.modified.to_string());
                changed.spec = Some(due);
                all.replace(&name, &PostParams::default(), &changed).await.map(drop)
            }
            None => {
                let uid = present.metadata.uid;
                let preconditions = Some(Preconditions { uid, ..Preconditions::default() });
                let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
                all.delete(&name, &parameters).await.map(drop)
            }
        };
        overtaken(written)?;
    }
    for (name, spec) in wanted {
        let labels = BTreeMap::from([(AUTOMANAGED.to_owned(), ALWAYS.to_owned())]);
        let metadata =
            ObjectMeta { name: Some(name), labels: Some(labels), ..ObjectMeta::default() };
        let due = APIService { metadata, spec: Some(spec), status: None };
        overtaken(all.create(&PostParams::default(), &due).await.map(drop))?;
    }
    Ok(())
}

/// Somebody who was faster is no error: what he wrote is looked at, too.
fn overtaken(written: kube::Result<()>) -> Result<()> {
    match written {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        written => written.map_err(ApiError::internal),
    }
}

/// What APIServices definitions want, by name.
fn wanted(
    definitions: impl Iterator<Item = CustomResourceDefinition>,
) -> BTreeMap<String, APIServiceSpec> {
    let mut wanted = BTreeMap::new();
    for definition in definitions {
        let group = definition.spec.group;
        for version in definition.spec.versions.into_iter().filter(|version| version.served) {
            let spec = APIServiceSpec {
                group: Some(group.clone()),
                version: Some(version.name.clone()),
                group_priority_minimum: PRIORITIES.group,
                version_priority: PRIORITIES.version,
                ..APIServiceSpec::default()
            };
            wanted.insert(format!("{}.{group}", version.name), spec);
        }
    }
    wanted
}
