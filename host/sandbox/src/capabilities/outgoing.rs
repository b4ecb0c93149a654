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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use coracle_network::{Cidr, Config, Fabric, Identity};
    use http_body_util::{Empty, Full};
    use hyper::service::service_fn;

    use super::*;

    fn interface() -> Interface {
        let identity = Identity { hostname: "web-0".to_owned(), ..Identity::default() };
        Fabric::new(Config::default()).attach(identity, Cidr::v4([10, 244, 0, 0], 16)).unwrap()
    }

    /// Serves on port 80 of `interface`: each request's target and host, after `delay`.
    fn serve(interface: &Interface, delay: Duration) {
        let mut listener = interface.listen(80).unwrap();
        let service = service_fn(move |request: Request<Incoming>| async move {
            tokio::time::sleep(delay).await;
            let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
            let text = format!("{} {}", request.uri(), host.unwrap_or_default());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
        });
        tokio::spawn(async move {
            while let Ok(accepted) = listener.accept().await {
                let stream = TokioIo::new(accepted.stream);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(stream, service),
                );
            }
        });
    }

    async fn get(interface: &Interface, uri: &str) -> Result<String, Error> {
        get_with(interface, uri, RequestOptions::default()).await
    }

    async fn get_with(
        interface: &Interface,
        uri: &str,
        options: RequestOptions,
    ) -> Result<String, Error> {
        let body = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
        let request = Request::get(uri).header("host", "named").body(body).unwrap();
        let (response, _rest) = send(interface.clone(), request, options).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn requests_go_to_addresses_and_names_of_the_pod_network() {
        let interface = interface();
        serve(&interface, Duration::ZERO);
        let by_address = format!("http://{}/a?b=c", interface.ip());
        assert_eq!(get(&interface, &by_address).await.unwrap(), "/a?b=c named");
        assert_eq!(get(&interface, "http://web-0:80").await.unwrap(), "/ named");
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_told_apart() {
        let interface = interface();
        let refused = get(&interface, &format!("http://{}:81/", interface.ip())).await;
        assert!(matches!(refused, Err(Error::ConnectionRefused)), "{refused:?}");
        let unknown = get(&interface, "http://nobody/").await;
        assert!(matches!(unknown, Err(Error::DnsError { .. })), "{unknown:?}");
        let outside = get(&interface, "http://192.0.2.1/").await;
        assert!(matches!(outside, Err(Error::DestinationIpProhibited)), "{outside:?}");
        let Err(Error::InternalError(Some(text))) = get(&interface, "https://web-0/").await else {
            panic!("https is not carried");
        };
        assert!(text.contains("http only"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_guests_patience_is_kept() {
        let interface = interface();
        serve(&interface, Duration::from_secs(10));
        let options = RequestOptions {
            first_byte_timeout: Some(Duration::from_secs(5)),
            ..RequestOptions::default()
        };
        let late = get_with(&interface, "http://web-0/", options).await;
        assert!(matches!(late, Err(Error::ConnectionReadTimeout)), "{late:?}");
        assert!(get(&interface, "http://web-0/").await.is_ok());
    }
}
