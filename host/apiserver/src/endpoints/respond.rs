//! Answers: objects in the negotiated form, and `Status`.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::negotiate::{Output, View};
use super::table;
use crate::error::{ApiError, Result};
use crate::registry::Kind;

/// An answer with the given body, which is JSON and complete.
pub(super) fn raw(status: StatusCode, output: Output, body: Bytes) -> Result<Response<Body>> {
    let body = if output.yaml || output.pretty { reformatted(output, &body)? } else { body };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(output.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// An answer with one stored object, in the version of `kind`.
pub(super) async fn object(
    kind: &dyn Kind,
    status: StatusCode,
    output: Output,
    encoded: Bytes,
) -> Result<Response<Body>> {
    let encoded = kind.shown(encoded).await?;
    let body = match output.view {
        View::Object => encoded,
        View::Metadata => Bytes::from(table::metadata(kind, &encoded)?),
        View::Table(include) => table::whole(kind, include, &encoded)?,
    };
    raw(status, output, body)
}

/// An answer with a tree.
pub(super) fn value(status: StatusCode, output: Output, value: &Value) -> Result<Response<Body>> {
    let body = serde_json::to_vec(value).map_err(ApiError::internal)?;
    raw(status, output, body.into())
}

/// `metav1.Status` of something that went well.
pub(super) fn success(
    status: StatusCode,
    output: Output,
    details: Option<Value>,
) -> Result<Response<Body>> {
    let mut body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
    });
    match details {
        Some(details) => body["details"] = details,
        None => body["code"] = json!(status.as_u16()),
    }
    value(status, output, &body)
}

fn reformatted(output: Output, body: &[u8]) -> Result<Bytes> {
    let value: Value = serde_json::from_slice(body).map_err(ApiError::internal)?;
    if output.yaml {
        return Ok(serde_yaml::to_string(&value).map_err(ApiError::internal)?.into());
    }
    let mut text = serde_json::to_vec_pretty(&value).map_err(ApiError::internal)?;
    text.push(b'\n');
    Ok(text.into())
}
