//! A request as the handler gets it.

use std::cell::OnceCell;
use std::io::{self, Read};

use super::{Header, entries, find, method_name};
use crate::bindings::wasi::http::types as wasi;
use crate::bindings::wasi::io::streams::InputStream;
use crate::stream;

/// A request. What of it is not looked at is not fetched from the host.
#[derive(Debug)]
pub struct Request {
    request: wasi::IncomingRequest,
    method: OnceCell<String>,
    target: OnceCell<String>,
    authority: OnceCell<Option<String>>,
    headers: OnceCell<Vec<Header>>,
    body: Option<Body>,
}

impl Request {
    pub(super) fn new(request: wasi::IncomingRequest) -> Self {
        Self {
            request,
            method: OnceCell::new(),
            target: OnceCell::new(),
            authority: OnceCell::new(),
            headers: OnceCell::new(),
            body: None,
        }
    }

    /// `GET`, `POST`, ...
    pub fn method(&self) -> &str {
        self.method.get_or_init(|| method_name(self.request.method()))
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// What follows the path's `?`.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    fn target(&self) -> &str {
        self.target.get_or_init(|| match self.request.path_with_query() {
            Some(target) => target,
            None => "/".to_owned(),
        })
    }

    /// The host (and port) that the client asked for.
    pub fn authority(&self) -> Option<&str> {
        self.authority.get_or_init(|| self.request.authority()).as_deref()
    }

    /// The first header of this name, if its value is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(self.headers(), name)
    }

    /// Every header.
    pub fn headers(&self) -> &[Header] {
        self.headers.get_or_init(|| entries(&self.request.headers()))
    }

    /// The body, read as it arrives by [`Read`].
    pub fn body(&mut self) -> io::Result<&mut Body> {
        let body = match self.body.take() {
            Some(body) => body,
            None => {
                let body = self.request.consume();
                Body::new(body.map_err(|()| io::Error::other("the request has no body"))?)?
            }
        };
        Ok(self.body.insert(body))
    }
}

/// A body on its way in.
#[derive(Debug)]
pub struct Body {
    // The body comes last: its stream must be dropped before it.
    stream: InputStream,
    _body: wasi::IncomingBody,
}

impl Body {
    pub(super) fn new(body: wasi::IncomingBody) -> io::Result<Self> {
        let stream =
            body.stream().map_err(|()| io::Error::other("the body is already being read"))?;
        Ok(Self { stream, _body: body })
    }

    /// All that is left of it; an error if that is more than `limit` bytes.
    pub fn read_all(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            let message = format!("the body is longer than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(bytes)
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        stream::read(&self.stream, into, true)
    }
}
