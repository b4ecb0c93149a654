//! Request bodies, as JSON.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use super::decode::strict;
use super::{Call, yaml};
use crate::error::{ApiError, Reason, Result};
use crate::protobuf;

/// The whole body, if it is not too large.
pub(super) async fn read(call: &Call, mut body: Body) -> Result<Bytes> {
    let limit = call.server.limits.body;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |error| ApiError::bad_request(format!("cannot read the body: {error}"));
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(ApiError::too_large(format!("limit is {limit}")));
        }
        // Most bodies come in one piece, and need no copy then.
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(first.len() + data.len());
            }
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

/// The media type of the body without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The media types of objects that are read.
const ACCEPTED: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The body of a create, update or delete as JSON; YAML and protobuf are turned into it.
pub(super) async fn json(call: &Call, body: Body) -> Result<Bytes> {
    let json = as_json(call, body).await?;
    if let Some(record) = &call.record {
        record.request(&json);
    }
    Ok(json)
}

async fn as_json(call: &Call, body: Body) -> Result<Bytes> {
    let into_json: fn(Bytes) -> Result<Bytes> = match media_type(&call.headers) {
        "" | "application/json" | "*/*" => Ok,
        "application/yaml" | "application/x-yaml" | "text/yaml" => |bytes| from_yaml(&bytes),
        "application/vnd.kubernetes.protobuf" => {
            return from_protobuf(call, &read(call, body).await?);
        }
        _ => return Err(unsupported(ACCEPTED)),
    };
    into_json(read(call, body).await?)
}

/// Fields that this release does not know, a newer client's, are treated as those of JSON are.
fn from_protobuf(call: &Call, bytes: &[u8]) -> Result<Bytes> {
    // A deletion without options has no body at all.
    if bytes.is_empty() {
        return Ok(Bytes::new());
    }
    let bad = |error: protobuf::Malformed| ApiError::bad_request(error.to_string());
    let protobuf::Decoded { json, unknown } = protobuf::decode(bytes).map_err(bad)?;
    match call.params.get("fieldValidation") {
        _ if unknown.is_empty() => {}
        Some("Ignore") => {}
        Some("Strict") => return Err(ApiError::bad_request(strict(&unknown))),
        _ => unknown.into_iter().for_each(|complaint| call.warnings.add(complaint)),
    }
    Ok(json.into())
}

fn from_yaml(bytes: &[u8]) -> Result<Bytes> {
    let bad = |error| ApiError::bad_request(format!("error converting YAML to JSON: {error}"));
    yaml_to_json(bytes).map_err(bad)
}

/// The same document as JSON. Fields that are given twice stay there twice, for whoever reads it to
/// complain of.
pub(super) fn yaml_to_json(bytes: &[u8]) -> Result<Bytes, serde_yaml::Error> {
    let document: yaml::Document = serde_yaml::from_slice(bytes)?;
    Ok(document.0.into())
}

pub(super) fn unsupported(accepted: &[&str]) -> ApiError {
    let accepted = accepted.join(", ");
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: \
         {accepted}"
    );
    ApiError::new(Reason::UnsupportedMediaType, message)
}
