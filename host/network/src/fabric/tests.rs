use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::BACKLOG;

const NODE: Cidr = Cidr::v4([10, 244, 0, 0], 24);

fn fabric() -> Fabric {
    Fabric::new(Config::default())
}

fn identity(name: &str) -> Identity {
    Identity {
        namespace: "shop".into(),
        name: name.into(),
        hostname: name.into(),
        node: "a".into(),
        ..Identity::default()
    }
}

fn pod(fabric: &Fabric, name: &str) -> Interface {
    fabric.attach(identity(name), NODE).unwrap()
}

fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn web(fabric: &Fabric, endpoints: &[IpAddr]) -> SocketAddr {
    let service = serde_json::from_value(json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]},
    }));
    let endpoints: Vec<_> = endpoints.iter().map(|ip| json!({"addresses": [ip]})).collect();
    let slice = serde_json::from_value(json!({
        "metadata": {
            "namespace": "shop", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080}],
        "endpoints": endpoints,
    }));
    fabric.services().replace(&[service.unwrap()], &[slice.unwrap()]);
    SocketAddr::from(([10, 96, 0, 9], 80))
}

#[tokio::test]
async fn two_pods_talk() {
    let fabric = fabric();
    let (server, client) = (pod(&fabric, "server"), pod(&fabric, "client"));
    let mut listener = server.listen(80).unwrap();
    let mut near = client.dial(at(server.ip(), 80)).await.unwrap();
    near.write_all(b"ping").await.unwrap();
    let mut far = listener.accept().await.unwrap();
    assert_eq!(far.peer.ip(), client.ip());
    assert_eq!(far.local, at(server.ip(), 80));
    let mut bytes = [0; 4];
    far.stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    far.stream.shutdown().await.unwrap();
    assert_eq!(near.read(&mut bytes).await.unwrap(), 0);
}

#[tokio::test]
async fn says_why_a_connection_fails() {
    let fabric = fabric();
    let (server, client) = (pod(&fabric, "server"), pod(&fabric, "client"));
    let dial = |to| {
        let client = client.clone();
        async move { client.dial(to).await.err().unwrap() }
    };
    assert!(matches!(dial(at(server.ip(), 80)).await, Error::Refused(_)));
    assert!(matches!(dial(at([10, 244, 0, 99].into(), 80)).await, Error::Unreachable(_)));
    assert!(matches!(dial(at([10, 96, 0, 99].into(), 80)).await, Error::Unreachable(_)));
    assert!(matches!(dial(at([192, 0, 2, 1].into(), 80)).await, Error::Denied(_)));
    let bound = server.bind(Face::Any, 80).unwrap();
    assert!(matches!(dial(at(server.ip(), 80)).await, Error::Refused(_)));
    let listener = bound.listen(2).unwrap();
    assert!(client.dial(at(server.ip(), 80)).await.is_ok());
    assert!(client.dial(at(server.ip(), 80)).await.is_ok());
    assert!(matches!(dial(at(server.ip(), 80)).await, Error::Refused(_)));
    drop(listener);
    assert!(matches!(dial(at(server.ip(), 80)).await, Error::Refused(_)));
    assert!(server.listen(80).is_ok());
}

#[tokio::test]
async fn ports_are_kept_apart_by_face() {
    let fabric = fabric();
    let (server, client) = (pod(&fabric, "server"), pod(&fabric, "client"));
    let mut inner = server.bind(Face::Loopback, 80).unwrap().listen(BACKLOG).unwrap();
    assert!(matches!(server.listen(80), Err(Error::InUse(80))));
    assert!(matches!(client.dial(at(server.ip(), 80)).await, Err(Error::Refused(_))));
    assert!(matches!(client.dial(loopback(80)).await, Err(Error::Refused(_))));
    let mut outer = server.bind(Face::Pod, 80).unwrap().listen(BACKLOG).unwrap();
    client.dial(at(server.ip(), 80)).await.unwrap();
    server.dial(loopback(80)).await.unwrap();
    assert_eq!(outer.accept().await.unwrap().peer.ip(), client.ip());
    let accepted = inner.accept().await.unwrap();
    assert!(accepted.peer.ip().is_loopback() && accepted.local == loopback(80));
    let (one, two) = (server.listen(0).unwrap(), server.listen(0).unwrap());
    assert_ne!(one.port(), two.port());
}

#[tokio::test]
async fn addresses_come_back_when_the_last_clone_goes() {
    let fabric = fabric();
    let first = pod(&fabric, "first");
    let ip = first.ip();
    let clone = first.clone();
    let mut listener = first.listen(80).unwrap();
    drop(first);
    assert!(matches!(fabric.attach_at(identity("x"), ip), Err(Error::Taken(_))));
    drop(clone);
    assert!(matches!(listener.accept().await, Err(Error::Detached)));
    let again = fabric.attach_at(identity("again"), ip).unwrap();
    assert_eq!(again.ip(), ip);
    again.detach();
    assert!(matches!(again.listen(80), Err(Error::Detached)));
    let successor = fabric.attach_at(identity("successor"), ip).unwrap();
    drop(again);
    assert!(fabric.endpoint(ip).is_some(), "the successor's address is its own");
    drop(successor);
    assert!(fabric.endpoint(ip).is_none());
    for wrong in ["10.245.0.2", "10.244.0.1", "fd00::2"] {
        let attached = fabric.attach_at(identity("x"), wrong.parse().unwrap());
        assert!(matches!(attached, Err(Error::OutOfRange { .. })), "{wrong}");
    }
    assert!(matches!(
        fabric.attach(identity("x"), Cidr::v4([10, 0, 0, 0], 8)),
        Err(Error::OutOfRange { .. })
    ));
}

#[tokio::test]
async fn services_lead_to_their_endpoints_in_turn() {
    let fabric = fabric();
    let servers: Vec<_> = (0..3).map(|n| pod(&fabric, &format!("server-{n}"))).collect();
    let mut listeners: Vec<_> = servers.iter().map(|pod| pod.listen(8080).unwrap()).collect();
    let ips: Vec<_> = servers.iter().map(Interface::ip).collect();
    let to = web(&fabric, &ips);
    for _ in 0..2 {
        for from in [Source::Host, Source::ApiServer, servers[0].source()] {
            fabric.dial(&from, to).await.unwrap();
        }
    }
    for listener in &mut listeners {
        for _ in 0..2 {
            assert_eq!(listener.accept().await.unwrap().local.port(), 8080);
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_has_ended_is_passed_over() {
    let fabric = fabric();
    let mut servers: Vec<_> = (0..3).map(|n| pod(&fabric, &format!("server-{n}"))).collect();
    let mut listeners: Vec<_> = servers.iter().map(|pod| pod.listen(8080).unwrap()).collect();
    let ips: Vec<_> = servers.iter().map(Interface::ip).collect();
    let to = web(&fabric, &ips);
    // One listens no longer, another is gone; the table still names both.
    drop(listeners.remove(0));
    drop(listeners.remove(0));
    drop(servers.remove(1));
    for _ in 0..6 {
        fabric.dial(&Source::Host, to).await.unwrap();
    }
    drop(listeners);
    assert!(matches!(
        fabric.dial(&Source::Host, to).await,
        Err(Error::Refused(_) | Error::Unreachable(_))
    ));
}

#[tokio::test]
async fn an_existing_stream_is_handed_over_as_it_is() {
    let fabric = fabric();
    let server = pod(&fabric, "server");
    let mut listener = server.listen(8080).unwrap();
    let to = web(&fabric, &[server.ip()]);
    let (mut near, far) = stream::pair();
    let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
    fabric.hand_over(Source::External(peer), to, far).await.unwrap();
    let mut accepted = listener.accept().await.unwrap();
    assert_eq!(accepted.peer, peer);
    accepted.stream.write_all(b"hi").await.unwrap();
    let mut bytes = [0; 2];
    near.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hi");
}

#[tokio::test]
async fn names_are_looked_up_as_a_pod_does() {
    let fabric = fabric();
    let me = pod(&fabric, "me");
    web(&fabric, &[me.ip()]);
    let cluster_ip = vec![IpAddr::from([10, 96, 0, 9])];
    for name in ["web", "WEB", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local."] {
        assert_eq!(me.resolve(name).await.unwrap(), cluster_ip, "{name}");
    }
    assert_eq!(fabric.resolve("other", "web.shop").await.unwrap(), cluster_ip);
    assert!(matches!(fabric.resolve("other", "web").await, Err(Error::NoSuchName(_))));
    assert_eq!(me.resolve("me").await.unwrap(), [me.ip()]);
    assert!(me.resolve("localhost").await.unwrap()[0].is_loopback());
    assert_eq!(me.resolve("10.1.2.3").await.unwrap(), [IpAddr::from([10, 1, 2, 3])]);
    for unknown in ["example.org", "", "nothing.shop.svc.cluster.local", "a b"] {
        assert!(matches!(me.resolve(unknown).await, Err(Error::NoSuchName(_))), "{unknown}");
    }
    let alias = |name: &str, target: &str| {
        serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"type": "ExternalName", "externalName": target},
        }))
        .unwrap()
    };
    fabric.services().apply_service(&alias("alias", "web.shop.svc.cluster.local"));
    assert_eq!(me.resolve("alias").await.unwrap(), cluster_ip);
    fabric.services().apply_service(&alias("loop", "loop.shop.svc.cluster.local"));
    assert!(matches!(me.resolve("loop").await, Err(Error::NoSuchName(_))));
}

/// A service whose only endpoint is `address`, out of the cluster.
fn outside(fabric: &Fabric, address: SocketAddr) -> SocketAddr {
    let service = serde_json::from_value(json!({
        "metadata": {"namespace": "shop", "name": "outside"},
        "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "https", "port": 443}]},
    }));
    let slice = serde_json::from_value(json!({
        "metadata": {
            "namespace": "shop",
            "name": "outside-x",
            "labels": {"kubernetes.io/service-name": "outside"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": address.port()}],
        "endpoints": [{"addresses": [address.ip()]}],
    }));
    fabric.services().replace(&[service.unwrap()], &[slice.unwrap()]);
    SocketAddr::from(([10, 96, 0, 7], 443))
}

#[tokio::test]
async fn the_outside_is_closed_to_all_but_the_host() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for egress in [Egress::Denied, Egress::Allowed] {
        let fabric = Fabric::new(Config { egress, ..Config::default() });
        let me = pod(&fabric, "me");
        let to = outside(&fabric, address);
        for from in [me.source(), Source::ApiServer, Source::External(loopback(4711))] {
            let dialled = fabric.dial(&from, to).await;
            assert!(matches!(dialled, Err(Error::Denied(_))), "{egress:?} {from:?}");
        }
        let mut near = fabric.dial(&Source::Host, to).await.unwrap();
        near.write_all(b"x").await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        far.read_exact(&mut [0]).await.unwrap();
        let (mut near, handed) = stream::pair();
        fabric.hand_over(Source::Host, to, handed).await.unwrap();
        near.write_all(b"y").await.unwrap();
        near.shutdown().await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"y");
    }
    drop(listener);
    let fabric = fabric();
    let to = outside(&fabric, address);
    assert!(matches!(fabric.dial(&Source::Host, to).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn a_thousand_connections_at_once() {
    let fabric = fabric();
    let server = pod(&fabric, "server");
    let mut listener = server.listen(80).unwrap();
    let to = at(server.ip(), 80);
    tokio::spawn(async move {
        while let Ok(mut accepted) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(accepted.stream.as_mut());
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            });
        }
    });
    let client = pod(&fabric, "client");
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..1000u32 {
        let client = client.clone();
        clients.spawn(async move {
            let mut stream = client.dial(to).await.unwrap();
            stream.write_all(&n.to_be_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut echoed = Vec::new();
            stream.read_to_end(&mut echoed).await.unwrap();
            assert_eq!(echoed, n.to_be_bytes());
        });
    }
    let results = clients.join_all().await;
    assert_eq!(results.len(), 1000);
}
