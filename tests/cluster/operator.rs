//! A small operator, as people write them with kube-rs: it keeps a ConfigMap for each Greeting, says
//! so in its status, and clears up behind a finalizer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt;
use harness::Cluster;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher;
use kube::{Client, CustomResource, CustomResourceExt, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const FINALIZER: &str = "greetings.example.com/farewell";

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Greeting",
    namespaced,
    status = "GreetingStatus",
    shortname = "gr",
    printcolumn = r#"{"name": "Text", "type": "string", "jsonPath": ".spec.text"}"#
)]
struct GreetingSpec {
    text: String,
    times: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct GreetingStatus {
    written: String,
    observed_generation: i64,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// One step towards what the greeting says.
async fn apply(greeting: Arc<Greeting>, client: &Client) -> Result<Action, Error> {
    let namespace = greeting.namespace().ok_or("no namespace")?;
    let name = greeting.name_any();
    let times = greeting.spec.times.unwrap_or(1) as usize;
    let written = vec![greeting.spec.text.as_str(); times].join(" ");
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            owner_references: greeting.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some([("greeting".to_owned(), written.clone())].into()),
        ..ConfigMap::default()
    };
    let maps = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
    match maps.get_opt(&name).await? {
        None => drop(maps.create(&PostParams::default(), &map).await?),
        Some(old) if old.data != map.data => {
            let patch = json!({ "data": map.data });
            maps.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
        Some(_) => {}
    }
    let observed = greeting.metadata.generation.unwrap_or_default();
    let status = GreetingStatus { written, observed_generation: observed };
    let greetings = Api::<Greeting>::namespaced(client.clone(), &namespace);
    let patch = Patch::Merge(json!({ "status": status }));
    greetings.patch_status(&name, &PatchParams::default(), &patch).await?;
    Ok(Action::await_change())
}

/// Says goodbye before a greeting goes.
async fn cleanup(greeting: Arc<Greeting>, client: &Client) -> Result<Action, Error> {
    let namespace = greeting.namespace().ok_or("no namespace")?;
    let farewell = ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("farewell-{}", greeting.name_any())),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let maps = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
    maps.create(&PostParams::default(), &farewell).await?;
    Ok(Action::await_change())
}

async fn reconcile(
    greeting: Arc<Greeting>,
    client: Arc<Client>,
) -> Result<Action, kube::runtime::finalizer::Error<std::io::Error>> {
    let namespace = greeting.namespace().unwrap_or_default();
    let greetings = Api::<Greeting>::namespaced((*client).clone(), &namespace);
    finalizer(&greetings, FINALIZER, greeting, |event| async {
        let done = match event {
            Event::Apply(greeting) => apply(greeting, &client).await,
            Event::Cleanup(greeting) => cleanup(greeting, &client).await,
        };
        done.map_err(std::io::Error::other)
    })
    .await
}

/// Runs until it is dropped.
async fn operate(client: Client) {
    let greetings = Api::<Greeting>::all(client.clone());
    let maps = Api::<ConfigMap>::all(client.clone());
    Controller::new(greetings, watcher::Config::default())
        .owns(maps, watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(200)), Arc::new(client))
        .for_each(|_| async {})
        .await;
}

#[tokio::test]
async fn an_operator_keeps_its_objects() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let created = definitions.create(&PostParams::default(), &Greeting::crd()).await?;
    let name = created.name_any();
    let established = conditions::is_crd_established();
    let limit = Duration::from_secs(30);
    let waiting = await_condition(definitions.clone(), &name, established);
    tokio::time::timeout(limit, waiting).await??;
    let operator = tokio::spawn(operate(client.clone()));

    let greetings = Api::<Greeting>::default_namespaced(client.clone());
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let spec = GreetingSpec { text: "hello".into(), times: Some(2) };
    greetings.create(&PostParams::default(), &Greeting::new("first", spec)).await?;
    let seen = |wanted: &'static str, generation: i64| {
        move |greeting: Option<&Greeting>| {
            let status = greeting.and_then(|greeting| greeting.status.as_ref());
            status.is_some_and(|s| s.written == wanted && s.observed_generation == generation)
        }
    };
    let waiting = await_condition(greetings.clone(), "first", seen("hello hello", 1));
    tokio::time::timeout(limit, waiting).await.context("no status")??;
    let map = maps.get("first").await?;
    assert_eq!(map.data.unwrap_or_default()["greeting"], "hello hello");
    let patch = Patch::Merge(json!({"spec": {"text": "bye", "times": null}}));
    greetings.patch("first", &PatchParams::default(), &patch).await?;
    let waiting = await_condition(greetings.clone(), "first", seen("bye", 2));
    tokio::time::timeout(limit, waiting).await.context("no new status")??;

    // What is its own comes back.
    let before = maps.get("first").await?.uid().context("no uid")?;
    maps.delete("first", &DeleteParams::default()).await?;
    let returned =
        move |map: Option<&ConfigMap>| map.is_some_and(|map| map.uid().as_ref() != Some(&before));
    let waiting = await_condition(maps.clone(), "first", returned);
    tokio::time::timeout(limit, waiting).await.context("the map did not return")??;

    let uid = greetings.get("first").await?.uid().context("no uid")?;
    greetings.delete("first", &DeleteParams::default()).await?;
    let waiting = await_condition(greetings.clone(), "first", conditions::is_deleted(&uid));
    tokio::time::timeout(limit, waiting).await.context("it is still there")??;
    maps.get("farewell-first").await?;
    let gone = |map: Option<&ConfigMap>| map.is_none();
    let waiting = await_condition(maps.clone(), "first", gone);
    tokio::time::timeout(limit, waiting).await.context("the map was not collected")??;

    operator.abort();
    Ok(())
}
