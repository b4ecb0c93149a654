//! A request, passed on to the server that serves its group, and the answer on its way back:
//! `proxyHandler` of kube-aggregator.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Extension;
use crate::authn::Identity;
use crate::server::Server;

const USER: HeaderName = HeaderName::from_static("x-remote-user");
const UID: HeaderName = HeaderName::from_static("x-remote-uid");
const GROUP: HeaderName = HeaderName::from_static("x-remote-group");
const EXTRA: &str = "x-remote-extra-";
/// What may not stand in the name of a header.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');
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

/// Says in headers who asks, in place of whatever they said.
pub(super) fn speak_for(identity: &Identity, headers: &mut HeaderMap) {
    let said: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with(EXTRA)).cloned().collect();
    for name in said.iter().chain([&USER, &UID, &GROUP]) {
        headers.remove(name);
    }
    let mut say = |name: HeaderName, value: &str| match HeaderValue::from_bytes(value.as_bytes()) {
        Ok(value) => drop(headers.append(name, value)),
        Err(_) => tracing::warn!(%name, value, "cannot be said in a header"),
    };
    say(USER, &identity.name);
    if !identity.uid.is_empty() {
        say(UID, &identity.uid);
    }
    for group in &identity.groups {
        say(GROUP, group);
    }
    for (key, values) in &identity.extra {
        let name = format!("{EXTRA}{}", utf8_percent_encode(key, ESCAPED));
        let Ok(name) = HeaderName::try_from(name) else { continue };
        values.iter().for_each(|value| say(name.clone(), value));
    }
}

/// Whether a request wants its connection to become something else.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    let options = headers.get_all(header::CONNECTION).iter();
    let mut options = options.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    options.any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// Passes a request on. Both bodies flow as they come.
pub(crate) async fn forward(
    server: &Server,
    extension: &Extension,
    identity: &Identity,
    request: Request<Body>,
) -> Response<Body> {
    if !extension.is_available() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable\n");
    }
    let upstream = match extension.upstream(server) {
        Ok(upstream) => upstream,
        Err(why) => return plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
    };
    let (mut parts, body) = request.into_parts();
    let upgraded = parts.extensions.remove::<OnUpgrade>().filter(|_| is_upgrade(&parts.headers));
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = match extension.url(path).parse() {
        Ok(uri) => uri,
        Err(error) => return plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let wanted = upgraded.as_ref().and_then(|_| parts.headers.get(header::UPGRADE).cloned());
    let headers = onward.headers_mut();
    *headers = parts.headers;
    pass(headers);
    // The name of this server, and what was meant for it alone.
    headers.remove(header::HOST);
    headers.remove(header::AUTHORIZATION);
    speak_for(identity, headers);
    let answer = match (&upgraded, wanted) {
        (Some(_), Some(wanted)) => {
            onward.headers_mut().insert(header::UPGRADE, wanted);
            let option = HeaderValue::from_static("Upgrade");
            onward.headers_mut().insert(header::CONNECTION, option);
            upstream.upgrade(server, onward).await
        }
        _ => upstream.send(server, onward).await,
    };
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(why) => {
            // Whether it answers at all is looked at sooner than it would be.
            extension.touched.notify_one();
            let why = format!("error trying to reach service: {why}\n");
            return plain(StatusCode::SERVICE_UNAVAILABLE, why);
        }
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        if let Some(near) = upgraded {
            let far = hyper::upgrade::on(&mut answer);
            tokio::spawn(connect(near, far));
        }
        // What was agreed on is for both connections.
        return answer.map(|_| Body::empty());
    }
    if answer.status().is_redirection() && answer.headers().contains_key(header::LOCATION) {
        let why = "the backend attempted to redirect this request, which is not permitted";
        return plain(StatusCode::BAD_GATEWAY, why);
    }
    let (parts, body) = answer.into_parts();
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    pass(response.headers_mut());
    response
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

/// What Go's `http.Error` writes.
fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_speak_for_the_caller_alone() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "root"),
            ("x-remote-group", "system:masters"),
            ("x-remote-extra-scopes", "all"),
            ("connection", "keep-alive, X-Secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let jane = Identity {
            uid: "17".into(),
            extra: vec![("example.com/a%b".into(), vec!["x".into(), "y".into()])],
            ..Identity::new("jane", &["devs", "ops"])
        };
        pass(&mut headers);
        speak_for(&jane, &mut headers);
        let mut said: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        said.sort_unstable();
        assert_eq!(
            said,
            [
                ("accept", "*/*"),
                ("x-remote-extra-example.com%2fa%25b", "x"),
                ("x-remote-extra-example.com%2fa%25b", "y"),
                ("x-remote-group", "devs"),
                ("x-remote-group", "ops"),
                ("x-remote-uid", "17"),
                ("x-remote-user", "jane"),
            ]
        );
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
