//! Outgoing `wasi:http`: names are the cluster's, connections are the pod network's.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use coracle_network::{Interface, Stream};
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, timeout};
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// How long each phase may take unless the guest says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);

/// A future on its way to or from `wasi:http`.
type Boxed<T> = Box<dyn Future<Output = Result<T, Error>> + Send>;

/// One guest's way out.
pub(crate) struct Outgoing {
    interface: Interface,
}

impl Outgoing {
    pub(crate) fn new(interface: Interface) -> Self {
        Self { interface }
    }
}

impl WasiHttpHooks for Outgoing {
    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTP)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: Boxed<()>,
    ) -> Boxed<(Response<WasiBody>, Boxed<()>)> {
        let interface = self.interface.clone();
        Box::new(send(interface, request, options.unwrap_or_default()))
    }
}

async fn send(
    interface: Interface,
    mut request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<(Response<WasiBody>, Boxed<()>), Error> {
    let stream =
        timeout(options.connect_timeout.unwrap_or(PATIENCE), connect(&interface, request.uri()))
            .await
            .map_err(|_| Error::ConnectionTimeout)??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = spawn(connection);

    // A server is asked by path; scheme and authority would address a proxy.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
    let first = options.first_byte_timeout.unwrap_or(PATIENCE);
    let response = timeout(first, sender.send_request(request))
        .await
        .map_err(|_| Error::ConnectionReadTimeout)??;
    let between = options.between_bytes_timeout.unwrap_or(PATIENCE);
    let response = response.map(|body| Timed::new(body, between).boxed_unsync());
    let rest: Boxed<()> = Box::new(async move { connection.await.map_err(Error::from) });
    Ok((response, rest))
}

async fn connect(interface: &Interface, uri: &Uri) -> Result<Stream, Error> {
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    if uri.scheme() != Some(&Scheme::HTTP) {
        let scheme = uri.scheme_str().unwrap_or_default();
        let text = format!("{scheme}://{authority}: guests can send requests over http only");
        return Err(Error::InternalError(Some(text)));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(80);
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => interface.resolve(host).await.map_err(refused)?,
    };
    let mut last = Error::DestinationNotFound;
    for address in addresses {
        match interface.dial(SocketAddr::new(address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = refused(error),
        }
    }
    Err(last)
}

fn refused(error: coracle_network::Error) -> Error {
    use coracle_network::Error as Network;
    match error {
        Network::NoSuchName(_) => {
            Error::DnsError { rcode: Some("NXDOMAIN".to_owned()), info_code: None }
        }
        Network::Refused(_) => Error::ConnectionRefused,
        Network::Unreachable(_) => Error::DestinationIpUnroutable,
        Network::Denied(_) => Error::DestinationIpProhibited,
        Network::TimedOut(_) => Error::ConnectionTimeout,
        Network::Detached => Error::DestinationUnavailable,
        other => Error::Connect(other.into()),
    }
}

/// A response body whose next part must come within a time.
struct Timed {
    body: Incoming,
    between: Duration,
    late: Pin<Box<Sleep>>,
}

impl Timed {
    fn new(body: Incoming, between: Duration) -> Self {
        Self { body, between, late: Box::pin(tokio::time::sleep(between)) }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.late.as_mut().reset(Instant::now() + this.between);
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        ready!(this.late.as_mut().poll(context));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
