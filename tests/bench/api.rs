//! Writes, reads and lists over TLS.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use harness::Cluster;

use crate::baseline;
use crate::load::{Made, Target, connector, get, run};
use crate::table::{against, heading, row};

const TIME: Duration = Duration::from_secs(5);
const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The cluster's API server as a load's target.
pub(crate) fn target(cluster: &Cluster) -> Result<Target> {
    let address = cluster.url().strip_prefix("https://").context("no https address")?.to_owned();
    let ca = std::fs::read_to_string(cluster.ca())?;
    Ok(Target { address, token: cluster.token()?, tls: Some(connector(&ca)?) })
}

/// A ConfigMap of about 1 KiB.
pub(crate) fn configmap(name: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"key":"{}"}}}}"#,
        "x".repeat(1024)
    ))
}

fn create(run: &'static str) -> impl Fn(usize) -> Made + Clone + Send + Sync + 'static {
    move |number| Made {
        method: "POST",
        path: CONFIGMAPS.to_owned(),
        body: configmap(&format!("{run}-{number}")),
        accept: "application/json",
    }
}

fn read(path: String) -> impl Fn(usize) -> Made + Clone + Send + Sync + 'static {
    move |_| get(path.clone())
}

/// Measures the API server.
pub(crate) async fn measure(cluster: &Cluster) -> Result<()> {
    let server = target(cluster)?;
    let bare = baseline::serve(true).await?;
    heading("API server over TLS, against bare hyper over TLS with the same bodies");
    for connections in [1, 64] {
        let base = run(&bare, connections, TIME, create("base")).await?;
        let name = if connections == 1 { "one" } else { "many" };
        let made = run(&server, connections, TIME, create(name)).await?;
        row(&format!("baseline: echo 1 KiB, {connections} connections"), &base);
        against(&format!("create ConfigMap of 1 KiB, {connections} connections"), &made, &base);
    }
    for connections in [1, 64] {
        let base = run(&bare, connections, TIME, read("/".into())).await?;
        let read = run(&server, connections, TIME, read(format!("{CONFIGMAPS}/one-0"))).await?;
        row(&format!("baseline: GET, {connections} connections"), &base);
        against(&format!("get ConfigMap, {connections} connections"), &read, &base);
    }
    let page = run(&server, 4, TIME, read(format!("{CONFIGMAPS}?limit=500"))).await?;
    row("list a page of 500, 4 connections", &page);
    Ok(())
}
