use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::{Cidr, Config, Identity, Interface};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn service(node_port: u16) -> Service {
    serde_json::from_value(json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": node_port}]},
    }))
    .unwrap()
}

fn slice(ip: IpAddr) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {
            "namespace": "shop", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080}],
        "endpoints": [{"addresses": [ip.to_string()]}],
    }))
    .unwrap()
}

/// A port that nobody had a moment ago.
async fn free_port() -> u16 {
    TcpListener::bind((LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port()
}

async fn connect(port: u16) -> TcpStream {
    loop {
        match TcpStream::connect((LOCALHOST, port)).await {
            Ok(stream) => return stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn pod(fabric: &Fabric) -> Interface {
    fabric.attach(Identity::default(), Cidr::v4([10, 244, 0, 0], 24)).unwrap()
}

#[tokio::test]
async fn hands_the_host_s_connections_to_the_service() {
    let fabric = Fabric::new(Config::default());
    let pod = pod(&fabric);
    let mut listener = pod.listen(8080).unwrap();
    let port = free_port().await;
    fabric.services().replace(&[service(port)], &[slice(pod.ip())]);
    let serving = tokio::spawn(serve(fabric.clone(), vec![LOCALHOST], |failure| {
        panic!("{failure:?}");
    }));

    let mut client = connect(port).await;
    let mut accepted = listener.accept().await.unwrap();
    assert_eq!(accepted.peer, client.local_addr().unwrap());
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = String::new();
    accepted.stream.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "hello");
    accepted.stream.write_all(b"bye").await.unwrap();
    drop(accepted);
    received.clear();
    client.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "bye");

    // Without an endpoint the connection ends at once.
    fabric.services().remove_slice("shop", "web-x");
    let mut client = connect(port).await;
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);

    // The service moves to another port, then goes.
    let moved = free_port().await;
    fabric.services().apply_service(&service(moved));
    connect(moved).await;
    while TcpStream::connect((LOCALHOST, port)).await.is_ok() {}
    fabric.services().remove_service("shop", "web");
    while TcpStream::connect((LOCALHOST, moved)).await.is_ok() {}
    serving.abort();
}

#[tokio::test]
async fn reports_a_port_that_is_taken_and_opens_it_later() {
    let fabric = Fabric::new(Config::default());
    let taken = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    fabric.services().apply_service(&service(port));
    let (report, mut reports) = mpsc::unbounded_channel();
    let mut ports = NodePorts::new(fabric);
    let report = move |failure| report.send(failure).unwrap();
    ports.align(&[LOCALHOST], &report).await;
    ports.align(&[LOCALHOST], &report).await;
    let failure = reports.try_recv().unwrap();
    assert_eq!(failure.address.port(), port);
    assert_eq!(failure.error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(failure.node_port.service, "web");
    assert!(reports.try_recv().is_err(), "reported once");
    drop(taken);
    ports.align(&[LOCALHOST], &report).await;
    assert!(ports.failed.is_empty() && ports.open.len() == 1);
}
