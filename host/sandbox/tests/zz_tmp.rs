#![allow(dead_code, unreachable_pub, missing_docs)]
#[path = "sandbox/cluster.rs"]
mod cluster;
use cluster::*;
use bytes::Bytes;
use coracle_sandbox::Source;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn echo() {
    let cluster = Cluster::new();
    let load = async |name: &str| {
        let bytes = std::fs::read(format!("/tmp/net-{name}.wasm")).unwrap();
        cluster.engine.load(&digest(&bytes), Source::Bytes(Bytes::from(bytes))).await.unwrap()
    };
    let (mut server, server_out) = cluster.spec(load("echo-server").await);
    server.args = vec!["echo-server".into(), "7".into()];
    let ip = server.interface.ip();
    let server = cluster.start(server).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (target, n, size) in [(format!("{ip}:7"), "10000", "1"), (format!("{ip}:7"), "2000", "16384"), (format!("{}.x.pod.cluster.local:7", ip.to_string().replace('.', "-")), "10", "64"), (format!("{ip}:8"), "1", "1"), ("nobody:7".into(), "1", "1"), ("192.0.2.1:7".into(), "1", "1")] {
        let (mut client, out) = cluster.spec(load("echo-client").await);
        client.args = vec!["echo-client".into(), target.clone(), n.into(), size.into()];
        let exit = cluster.start(client).await.wait().await;
        eprintln!("{target} {n} x {size}: {exit:?} {:?}", out.texts().await);
    }
    server.stop(Duration::from_secs(5));
    let exit = server.wait().await;
    eprintln!("server: {exit:?} {:?}", server_out.texts().await);
}
