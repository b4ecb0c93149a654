//! A request, passed on with its body as it comes, and the answer on its way back; also where both
//! agree that the connection becomes something else.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use super::Upstream;
use crate::server::Server;

/// What concerns one connection and not the next.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "proxy-connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a request wants its connection to become something else.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    let options = headers.get_all(header::CONNECTION).iter();
    let mut options = options.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    options.any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// Sends a request on to `url`.
pub(crate) async fn relay(
    server: &Server,
    upstream: &Upstream,
    url: Uri,
    request: Request<Body>,
) -> Result<Response<Body>, String> {
    let (mut parts, body) = request.into_parts();
    let near = parts.extensions.remove::<OnUpgrade>().filter(|_| is_upgrade(&parts.headers));
    let wanted = parts.headers.get(header::UPGRADE).cloned();
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = url;
    let headers = onward.headers_mut();
    *headers = parts.headers;
    pass(headers);
    let (Some(near), Some(wanted)) = (near, wanted) else {
        let (parts, body) = upstream.send(server, onward).await?.into_parts();
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        pass(response.headers_mut());
        return Ok(response);
    };
    headers.insert(header::UPGRADE, wanted);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let mut answer = upstream.upgrade(server, onward).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let far = hyper::upgrade::on(&mut answer);
        tokio::spawn(connect(near, far));
        // What was agreed on holds for both connections.
        return Ok(answer.map(|_| Body::empty()));
    }
    let mut answer = answer.map(Body::new);
    pass(answer.headers_mut());
    Ok(answer)
}

/// Removes what concerns one connection only.
fn pass(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().map(HeaderName::as_str).chain(HOP_BY_HOP.iter().copied()) {
        headers.remove(name);
    }
}

/// Carries bytes between two connections that have become something else, until one ends.
async fn connect(near: OnUpgrade, far: OnUpgrade) {
    let carry = |near: Upgraded, far: Upgraded| async {
        let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    };
    match tokio::try_join!(near, far) {
        Ok((near, far)) => {
            if let Err(error) = carry(near, far).await {
                tracing::debug!(%error, "an upgraded connection broke");
            }
        }
        Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        pass(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn upgrades_are_recognised() {
        for (value, expected) in
            [("Upgrade", true), ("keep-alive, upgrade", true), ("keep-alive", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONNECTION, HeaderValue::from_static(value));
            assert_eq!(is_upgrade(&headers), expected, "{value}");
        }
    }
}
