//! A response as the handler gives it.

use std::fmt;
use std::io::{self, Write};

use super::Header;
use crate::bindings::wasi::http::types as wasi;
use crate::bindings::wasi::io::streams::OutputStream;
use crate::stream;

type Writer = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()>>;

enum Content {
    Bytes(Vec<u8>),
    Written(Writer),
}

/// A response.
pub struct Response {
    status: u16,
    headers: Vec<Header>,
    content: Content,
}

impl Response {
    /// An empty response with this status.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::Bytes(Vec::new()) }
    }

    /// A response of plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status)
            .with_header("content-type", "text/plain; charset=utf-8")
            .with_body(text.into())
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
        self.content = Content::Bytes(bytes.into());
        self
    }

    /// With a body that `write` writes piece by piece while it is sent. An error cuts it off.
    #[must_use]
    pub fn written_by(
        mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + 'static,
    ) -> Self {
        self.content = Content::Written(Box::new(write));
        self
    }

    pub(super) fn send(mut self, answer: wasi::ResponseOutparam) -> io::Result<()> {
        // A length known beforehand is said, so that the host need not send the body in chunks;
        // these statuses have no body and so no length.
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        if let Content::Bytes(bytes) = &self.content
            && !bodiless
        {
            self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
            self.headers.push(("content-length".to_owned(), bytes.len().to_string().into()));
        }
        let (response, refusal) = match self.head() {
            Ok(response) => (response, None),
            Err(refusal) => {
                let response = wasi::OutgoingResponse::new(wasi::Fields::new());
                let _ = response.set_status_code(500);
                (response, Some(refusal))
            }
        };
        let body = response.body().map_err(|()| io::Error::other("the response has no body"))?;
        wasi::ResponseOutparam::set(answer, Ok(response));
        if let Some(refusal) = refusal {
            wasi::OutgoingBody::finish(body, None).map_err(io::Error::other)?;
            return Err(refusal);
        }
        {
            // Dropped before the body, whose child it is.
            let stream =
                body.write().map_err(|()| io::Error::other("the body is already taken"))?;
            let mut writer = BodyWriter(stream);
            match self.content {
                Content::Bytes(bytes) => writer.write_all(&bytes)?,
                Content::Written(write) => write(&mut writer)?,
            }
            writer.flush()?;
        }
        wasi::OutgoingBody::finish(body, None).map_err(io::Error::other)
    }

    fn head(&self) -> io::Result<wasi::OutgoingResponse> {
        let fields = wasi::Fields::from_list(&self.headers).map_err(io::Error::other)?;
        let response = wasi::OutgoingResponse::new(fields);
        response
            .set_status_code(self.status)
            .map_err(|()| io::Error::other(format!("{} is not an HTTP status", self.status)))?;
        Ok(response)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// A body on its way out.
pub(super) struct BodyWriter(pub(super) OutputStream);

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        stream::write(&self.0, bytes, true)
    }

    fn flush(&mut self) -> io::Result<()> {
        stream::flush(&self.0, true)
    }
}
