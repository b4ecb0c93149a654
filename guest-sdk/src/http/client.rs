//! Requests to others.

use std::io::{self, Write};
use std::time::Duration;

use super::response::BodyWriter;
use super::{Body, Header, entries, find, method_of};
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types as wasi;

/// A request to be sent.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let mut answer = coracle_guest::http::Outgoing::get("http://hello.default/").send()?;
/// let page = answer.body().read_all(1 << 20)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Outgoing {
    method: String,
    url: String,
    headers: Vec<Header>,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

impl Outgoing {
    /// A request of this method for this `http://` or `https://` address.
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
        }
    }

    /// A `GET`.
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn with_body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// With this patience for the connection and for the first byte of the answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and waits for the answer's head.
    pub fn send(mut self) -> io::Result<Answer> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (scheme, authority, target) = split(&self.url)
            .ok_or_else(|| invalid(format!("{:?} is not an http or https address", self.url)))?;
        if !self.body.is_empty() {
            self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
            self.headers.push(("content-length".to_owned(), self.body.len().to_string().into()));
        }
        let fields = wasi::Fields::from_list(&self.headers).map_err(io::Error::other)?;
        let request = wasi::OutgoingRequest::new(fields);
        let part = |what: &str| invalid(format!("invalid {what}: {} {}", self.method, self.url));
        request.set_method(&method_of(&self.method)).map_err(|()| part("method"))?;
        request.set_scheme(Some(&scheme)).map_err(|()| part("scheme"))?;
        request.set_authority(Some(authority)).map_err(|()| part("authority"))?;
        request.set_path_with_query(Some(&target)).map_err(|()| part("path"))?;
        let options = wasi::RequestOptions::new();
        if let Some(timeout) = self.timeout {
            let nanoseconds = Some(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
            let unsupported = |()| io::Error::from(io::ErrorKind::Unsupported);
            options.set_connect_timeout(nanoseconds).map_err(unsupported)?;
            options.set_first_byte_timeout(nanoseconds).map_err(unsupported)?;
        }
        let body = request.body().map_err(|()| io::Error::other("the request has no body"))?;
        let pending = outgoing_handler::handle(request, Some(options)).map_err(io::Error::other)?;
        {
            // Dropped before the body, whose child it is.
            let stream =
                body.write().map_err(|()| io::Error::other("the body is already taken"))?;
            let mut writer = BodyWriter(stream);
            writer.write_all(&self.body)?;
            writer.flush()?;
        }
        wasi::OutgoingBody::finish(body, None).map_err(io::Error::other)?;
        pending.subscribe().block();
        let response = match pending.get() {
            Some(Ok(response)) => response.map_err(io::Error::other)?,
            Some(Err(())) | None => return Err(io::Error::other("no answer came")),
        };
        let body = response.consume().map_err(|()| io::Error::other("the answer has no body"))?;
        Ok(Answer {
            status: response.status(),
            headers: entries(&response.headers()),
            body: Body::new(body)?,
        })
    }
}

/// The answer to an [`Outgoing`] request.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<Header>,
    body: Body,
}

impl Answer {
    /// 200, 404, ...
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, if its value is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Every header.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The body, as it arrives.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }
}

/// Scheme, authority, and path with query.
fn split(url: &str) -> Option<(wasi::Scheme, &str, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "http" => wasi::Scheme::Http,
        "https" => wasi::Scheme::Https,
        _ => return None,
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    (!authority.is_empty()).then_some((scheme, authority, target))
}
