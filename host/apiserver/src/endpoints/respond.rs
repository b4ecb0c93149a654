//! Answers: objects in the negotiated form, and `Status`.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::negotiate::{Extent, Media, Output, View};
use super::table;
use crate::error::{ApiError, Reason, Result};
use crate::protobuf;
use crate::registry::{ApiResource, Kind};
use crate::request::Params;

/// An answer with the given body, which is JSON and complete.
pub(super) fn raw(status: StatusCode, output: Output, body: Bytes) -> Result<Response<Body>> {
    let body = match output.media {
        Media::Json if !output.pretty => body,
        Media::Json | Media::Yaml => reformatted(output, &body)?,
        Media::Protobuf => binary(&body)?.into(),
    };
    Ok(finished(status, output, body))
}

/// An answer with a body in its final form.
pub(super) fn finished(status: StatusCode, output: Output, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(output.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// An answer with one stored object, in the version of `kind`.
pub(super) async fn object(
    kind: &dyn Kind,
    status: StatusCode,
    output: Output,
    encoded: Bytes,
) -> Result<Response<Body>> {
    if let View::Metadata(Extent::List, _) = output.view {
        let message = format!(
            "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
            go_type(kind.names(), "")
        );
        return Err(ApiError::new(Reason::NotAcceptable, message));
    }
    let encoded = kind.shown(encoded).await?;
    let body = whole(kind, output, &encoded)?;
    match output.media {
        Media::Protobuf => Ok(finished(status, output, body)),
        Media::Json | Media::Yaml => raw(status, output, body),
    }
}

/// The form of one object, `encoded` in the version of `kind`: protobuf, or else JSON.
pub(super) fn whole(kind: &dyn Kind, output: Output, encoded: &Bytes) -> Result<Bytes> {
    let names = kind.names();
    Ok(match (output.view, output.media) {
        (View::Object, Media::Protobuf) => {
            let mut out = Vec::with_capacity(encoded.len());
            let version = names.api_version();
            message(&version, &names.kind)?.object(&version, &names.kind, encoded, &mut out)?;
            out.into()
        }
        (View::Metadata(_, version), Media::Protobuf) => {
            let (mut out, name) = (vec![], "PartialObjectMetadata");
            message(version, name)?.object(version, name, encoded, &mut out)?;
            out.into()
        }
        (View::Object, _) => encoded.clone(),
        (View::Metadata(_, version), _) => table::metadata(version, encoded)?.into(),
        (View::Table(include, version), _) => table::whole(kind, include, version, encoded)?,
    })
}

/// How protobuf writes a kind.
pub(super) fn message(api_version: &str, kind: &str) -> Result<protobuf::Kind> {
    let unknown = || ApiError::internal(format!("{api_version} {kind} has no protobuf form"));
    protobuf::Kind::find(api_version, kind).ok_or_else(unknown)
}

/// What Kubernetes calls the type of a kind, or of a list of it.
pub(super) fn go_type(names: &ApiResource, list: &str) -> String {
    format!("*{}.{}{list}", names.version, names.kind)
}

/// An object as protobuf, from JSON that says what it is.
pub(super) fn binary(body: &[u8]) -> Result<Vec<u8>> {
    #[derive(Deserialize)]
    struct TypeMeta<'a> {
        // Discovery's first answer has none.
        #[serde(default, borrow, rename = "apiVersion")]
        api_version: Cow<'a, str>,
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    let TypeMeta { api_version, kind } =
        serde_json::from_slice(body).map_err(ApiError::internal)?;
    let version = if api_version.is_empty() { "v1" } else { &api_version };
    let mut out = Vec::with_capacity(body.len());
    message(version, &kind)?.object(version, &kind, body, &mut out)?;
    Ok(out)
}

/// An answer with a tree.
pub(super) fn value(status: StatusCode, output: Output, value: &Value) -> Result<Response<Body>> {
    let body = serde_json::to_vec(value).map_err(ApiError::internal)?;
    raw(status, output, body.into())
}

/// What tells a document from an older one.
pub(super) fn hash(document: &[u8]) -> String {
    Sha256::digest(document).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The answer with an `ETag`, or the news that there is none for a caller who has it.
pub(super) fn tagged(
    mut response: Response<Body>,
    hash: &str,
    asked: &HeaderMap,
) -> Response<Body> {
    let etag = format!("\"{hash}\"");
    let known = asked.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|tag| tag.trim() == etag)) {
        *response.body_mut() = Body::empty();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
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

/// The answer for a request that failed, in the form that the caller accepts, if there is one.
pub(crate) fn refused(error: ApiError, accept: Option<HeaderValue>) -> Response<Body> {
    let mut headers = HeaderMap::new();
    if let Some(accept) = accept {
        headers.insert(header::ACCEPT, accept);
    }
    let output = Output::negotiate(&headers, &Params::default()).ok();
    let output = output.filter(|output| output.view == View::Object && output.media != Media::Json);
    let formed = output.and_then(|output| {
        let mut formed = value(error.code(), output, &error.status()).ok()?;
        if let Some(seconds) = error.retry_after {
            formed.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Some(formed)
    });
    formed.unwrap_or_else(|| error.into_response())
}

fn reformatted(output: Output, body: &[u8]) -> Result<Bytes> {
    let value: Value = serde_json::from_slice(body).map_err(ApiError::internal)?;
    if output.media == Media::Yaml {
        return Ok(serde_yaml::to_string(&value).map_err(ApiError::internal)?.into());
    }
    let mut text = serde_json::to_vec_pretty(&value).map_err(ApiError::internal)?;
    text.push(b'\n');
    Ok(text.into())
}
