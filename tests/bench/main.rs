//! `make bench`: what the program costs, as figures beside a baseline of the same run. The
//! baselines are a bare hyper server with the same TLS and the same load, so that a ratio says
//! what the cluster adds. Never a verdict: nothing here fails for being slow.

mod api;
mod baseline;
mod guests;
mod load;
mod machine;
mod scale;
mod table;

use anyhow::Result;
use harness::{Cluster, Options};

fn main() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<()> {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("boot") {
        machine::boot().await?;
    }
    if wanted("idle") {
        machine::idle().await?;
    }
    if wanted("api") {
        let cluster = Cluster::start().await?;
        api::measure(&cluster).await?;
        cluster.stop().await?;
    }
    if wanted("scale") {
        let callers = scale::callers()?;
        let file = callers.path().display().to_string();
        let arguments = vec!["--token-auth-file".to_owned(), file];
        let cluster = Cluster::start_with(Options { arguments, ..Options::default() }).await?;
        scale::measure(&cluster).await?;
        cluster.stop().await?;
    }
    if wanted("pods") {
        // One slot a pod: the default of 110 pods a node is not what is measured here.
        let arguments = vec!["--pods-per-node".to_owned(), "1000".to_owned()];
        let cluster = Cluster::start_with(Options { arguments, ..Options::default() }).await?;
        guests::pods(&cluster).await?;
        cluster.stop().await?;
    }
    if wanted("http") {
        let cluster = Cluster::start().await?;
        guests::http(&cluster).await?;
        cluster.stop().await?;
    }
    Ok(())
}
