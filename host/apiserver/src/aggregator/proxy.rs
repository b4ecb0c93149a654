//! A request, passed on to the server that serves its group, and the answer on its way back:
//! `proxyHandler` of kube-aggregator.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Extension;
use crate::authn::Identity;
use crate::server::Server;
use crate::upstream::relay;

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

/// Passes a request on. Both bodies flow as they come.
pub(crate) async fn forward(
    server: &Server,
    extension: &Extension,
    identity: &Identity,
    mut request: Request<Body>,
) -> Response<Body> {
    if !extension.is_available() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable\n");
    }
    let upstream = match extension.upstream(server) {
        Ok(upstream) => upstream,
        Err(why) => return plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let url = match extension.url(path).parse() {
        Ok(url) => url,
        Err(error) => return plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    // The name of this server is not the other's.
    request.headers_mut().remove(header::HOST);
    speak_for(identity, request.headers_mut());
    let answer = match relay(server, upstream, url, request).await {
        Ok(answer) => answer,
        Err(why) => {
            // Whether it answers at all is looked at sooner than it would be.
            extension.touched.notify_one();
            let why = format!("error trying to reach service: {why}\n");
            return plain(StatusCode::SERVICE_UNAVAILABLE, why);
        }
    };
    if answer.status().is_redirection() && answer.headers().contains_key(header::LOCATION) {
        let why = "the backend attempted to redirect this request, which is not permitted";
        return plain(StatusCode::BAD_GATEWAY, why);
    }
    answer
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
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let jane = Identity {
            uid: "17".into(),
            extra: vec![("example.com/a%b".into(), vec!["x".into(), "y".into()])],
            ..Identity::new("jane", &["devs", "ops"])
        };
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
}
