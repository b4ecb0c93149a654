//! `coracle up`: a whole cluster in this process.

use std::io::Write;
use std::path::Path;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::config::Config;
use crate::{shutdown, telemetry};

/// Starts the cluster, says where it is, and runs it until a signal ends it.
pub(crate) fn run(config: Config) -> Result<()> {
    telemetry::begin();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("coracle").build()?;
    runtime.block_on(async {
        let stop = shutdown::requested();
        tokio::pin!(stop);
        let cluster = tokio::select! {
            cluster = Cluster::start(config) => cluster?,
            stopped = &mut stop => return stopped,
        };
        announce(&cluster)?;
        stop.await?;
        println!("\nStopping. Press Ctrl-C again to stop at once.");
        cluster.stop().await
    })
}

/// The few lines that a newcomer needs.
fn announce(cluster: &Cluster) -> Result<()> {
    let quoted = |path: &Path| path.display().to_string();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\
Coracle {version} is ready: {nodes} nodes, Kubernetes {kubernetes} at {url}

  export KUBECONFIG={kubeconfig}
  kubectl get nodes

Dashboard   {url}/ui/#token={token}
Upload      curl --cacert {ca} -H \"Authorization: Bearer $(cat {token_file})\" \\
                 -T app.wasm {url}/upload/default/app:v1

Ctrl-C stops it.",
        version = env!("CARGO_PKG_VERSION"),
        nodes = cluster.nodes(),
        kubernetes = coracle_api::version::KUBERNETES,
        url = cluster.url(),
        kubeconfig = quoted(&cluster.kubeconfig()),
        ca = quoted(&cluster.ca()),
        token = cluster.token(),
        token_file = quoted(&cluster.token_file()),
    )?;
    out.flush()?;
    Ok(())
}
