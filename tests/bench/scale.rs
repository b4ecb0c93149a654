//! Protobuf against JSON, apply against update, authorization, long lists, and many watchers: each
//! beside its base of the same run.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use harness::Cluster;
use http_body_util::BodyExt;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::{configmap, target};
use crate::baseline;
use crate::load::{Made, Target, get, run};
use crate::table::{against, heading, row};

const TIME: Duration = Duration::from_secs(4);
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PODS: &str = "/api/v1/namespaces/scale/pods";
const CONFIGMAPS: &str = "/api/v1/namespaces/scale/configmaps";
const WATCHED: &str = "/api/v1/namespaces/watched/configmaps";
const TEMPLATES: &str = "/api/v1/namespaces/scale/podtemplates";
/// The token of somebody who may do what a role says.
const SOMEBODY: &str = "somebody-who-may-view";
const LISTED: usize = 5000;
const WATCHERS: usize = 100;
const EVENTS: usize = 1000;

/// A pod as Deployments make them, which no scheduler takes.
fn pod(name: &str) -> Bytes {
    let variables: Vec<_> = (0..8)
        .map(|n| format!(r#"{{"name":"SETTING_{n}","value":"what the setting {n} says"}}"#))
        .collect();
    let variables = variables.join(",");
    Bytes::from(format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","labels":{{"app":"web","pod-template-hash":"5d4f8c7b9"}}}},"spec":{{"schedulerName":"nobody","containers":[{{"name":"main","image":"hello:v1","env":[{variables}],"ports":[{{"containerPort":8080,"name":"http"}}],"resources":{{"requests":{{"cpu":"10m","memory":"16Mi"}},"limits":{{"memory":"64Mi"}}}},"readinessProbe":{{"httpGet":{{"path":"/","port":"http"}}}},"volumeMounts":[{{"name":"data","mountPath":"/data"}}]}}],"volumes":[{{"name":"data","emptyDir":{{}}}}]}}}}"#
    ))
}

async fn send(server: &Target, made: Made) -> Result<Bytes> {
    let mut sender = server.connect().await?;
    let response = sender.send_request(server.request(&made)?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}

fn post(path: &str, body: Bytes) -> Made {
    Made { method: "POST", path: path.to_owned(), body, accept: JSON }
}

/// Creates `count` objects over one connection a few at a time.
async fn fill(
    server: &Target,
    path: &'static str,
    count: usize,
    make: fn(&str) -> Bytes,
) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let server = server.clone();
        tasks.spawn(async move {
            let mut sender = server.connect().await?;
            for number in (worker..count).step_by(16) {
                let request = server.request(&post(path, make(&format!("o-{number:05}"))))?;
                let response = sender.send_request(request).await?;
                ensure!(response.status().is_success(), "{}", response.status());
                response.into_body().collect().await?;
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a task that creates objects")??;
    }
    Ok(())
}

/// Measures all of it.
pub(crate) async fn measure(cluster: &Cluster) -> Result<()> {
    let server = target(cluster)?;
    for name in ["scale", "watched"] {
        let body = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
        send(&server, post("/api/v1/namespaces", body.into())).await?;
    }
    forms(&server).await?;
    applies(&server).await?;
    authorization(&server).await?;
    lists(&server).await?;
    watches(&server).await
}

async fn forms(server: &Target) -> Result<()> {
    heading("Protobuf against JSON");
    fill(server, PODS, 500, pod).await?;
    let one = format!("{PODS}/o-00000");
    for (name, path, connections) in [("get a pod", one.as_str(), 16), ("list 500 pods", PODS, 4)] {
        let json = send(server, get(path)).await?.len();
        let binary = send(server, Made { accept: PROTOBUF, ..get(path) }).await?.len();
        let share = binary as f64 / json as f64;
        row(&format!("{name}: bytes"), format!("{binary:>9} of {json}, {share:>5.2} of JSON"));
        let asked = path.to_owned();
        let base = run(server, connections, TIME, move |_| get(asked.clone())).await?;
        let asked = path.to_owned();
        let made = move |_| Made { accept: PROTOBUF, ..get(asked.clone()) };
        let measured = run(server, connections, TIME, made).await?;
        row(&format!("{name}: JSON, as it is stored"), &base);
        against(&format!("{name}: protobuf"), &measured, &base);
        // The same work in JSON: each object parsed and written anew.
        let asked = path.to_owned();
        let yaml = move |_| Made { accept: "application/yaml", ..get(asked.clone()) };
        let yaml = run(server, connections, TIME, yaml).await?;
        let asked = format!("{path}?pretty=1");
        let typed = run(server, connections, TIME, move |_| get(asked.clone())).await?;
        against(&format!("{name}: JSON, reformatted"), &typed, &base);
        against(&format!("{name}: YAML"), &yaml, &base);
    }
    Ok(())
}

/// A file of callers for a cluster: one whom a role lets read.
pub(crate) fn callers() -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    writeln!(file, "{SOMEBODY},jane,1")?;
    Ok(file)
}

/// The pod template of a number, in one of its states.
fn template(number: usize, state: usize) -> Bytes {
    let body = format!(
        r#"{{"apiVersion":"v1","kind":"PodTemplate","metadata":{{"name":"o-{number:05}"}},"template":{{"metadata":{{"labels":{{"app":"web","state":"{state}"}}}},"spec":{{"containers":[{{"name":"main","image":"hello:v1","ports":[{{"containerPort":8080,"name":"http"}}],"resources":{{"requests":{{"cpu":"10m"}}}}}}]}}}}}}"#
    );
    body.into()
}

async fn applies(server: &Target) -> Result<()> {
    const COUNT: usize = 256;
    heading("Apply against update, a pod template each");
    for number in 0..COUNT {
        send(server, post(TEMPLATES, template(number, 0))).await?;
    }
    let write = |method, query: &'static str| {
        move |number: usize| {
            let (which, state) = (number % COUNT, number / COUNT);
            let path = format!("{TEMPLATES}/o-{which:05}{query}");
            Made { method, path, body: template(which, state), accept: JSON }
        }
    };
    let base = run(server, 16, TIME, write("PUT", "")).await?;
    row("update", &base);
    let applied = write("PATCH", "?fieldManager=bench&force=true");
    against("apply, which changes a field", &run(server, 16, TIME, applied).await?, &base);
    let same = move |number: usize| applied(number % COUNT);
    against("apply, which changes nothing", &run(server, 16, TIME, same).await?, &base);
    Ok(())
}

async fn authorization(server: &Target) -> Result<()> {
    heading("Authorization by a role, against a caller who may do everything");
    let binding = r#"{"metadata":{"name":"jane"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"jane"}]}"#;
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/scale/rolebindings";
    send(server, post(bindings, binding.into())).await?;
    let one = || get(format!("{PODS}/o-00000"));
    let base = run(server, 16, TIME, move |_| one()).await?;
    row("get a pod as the admin", &base);
    let somebody = Target { token: SOMEBODY.into(), ..server.clone() };
    against("get a pod by a role", &run(&somebody, 16, TIME, move |_| one()).await?, &base);
    Ok(())
}

async fn lists(server: &Target) -> Result<()> {
    heading("A list of 5,000, against bare hyper sending as many bytes over TLS");
    fill(server, CONFIGMAPS, LISTED, configmap).await?;
    let size = send(server, get(CONFIGMAPS)).await?.len();
    let bare = baseline::serve(true).await?;
    let base = run(&bare, 2, TIME, move |_| get(format!("/{size}"))).await?;
    row(&format!("baseline: {size} bytes"), &base);
    let whole = run(server, 2, TIME, |_| get(CONFIGMAPS)).await?;
    against("list 5,000 ConfigMaps of 1 KiB", &whole, &base);
    let selected = |_| get(format!("{CONFIGMAPS}?labelSelector=app%3Dnone"));
    let selected = run(server, 2, TIME, selected).await?;
    against("the same with a selector that takes none", &selected, &base);
    let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let metadata = move |_| Made { accept: metadata, ..get(CONFIGMAPS) };
    against("the same, metadata alone", &run(server, 2, TIME, metadata).await?, &base);
    Ok(())
}

async fn watches(server: &Target) -> Result<()> {
    heading("1,000 events to 100 watchers, against the writes alone");
    let start = Instant::now();
    fill(server, WATCHED, EVENTS, configmap).await?;
    let base = start.elapsed();
    row("baseline: 1,000 creates, 16 connections", format!("{:>9.3} s", base.as_secs_f64()));
    for (name, accept) in [("JSON", JSON), ("protobuf", PROTOBUF)] {
        let path = format!("{WATCHED}?labelSelector=");
        let from = send(server, get(format!("{WATCHED}?limit=1"))).await?;
        let from: serde_json::Value = serde_json::from_slice(&from)?;
        let from = from["metadata"]["resourceVersion"].as_str().context("no version")?.to_owned();
        let (ready, mut begun) = mpsc::channel(WATCHERS);
        let mut watchers = tokio::task::JoinSet::new();
        for _ in 0..WATCHERS {
            let (server, ready) = (server.clone(), ready.clone());
            let path = format!("{path}&watch=1&resourceVersion={from}");
            watchers.spawn(async move { watch(&server, path, accept, ready).await });
        }
        for _ in 0..WATCHERS {
            begun.recv().await.context("a watch did not begin")?;
        }
        let start = Instant::now();
        clear(server).await?;
        let written = start.elapsed();
        while let Some(done) = watchers.join_next().await {
            done.context("a watcher's task")??;
        }
        let all = start.elapsed();
        let share = all.as_secs_f64() / written.as_secs_f64();
        row(
            &format!("deletion of 1,000 seen by 100 watchers in {name}"),
            format!("{:>9.3} s   {share:>5.2} of the time of the deletion", all.as_secs_f64()),
        );
        fill(server, WATCHED, EVENTS, configmap).await?;
    }
    Ok(())
}

/// Deletes what the watchers follow.
async fn clear(server: &Target) -> Result<()> {
    let made = Made { method: "DELETE", ..get(WATCHED) };
    send(server, made).await.map(drop)
}

/// Follows a watch until it has brought every event.
async fn watch(
    server: &Target,
    path: String,
    accept: &'static str,
    ready: mpsc::Sender<()>,
) -> Result<()> {
    let mut sender = server.connect().await?;
    let request = server.request(&Made { accept, ..get(path) })?;
    let response = sender.send_request(request).await?;
    ensure!(response.status().is_success(), "{}", response.status());
    ready.send(()).await?;
    let mut body = response.into_body();
    let mut seen = 0;
    while seen < EVENTS {
        let frame = body.frame().await.context("the watch has ended")??;
        let Some(data) = frame.data_ref() else { continue };
        // Each event says its type once, and no ConfigMap of ours does.
        seen += data.windows(7).filter(|word| *word == b"DELETED").count();
    }
    Ok(())
}
