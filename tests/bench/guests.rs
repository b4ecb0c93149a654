//! Pods and what they serve.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use harness::{Cluster, module};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use tokio::time::Instant;

use crate::baseline;
use crate::load::{Target, get, run};
use crate::table::{Figures, against, heading, row};

fn pod(name: &str) -> Result<Pod> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"bench": "pods"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "pause", "image": "pause", "resources": {
                "requests": {"cpu": "1m", "memory": "1Mi"}
            }}],
        },
    }))?)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// Latency of one pod from create to Ready, and how many a second when many are created at once.
pub(crate) async fn pods(cluster: &Cluster) -> Result<()> {
    heading("Pods (compiled code cached)");
    let api: Api<Pod> = Api::default_namespaced(cluster.client().await?);
    let mut latencies = vec![];
    let began = Instant::now();
    for number in 0..100 {
        let name = format!("one-{number}");
        let watch = WatchParams::default().fields(&format!("metadata.name={name}"));
        let mut events = api.watch(&watch, "0").await?.boxed();
        let start = Instant::now();
        api.create(&PostParams::default(), &pod(&name)?).await?;
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event
                && is_ready(&pod)
            {
                break;
            }
        }
        // The first pod of a module pays for compiling it.
        if number > 0 {
            latencies.push(start.elapsed());
        }
    }
    latencies.sort_unstable();
    row(
        "create to Ready, one at a time",
        Figures { count: latencies.len(), elapsed: began.elapsed(), latencies },
    );
    clear(&api).await?;
    const MANY: usize = 1000;
    let mut events = api.watch(&WatchParams::default().labels("bench=pods"), "0").await?.boxed();
    let start = Instant::now();
    let creator = api.clone();
    let creating = tokio::spawn(async move {
        futures::stream::iter(0..MANY)
            .map(|number| {
                let api = creator.clone();
                async move {
                    api.create(&PostParams::default(), &pod(&format!("many-{number}"))?).await?;
                    anyhow::Ok(())
                }
            })
            .buffer_unordered(32)
            .try_collect::<Vec<_>>()
            .await
    });
    let mut ready = std::collections::BTreeSet::new();
    while ready.len() < MANY {
        let event = tokio::time::timeout(Duration::from_secs(120), events.try_next()).await;
        match event.context("pods are not getting ready")?? {
            Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) if is_ready(&pod) => {
                ready.insert(pod.metadata.name);
            }
            Some(_) => {}
            None => events = api.watch(&WatchParams::default(), "0").await?.boxed(),
        }
    }
    let elapsed = start.elapsed();
    creating.await??;
    row(
        "created to Ready, 1000 pods, 32 at once",
        format!("{:>9.0}/s", MANY as f64 / elapsed.as_secs_f64()),
    );
    let pid = cluster.pid().context("the program has ended")?;
    let resident = crate::machine::resident(pid)? as f64 / 1e6;
    row("resident memory with 1000 pods", format!("{resident:.1} MB"));
    clear(&api).await
}

async fn clear(api: &Api<Pod>) -> Result<()> {
    let delete = DeleteParams::default().grace_period(0);
    api.delete_collection(&delete, &ListParams::default()).await?;
    while !api.list(&ListParams::default()).await?.items.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Requests through a NodePort Service, against bare hyper on a host socket.
pub(crate) async fn http(cluster: &Cluster) -> Result<()> {
    heading("HTTP through a NodePort Service, against bare hyper");
    let uploaded = cluster.upload(&module("hello-http"), "hello:v1").await?;
    ensure!(uploaded.success, "{uploaded:?}");
    let client = cluster.client().await?;
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let services: Api<Service> = Api::default_namespaced(client);
    let bare = baseline::serve(false).await?;
    let make = |_| get("/");
    let base = run(&bare, 32, Duration::from_secs(5), make).await?;
    row("baseline: bare hyper, 32 connections", &base);
    for mode in ["reuse", "fresh"] {
        let name = format!("hello-{mode}");
        let labels = json!({"app": name});
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": {"coracle.dev/http-instances": mode},
                    },
                    "spec": {"containers": [{"name": "hello", "image": "hello:v1"}]},
                },
            },
        }))?;
        deployments.create(&PostParams::default(), &deployment).await?;
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": 80}]},
        }))?;
        let service = services.create(&PostParams::default(), &service).await?;
        let port = service
            .spec
            .and_then(|spec| spec.ports?.first()?.node_port)
            .context("no node port was given")?;
        cluster.kubectl().run(&format!("rollout status deployment/{name}")).await?;
        let address = format!("127.0.0.1:{port}");
        let target = Target { address, token: String::new(), tls: None };
        let mut tries = 0;
        while let Err(error) = run(&target, 1, Duration::from_millis(1), make).await {
            tries += 1;
            ensure!(tries < 100, "the service does not answer: {error:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let served = run(&target, 32, Duration::from_secs(5), make).await?;
        against(&format!("hello-http, instances {mode}, 32 connections"), &served, &base);
    }
    Ok(())
}
