//! HTTP handlers, spoken to over the pod network.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use coracle_api::module::Form;
use coracle_network::{Source, Stream};
use coracle_sandbox::{ExitReason, HttpSpec, Instance, Reuse, Spec, StartError};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cluster::{Cluster, Prints};
use crate::wat::handler;

/// Answers with the number of the request within its instance, plus 200.
const COUNT: &str = "(call $answer (local.get $out) (i32.add (i32.const 200) (local.get $count)))";

struct Server<'a> {
    cluster: &'a Cluster,
    instance: Instance,
    prints: Prints,
    address: SocketAddr,
}

async fn serve<'a>(cluster: &'a Cluster, body: &str, change: impl FnOnce(&mut Spec)) -> Server<'a> {
    let (mut spec, prints) = cluster.spec(cluster.module(&handler(body)).await);
    spec.http.port = 8080;
    change(&mut spec);
    let address = SocketAddr::new(spec.interface.ip(), spec.http.port);
    Server { cluster, instance: cluster.start(spec).await, prints, address }
}

impl Server<'_> {
    async fn dial(&self) -> Stream {
        self.cluster.fabric.dial(&Source::Host, self.address).await.unwrap()
    }

    async fn connect(&self) -> SendRequest<Empty<Bytes>> {
        let (sender, connection) = handshake(TokioIo::new(self.dial().await)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn get(&self) -> StatusCode {
        get(&mut self.connect().await).await
    }
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>) -> StatusCode {
    try_get(sender).await.unwrap()
}

async fn try_get(sender: &mut SendRequest<Empty<Bytes>>) -> hyper::Result<StatusCode> {
    let request = Request::get("/").header("host", "guest").body(Empty::new()).unwrap();
    Ok(sender.send_request(request).await?.status())
}

#[tokio::test]
async fn instances_are_reused_as_often_as_asked() {
    let cluster = Cluster::new();
    let server = serve(&cluster, COUNT, |spec| spec.http.reuse = Reuse::Requests(3)).await;
    let mut connection = server.connect().await;
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(get(&mut connection).await.as_u16());
    }
    assert_eq!(seen, [201, 202, 203, 201, 202, 203, 201]);
    assert_eq!(server.instance.usage().requests, 7);

    let server = serve(&cluster, COUNT, |spec| spec.http.reuse = Reuse::Fresh).await;
    assert_eq!(server.get().await, 201);
    assert_eq!(server.get().await, 201);
}

#[tokio::test]
async fn a_handler_is_recognised_and_ends_when_it_is_stopped() {
    let cluster = Cluster::new();
    assert_eq!(cluster.module(&handler(COUNT)).await.form(), Form::HttpHandler);
    let server = serve(&cluster, COUNT, |_| {}).await;
    assert_eq!(server.get().await, 201);
    server.instance.stop(Duration::from_secs(3600));
    let exit = server.instance.wait().await;
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Completed));
    let refused = cluster.fabric.dial(&Source::Host, server.address).await;
    assert!(matches!(
        refused,
        Err(coracle_network::Error::Refused(_) | coracle_network::Error::Unreachable(_))
    ));
    assert_eq!(server.instance.usage().memory, 0);
}

#[tokio::test]
async fn a_trap_costs_a_request_and_an_instance_and_nothing_else() {
    let cluster = Cluster::new();
    let body =
        format!("(if (i32.eq (local.get $count) (i32.const 2)) (then (unreachable))) {COUNT}");
    let server = serve(&cluster, &body, |_| {}).await;
    let mut connection = server.connect().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(get(&mut connection).await.as_u16());
    }
    assert_eq!(seen, [201, 500, 201, 500]);
    assert_eq!(server.instance.usage().failures, 2);
    server.instance.stop(Duration::ZERO);
    server.instance.wait().await;
    let (_, err) = server.prints.texts().await;
    assert_eq!(err.matches("unreachable").count(), 2, "{err}");
}

#[tokio::test]
async fn a_handler_without_an_answer_is_a_500() {
    let cluster = Cluster::new();
    let server = serve(&cluster, "", |_| {}).await;
    assert_eq!(server.get().await, 500);
    assert_eq!(server.instance.usage().failures, 1);
}

#[tokio::test]
async fn memory_kills_the_instance_and_not_the_container() {
    let cluster = Cluster::new();
    let body = format!(
        "(if (i32.eq (local.get $count) (i32.const 2))
           (then (drop (memory.grow (i32.const 1000))))) {COUNT}"
    );
    let server = serve(&cluster, &body, |spec| spec.limits.memory = Some(4 << 20)).await;
    let mut connection = server.connect().await;
    assert_eq!(get(&mut connection).await, 201);
    assert_eq!(get(&mut connection).await, 500);
    assert_eq!(get(&mut connection).await, 201);
    assert_eq!(server.instance.usage().oom_kills, 1);
    assert_eq!(server.instance.waiter().exit(), None);
}

#[tokio::test]
async fn requests_run_side_by_side_within_bounds() {
    let cluster = Cluster::new();
    let spin = "(loop $l (br $l))";
    let server = serve(&cluster, spin, |spec| {
        spec.http = HttpSpec {
            max_instances: 2,
            max_waiting: 1,
            request_timeout: Duration::from_millis(300),
            ..spec.http.clone()
        };
    })
    .await;
    // Two run into their time, one waits for a seat until it runs out of patience, and what is
    // beyond that is refused.
    let mut seen = futures::future::join_all((0..5).map(|_| server.get())).await;
    seen.sort();
    assert_eq!(seen[..2], [503, 503], "{seen:?}");
    assert_eq!(seen[3..], [504, 504], "{seen:?}");
    assert!([503, 504].contains(&seen[2].as_u16()), "{seen:?}");
}

#[tokio::test]
async fn no_room_for_a_further_instance_makes_requests_wait() {
    let cluster = Cluster::new();
    // Room for one instance only: one page each.
    let server = serve(&cluster, COUNT, |spec| spec.limits.memory = Some(100_000)).await;
    let seen = futures::future::join_all((0..8).map(|_| server.get())).await;
    let mut numbers: Vec<u16> = seen.iter().map(|status| status.as_u16()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [201, 202, 203, 204, 205, 206, 207, 208]);
    assert_eq!(server.instance.usage().oom_kills, 0);
}

#[tokio::test]
async fn a_request_in_progress_is_answered_before_the_end() {
    let cluster = Cluster::new();
    let server = serve(&cluster, COUNT, |_| {}).await;
    // A request whose head is still on its way when the stop comes.
    let mut stream = server.dial().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: guest\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    stream.write_all(b"\r\n").await.unwrap();
    server.instance.stop(Duration::from_secs(3600));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.instance.wait().await.code, 0);
}

#[tokio::test]
async fn a_kill_does_not_wait_for_requests() {
    let cluster = Cluster::new();
    let server = serve(&cluster, "(loop $l (br $l))", |_| {}).await;
    let mut connection = server.connect().await;
    let killing = async {
        while server.instance.usage().requests == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.instance.stop(Duration::from_millis(50));
        server.instance.wait().await
    };
    let (answer, exit) = tokio::join!(try_get(&mut connection), killing);
    assert_eq!((exit.code, exit.reason), (137, ExitReason::Stopped));
    assert!(answer.is_err(), "the connection breaks as a killed process's would: {answer:?}");
}

#[tokio::test]
async fn a_taken_port_is_a_start_error() {
    let cluster = Cluster::new();
    let (mut spec, _) = cluster.spec(cluster.module(&handler(COUNT)).await);
    let _listener = spec.interface.listen(8080).unwrap();
    spec.http.port = 8080;
    let error = cluster.engine.start(spec).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { port: 8080, .. }), "{error}");
}

#[tokio::test]
async fn a_budget_ends_the_container_when_it_is_spent() {
    let cluster = Cluster::new();
    let server = serve(&cluster, COUNT, |spec| spec.limits.fuel = Some(1000)).await;
    let mut connection = server.connect().await;
    let mut answered = 0;
    while get(&mut connection).await != 500 {
        answered += 1;
    }
    assert!(answered > 2, "{answered}");
    let exit = server.instance.wait().await;
    assert_eq!(exit.reason, ExitReason::FuelExhausted);
    assert_eq!(server.instance.usage().fuel, 1000);
}
