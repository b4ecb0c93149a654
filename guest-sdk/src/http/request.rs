//! A request as the handler gets it.

use std::io::{self, Read};

use super::{Header, entries, find, method_name};
use crate::bindings::wasi::http::types as wasi;
use crate::bindings::wasi::io::streams::InputStream;
use crate::stream;

/// A request. Its body is read as it arrives, by [`Read`] on [`Request::body`].
#[derive(Debug)]
pub struct Request {
    method: String,
    target: String,
    authority: Option<String>,
    headers: Vec<Header>,
    body: Body,
}

impl Request {
    pub(super) fn receive(request: wasi::IncomingRequest) -> io::Result<Self> {
        let body = request.consume().map_err(|()| io::Error::other("the request has no body"))?;
        Ok(Self {
            method: method_name(request.method()),
            target: request.path_with_query().unwrap_or_else(|| "/".to_owned()),
            authority: request.authority(),
            headers: entries(&request.headers()),
            body: Body::new(body)?,
        })
    }

    /// `GET`, `POST`, ...
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// What follows the path's `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The host (and port) that the client asked for.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
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

/// A body on its way in.
#[derive(Debug)]
pub struct Body {
    // The body comes last: its stream must be dropped before it.
    stream: InputStream,
    _body: wasi::IncomingBody,
}

impl Body {
    pub(super) fn new(body: wasi::IncomingBody) -> io::Result<Self> {
        let stream = body.stream().map_err(|()| io::Error::other("the body is already being read"))?;
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
