//! Reaching a pod from its node: HTTP and TCP over the pod network, for probes and hooks.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use coracle_network::{Fabric, Source, Stream};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Bytes of an answer that are read.
const BODY_LIMIT: usize = 10 * 1024;

/// Pause between attempts to reach a container that does not listen yet.
const NOT_YET: Duration = Duration::from_millis(5);

/// Why a pod did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("dial tcp {0}: {1}")]
    Dial(SocketAddr, coracle_network::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] http::Error),
    #[error("invalid port number or name: {0}")]
    Port(String),
    #[error("host {0:?} is not an address")]
    Host(String),
    #[error("the answer's body is too long or broken")]
    Body,
}

/// An answer to a GET.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: http::StatusCode,
    pub(crate) body: String,
}

/// The number of a port that is given by number or by the container's name for it.
pub(crate) fn port(container: &Container, port: &IntOrString) -> Result<u16, Error> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_ref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())
        }
    };
    let valid = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
    valid.ok_or_else(|| match port {
        IntOrString::Int(number) => Error::Port(number.to_string()),
        IntOrString::String(name) => Error::Port(name.clone()),
    })
}

/// Where a probe or hook goes: `host` if it names one, else the pod.
pub(crate) fn target(
    pod: IpAddr,
    host: Option<&str>,
    container: &Container,
    to: &IntOrString,
) -> Result<SocketAddr, Error> {
    let port = port(container, to)?;
    let ip = match host.filter(|host| !host.is_empty()) {
        Some(host) => host.parse().map_err(|_| Error::Host(host.to_owned()))?,
        None => pod,
    };
    Ok(SocketAddr::new(ip, port))
}

/// Opens a connection. While `patient`, a target that does not listen is tried again and again;
/// the caller sets the time limit.
pub(crate) async fn connect(
    fabric: &Fabric,
    to: SocketAddr,
    patient: bool,
) -> Result<Stream, Error> {
    loop {
        match fabric.dial(&Source::Host, to).await {
            Ok(stream) => return Ok(stream),
            Err(coracle_network::Error::Refused(_)) if patient => {
                tokio::time::sleep(NOT_YET).await;
            }
            Err(error) => return Err(Error::Dial(to, error)),
        }
    }
}

/// GETs what `action` says from `to`.
pub(crate) async fn get(
    fabric: &Fabric,
    to: SocketAddr,
    action: &HTTPGetAction,
    agent: &str,
    patient: bool,
) -> Result<Answer, Error> {
    let stream = connect(fabric, to, patient).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = action.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request = http::Request::get(path);
    let given = |name: &str| {
        action.http_headers.iter().flatten().any(|header| header.name.eq_ignore_ascii_case(name))
    };
    for (name, value) in
        [("Host", to.to_string().as_str()), ("User-Agent", agent), ("Accept", "*/*")]
    {
        if !given(name) {
            request = request.header(name, value);
        }
    }
    for header in action.http_headers.iter().flatten() {
        request = request.header(&header.name, &header.value);
    }
    let exchange = async {
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        let body = body.map_err(|_| Error::Body).map(|body| body.to_bytes());
        Ok::<_, Error>((status, body))
    };
    tokio::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    let (status, body) = tokio::select! {
        answer = &mut exchange => answer?,
        closed = &mut connection => {
            closed?;
            exchange.await?
        }
    };
    // Only the status decides; what of a long body was not read is not missed.
    let body = body.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    Ok(Answer { status, body })
}
