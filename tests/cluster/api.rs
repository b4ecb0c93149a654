//! The API as a client library uses it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use harness::Cluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, PodSpec};
use kube::api::{
    Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions,
    WatchEvent, WatchParams,
};
use kube::core::Status;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

fn map(name: &str, data: &[(&str, &str)]) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(data.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()),
        ..ConfigMap::default()
    }
}

/// The `Status` that a request was refused with.
fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> Result<Status> {
    match result {
        Err(kube::Error::Api(status)) => Ok(*status),
        other => bail!("not refused by the API server: {other:?}"),
    }
}

#[tokio::test]
async fn a_watch_resumes_and_brings_bookmarks() -> Result<()> {
    let cluster = Cluster::start().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client().await?);
    let post = PostParams::default();
    let first = maps.create(&post, &map("first", &[("a", "1")])).await?;
    let from = first.resource_version().context("a revision")?;
    maps.create(&post, &map("second", &[])).await?;
    maps.patch(
        "second",
        &PatchParams::default(),
        &Patch::Merge(json!({"metadata": {"labels": {"watched": "yes"}}})),
    )
    .await?;
    maps.delete("first", &DeleteParams::default()).await?;

    // What happened after a revision is told in order, however late one asks.
    let mut events = maps.watch(&WatchParams::default().timeout(20), &from).await?.boxed();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match events.try_next().await?.context("the watch ended early")? {
            WatchEvent::Added(map) => seen.push(format!("added {}", map.name_any())),
            WatchEvent::Modified(map) => seen.push(format!("modified {}", map.name_any())),
            WatchEvent::Deleted(map) => seen.push(format!("deleted {}", map.name_any())),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => bail!("{status:?}"),
        }
    }
    assert_eq!(seen, ["added second", "modified second", "deleted first"]);
    drop(events);

    // With a selector, an object that comes to match is added, and one that ceases is deleted.
    let selected = WatchParams::default().labels("watched=no").timeout(20);
    let from = maps.list(&ListParams::default()).await?.metadata.resource_version;
    let mut events = maps.watch(&selected, &from.context("a revision")?).await?.boxed();
    for value in ["no", "yes"] {
        let patch = json!({"metadata": {"labels": {"watched": value}}});
        maps.patch("second", &PatchParams::default(), &Patch::Merge(patch)).await?;
    }
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match events.try_next().await?.context("the watch ended early")? {
            WatchEvent::Added(_) => seen.push("added"),
            WatchEvent::Modified(_) => seen.push("modified"),
            WatchEvent::Deleted(_) => seen.push("deleted"),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => bail!("{status:?}"),
        }
    }
    assert_eq!(seen, ["added", "deleted"]);

    // The present state can be a watch's beginning; a bookmark says where it ends.
    let answer = cluster
        .curl(
            &["--no-buffer"],
            "/api/v1/namespaces/default/configmaps?watch=1&sendInitialEvents=true\
             &resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1",
        )
        .await?;
    let lines: Vec<Value> =
        answer.body.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let types: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    assert!(types.starts_with(&["ADDED", "ADDED", "BOOKMARK"]), "{}", answer.body);
    let bookmark = &lines[2]["object"]["metadata"];
    assert_eq!(bookmark["annotations"]["k8s.io/initial-events-end"], "true", "{bookmark}");
    Ok(())
}

#[tokio::test]
async fn patches_of_every_type_and_stale_updates() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let default = PatchParams::default();
    let created =
        maps.create(&PostParams::default(), &map("map", &[("a", "1"), ("b", "2")])).await?;

    let merged = Patch::Merge(json!({"data": {"a": null, "c": "3"}}));
    let merged = maps.patch("map", &default, &merged).await?;
    let expected = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("c".into(), "3".into())]);
    assert_eq!(merged.data, Some(expected));

    let operations = serde_json::from_value(json!([
        {"op": "test", "path": "/data/b", "value": "2"},
        {"op": "replace", "path": "/data/b", "value": "two"},
        {"op": "remove", "path": "/data/c"},
    ]))?;
    let changed = maps.patch("map", &default, &Patch::<ConfigMap>::Json(operations)).await?;
    assert_eq!(changed.data, Some(BTreeMap::from([("b".to_owned(), "two".to_owned())])));
    let operations =
        serde_json::from_value(json!([{"op": "test", "path": "/data/b", "value": "2"}]))?;
    let refused =
        refusal(maps.patch("map", &default, &Patch::<ConfigMap>::Json(operations)).await)?;
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"), "{refused:?}");

    // An update from a state that is gone is refused, and so is a patch that names one.
    let mut stale = created.clone();
    stale.data = None;
    let refused = refusal(maps.replace("map", &PostParams::default(), &stale).await)?;
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        refused.message,
        "Operation cannot be fulfilled on configmaps \"map\": the object has been modified; \
         please apply your changes to the latest version and try again"
    );
    let named = json!({"metadata": {"resourceVersion": created.resource_version()}, "data": {}});
    let refused = refusal(maps.patch("map", &default, &Patch::Merge(named)).await)?;
    assert_eq!(refused.code, 409, "{refused:?}");

    // A strategic merge patch knows containers by their names.
    let deployments: Api<Deployment> = Api::default_namespaced(client);
    deployments.create(&PostParams::default(), &deployment("two", 0)?).await?;
    let strategic = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "second", "image": "ticker"},
        {"name": "first", "args": ["x"]},
    ]}}}});
    let patched = deployments.patch("two", &default, &Patch::Strategic(strategic)).await?;
    let containers = patched.spec.and_then(|spec| spec.template.spec).context("a pod")?.containers;
    let containers: Vec<_> =
        containers.iter().map(|one| (one.name.as_str(), one.image.as_deref())).collect();
    assert_eq!(containers.len(), 2, "{containers:?}");
    assert!(containers.contains(&("first", Some("pause"))), "{containers:?}");
    assert!(containers.contains(&("second", Some("ticker"))), "{containers:?}");

    // Scale and status are doors of their own.
    let scaled = deployments
        .patch_scale("two", &default, &Patch::Merge(json!({"spec": {"replicas": 1}})))
        .await?;
    assert_eq!(scaled.spec.and_then(|spec| spec.replicas), Some(1));
    assert_eq!(deployments.get_scale("two").await?.spec.and_then(|spec| spec.replicas), Some(1));
    Ok(())
}

fn deployment(name: &str, replicas: i32) -> Result<Deployment> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "first", "image": "pause"}]},
            },
        },
    }))?)
}

#[tokio::test]
async fn lists_come_in_pages_and_by_selectors() -> Result<()> {
    let cluster = Cluster::start().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client().await?);
    let post = PostParams::default();
    for number in 0..25 {
        let mut map = map(&format!("map-{number:02}"), &[]);
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        map.labels_mut().insert("parity".to_owned(), parity.to_owned());
        maps.create(&post, &map).await?;
    }
    let labelled = ListParams::default().labels("parity");
    let (mut names, mut token, mut versions) = (Vec::new(), None, Vec::new());
    loop {
        let page = labelled.clone().limit(10);
        let page = token.iter().fold(page, |page, token: &String| page.continue_token(token));
        let page = maps.list(&page).await?;
        names.extend(page.items.iter().map(ResourceExt::name_any));
        versions.push(page.metadata.resource_version);
        // The pages are of one moment: what comes later is not in them.
        maps.create(&post, &{
            let mut late = map("", &[]);
            late.metadata = ObjectMeta {
                generate_name: Some("map-late-".to_owned()),
                labels: Some(BTreeMap::from([("parity".to_owned(), "none".to_owned())])),
                ..ObjectMeta::default()
            };
            late
        })
        .await?;
        token = page.metadata.continue_.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).map(|number| format!("map-{number:02}")).collect();
    assert_eq!(names, expected);
    assert_eq!(versions.len(), 3);
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "{versions:?}");

    for (selector, count) in [
        ("parity=even", 13),
        ("parity!=even,parity", 15),
        ("parity in (even, odd)", 25),
        ("parity notin (even, odd),parity", 3),
        ("parity=even,other", 0),
    ] {
        let list = maps.list(&ListParams::default().labels(selector)).await?;
        assert_eq!(list.items.len(), count, "{selector}");
    }
    let one = maps.list(&ListParams::default().fields("metadata.name=map-07")).await?;
    assert_eq!(one.items.len(), 1);
    let refused = refusal(maps.list(&ListParams::default().fields("data.a=1")).await)?;
    assert_eq!(refused.code, 400, "{refused:?}");
    assert!(refused.message.contains("field label not supported"), "{refused:?}");
    let refused = refusal(maps.list(&ListParams::default().continue_token("nonsense")).await)?;
    assert_eq!(refused.code, 400, "{refused:?}");

    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("parity=odd"))
        .await?;
    assert_eq!(maps.list(&labelled).await?.items.len(), 16);
    Ok(())
}

#[tokio::test]
async fn dry_run_preconditions_and_finalizers() -> Result<()> {
    let cluster = Cluster::start().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client().await?);
    let post = PostParams::default();

    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let pretended = maps.create(&dry, &map("map", &[])).await?;
    assert!(pretended.uid().is_some());
    assert!(maps.get_opt("map").await?.is_none(), "a dry run leaves nothing");

    let mut held = map("map", &[]);
    held.finalizers_mut().push("example.com/held".to_owned());
    let created = maps.create(&post, &held).await?;
    let again = refusal(maps.create(&post, &held).await)?;
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(again.message, "configmaps \"map\" already exists");

    let other = Preconditions { uid: Some("another".to_owned()), resource_version: None };
    let refused = maps.delete("map", &DeleteParams::default().preconditions(other)).await;
    assert_eq!(refusal(refused.map(|_| ()))?.code, 409);
    maps.delete("map", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await?;
    assert!(maps.get("map").await?.metadata.deletion_timestamp.is_none());

    maps.delete("map", &DeleteParams::default()).await?;
    let held = maps.get("map").await?;
    assert!(held.metadata.deletion_timestamp.is_some(), "it waits for its finalizer");
    assert_eq!(held.uid(), created.uid());
    let more = json!({"metadata": {"finalizers": ["example.com/held", "example.com/more"]}});
    let refused = refusal(maps.patch("map", &PatchParams::default(), &Patch::Merge(more)).await)?;
    assert_eq!(refused.code, 422, "no finalizer is added to what is being deleted: {refused:?}");
    let freed = json!({"metadata": {"finalizers": null}});
    maps.patch("map", &PatchParams::default(), &Patch::Merge(freed)).await?;
    assert!(maps.get_opt("map").await?.is_none());
    Ok(())
}

/// Two writers that read, change and write until it is done, and none of their changes is lost.
#[tokio::test]
async fn concurrent_writers_lose_nothing() -> Result<()> {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 10;
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.create(&PostParams::default(), &map("counter", &[("count", "0")])).await?;
    let writers = (0..WRITERS).map(|_| tokio::spawn(count_up(client.clone(), ROUNDS)));
    for writer in futures::future::join_all(writers).await {
        writer??;
    }
    let count = maps.get("counter").await?.data.and_then(|mut data| data.remove("count"));
    assert_eq!(count, Some((WRITERS * ROUNDS).to_string()));
    Ok(())
}

async fn count_up(client: Client, rounds: usize) -> Result<()> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let mut done = 0;
    while done < rounds {
        let mut map = maps.get("counter").await?;
        let data = map.data.as_mut().context("data")?;
        let count: usize = data["count"].parse()?;
        data.insert("count".to_owned(), (count + 1).to_string());
        match maps.replace("counter", &PostParams::default(), &map).await {
            Ok(_) => done += 1,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_pod_is_created_bound_run_and_deleted() -> Result<()> {
    let cluster = Cluster::start().await?;
    let pods: Api<Pod> = Api::default_namespaced(cluster.client().await?);
    let pod = Pod {
        metadata: ObjectMeta { generate_name: Some("pod-".into()), ..ObjectMeta::default() },
        spec: Some(PodSpec {
            containers: vec![Container {
                name: "main".to_owned(),
                image: Some("pause".to_owned()),
                ..Container::default()
            }],
            ..PodSpec::default()
        }),
        ..Pod::default()
    };
    let name = pods.create(&PostParams::default(), &pod).await?.name_any();
    assert!(name.starts_with("pod-") && name.len() == "pod-".len() + 5, "{name}");
    let running = kube::runtime::wait::await_condition(
        pods.clone(),
        &name,
        kube::runtime::conditions::is_pod_running(),
    );
    let running = tokio::time::timeout(std::time::Duration::from_secs(60), running).await??;
    let running = running.context("the pod")?;
    let uid = running.uid().context("a uid")?;
    assert!(running.spec.and_then(|spec| spec.node_name).is_some());
    // A graceful deletion answers with the pod; it is gone when its containers have ended.
    let deleted = pods.delete(&name, &DeleteParams::default()).await?;
    let deleted = deleted.left().context("the pod that is being deleted")?;
    assert!(deleted.metadata.deletion_timestamp.is_some());
    let gone = kube::runtime::wait::await_condition(
        pods.clone(),
        &name,
        kube::runtime::conditions::is_deleted(&uid),
    );
    tokio::time::timeout(std::time::Duration::from_secs(25), gone).await??;
    Ok(())
}
