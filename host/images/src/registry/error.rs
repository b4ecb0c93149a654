//! Errors in the form that the distribution specification gives them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::Error;
use crate::error::AdmitError;

/// One error of an answer.
#[derive(Debug)]
pub(crate) struct RegistryError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl RegistryError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn name_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", message)
    }

    pub(super) fn name_unknown(repository: impl std::fmt::Display) -> Self {
        let message = format!("no repository {repository}");
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message)
    }

    pub(super) fn tag_invalid(tag: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "TAG_INVALID", format!("{tag:?} is not a valid tag"))
    }

    pub(super) fn blob_unknown(digest: impl std::fmt::Display) -> Self {
        let message = format!("no blob {digest} in this repository");
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", message)
    }

    pub(super) fn manifest_unknown(reference: &str) -> Self {
        let message = format!("no manifest {reference} in this repository");
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
    }

    pub(super) fn manifest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message)
    }

    pub(super) fn manifest_blob_unknown(digest: impl std::fmt::Display) -> Self {
        let message = format!("the manifest refers to the blob {digest}, which was not pushed");
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", message)
    }

    pub(super) fn upload_unknown() -> Self {
        let message = "no such upload, or it was idle for too long";
        Self::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
    }

    pub(super) fn upload_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
    }

    pub(super) fn size_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
    }

    pub(super) fn too_many_uploads() -> Self {
        let message = "too many uploads in progress";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message)
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "image store");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", error.to_string())
    }
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message });
        (self.status, Json(json!({ "errors": [error] }))).into_response()
    }
}

impl From<Error> for RegistryError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::TooLarge { .. } => Self::size_invalid(message),
            Error::DigestMismatch { .. } | Error::InvalidDigest(_) => {
                Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
            }
            Error::Transfer(_) => Self::upload_invalid(message),
            Error::Missing(digest) => Self::blob_unknown(digest),
            Error::Io { .. } => Self::internal(&error),
        }
    }
}

impl From<AdmitError> for RegistryError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Refused(refused) => {
                Self::manifest_invalid(format!("the module is refused: {refused}"))
            }
            AdmitError::Store(error) => error.into(),
            AdmitError::Interrupted(_) => Self::internal(&error),
        }
    }
}

impl From<Box<kube::Error>> for RegistryError {
    fn from(error: Box<kube::Error>) -> Self {
        let kube::Error::Api(status) = *error else { return Self::internal(&error) };
        let http = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = match http {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::FORBIDDEN => "DENIED",
            StatusCode::NOT_FOUND => "NAME_UNKNOWN",
            StatusCode::UNPROCESSABLE_ENTITY => "NAME_INVALID",
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        Self::new(http, code, status.message.clone())
    }
}
