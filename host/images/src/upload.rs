//! `curl -T app.wasm https://.../upload/<namespace>/<name>:<tag>`: the whole way in one request.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use http::StatusCode;
use kube::core::Status;
use serde_json::json;

use crate::error::AdmitError;
use crate::reference::{DEFAULT_TAG, is_tag};
use crate::registry::{Caller, Registry, Repository};
use crate::{Error, module};

/// Why an upload is refused, as a Kubernetes `Status`.
#[derive(Debug)]
pub(crate) struct UploadError {
    code: StatusCode,
    reason: String,
    message: String,
}

impl UploadError {
    fn new(code: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into() }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "image store");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", error.to_string())
    }
}

pub(crate) async fn put(
    State(registry): State<Registry>,
    Caller(client): Caller,
    Path((namespace, reference)): Path<(String, String)>,
    body: Body,
) -> Result<Response, UploadError> {
    let (name, tag) = reference.split_once(':').unwrap_or((&reference, DEFAULT_TAG));
    let Repository { namespace, name } =
        Repository::new(&namespace, name).map_err(UploadError::bad_request)?;
    if !is_tag(tag) {
        return Err(UploadError::bad_request(format!("{tag:?} is not a valid tag")));
    }
    module::may_push(&client, &namespace, &name).await?;
    let images = &registry.images;
    let body = body.into_data_stream().map_err(|error| error.to_string());
    let stored = images.put(body).await?;
    let admitted = images.admit(&stored.digest).await?;
    let manifest = images.put_manifest(&namespace, &name, &admitted).await?;
    let tag = admitted.tag(tag, &manifest);
    let answer = json!({
        "image": format!("{name}:{}", tag.name),
        "namespace": namespace,
        "digest": tag.digest,
        "manifest": tag.manifest,
        "size": tag.size,
        "form": tag.form,
        "imports": tag.imports,
        "exports": tag.exports,
    });
    module::put_tag(&client, &namespace, &name, tag).await?;
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

impl IntoResponse for UploadError {
    fn into_response(self) -> Response {
        let status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        (self.code, Json(status)).into_response()
    }
}

impl From<Error> for UploadError {
    fn from(error: Error) -> Self {
        match &error {
            Error::TooLarge { limit } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                format!("the module is refused: it is larger than the limit of {limit} bytes"),
            ),
            Error::Transfer(_) => Self::bad_request(error.to_string()),
            _ => Self::internal(&error),
        }
    }
}

impl From<AdmitError> for UploadError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Refused(refused) => {
                Self::bad_request(format!("the module is refused: {refused}"))
            }
            AdmitError::Store(error) => error.into(),
            AdmitError::Interrupted(_) => Self::internal(&error),
        }
    }
}

impl From<Box<kube::Error>> for UploadError {
    /// What the API server said, unchanged.
    fn from(error: Box<kube::Error>) -> Self {
        let kube::Error::Api(status) = *error else { return Self::internal(&error) };
        let Status { code, reason, message, .. } = *status;
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { code, reason, message }
    }
}
