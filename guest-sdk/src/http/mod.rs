//! HTTP without a server to set up: the cluster takes connections on the pod's address and calls
//! the handler, one request at a time per instance; and requests to others.
//!
//! What a handler prints goes to the pod's log. What it keeps in statics lasts as long as its
//! instance, which the host may end after any request.

mod client;
mod request;
mod response;

pub use client::{Answer, Outgoing};
pub use request::{Body, Request};
pub use response::Response;

use crate::bindings::wasi::http::types as wasi;

/// A header's name, in lower case, and its value.
pub type Header = (String, Vec<u8>);

/// Makes `fn(Request) -> Response` the module's HTTP handler. For the root of a crate of type
/// `cdylib`, once.
///
/// ```no_run
/// use coracle_guest::http::{Request, Response};
///
/// coracle_guest::http_handler!(answer);
///
/// fn answer(_: Request) -> Response {
///     Response::text(200, "hello\n")
/// }
/// ```
#[macro_export]
macro_rules! http_handler {
    ($handler:path) => {
        const _: () = {
            struct Handler;

            impl $crate::bindings::exports::wasi::http::incoming_handler::Guest for Handler {
                fn handle(
                    request: $crate::bindings::wasi::http::types::IncomingRequest,
                    answer: $crate::bindings::wasi::http::types::ResponseOutparam,
                ) {
                    $crate::http::serve($handler, request, answer);
                }
            }

    $crate::bindings::export_guest!(Handler with_types_in $crate::bindings);
        };
    };
}

/// One request through a handler; what `http_handler!` exports.
#[doc(hidden)]
pub fn serve(
    handler: fn(Request) -> Response,
    request: wasi::IncomingRequest,
    answer: wasi::ResponseOutparam,
) {
    let response = handler(Request::new(request));
    if let Err(error) = response.send(answer) {
        eprintln!("the response could not be sent: {error}");
    }
}

fn entries(fields: &wasi::Fields) -> Vec<Header> {
    let lower = |(name, value): (String, _)| (name.to_ascii_lowercase(), value);
    fields.entries().into_iter().map(lower).collect()
}

fn find<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}

fn method_name(method: wasi::Method) -> String {
    use wasi::Method;
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    }
    .to_owned()
}

fn method_of(name: &str) -> wasi::Method {
    use wasi::Method;
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}
