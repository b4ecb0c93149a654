//! The only place where something that went wrong becomes a Kubernetes `Status`.
//!
//! Reasons, codes and texts follow `k8s.io/apimachinery/pkg/api/errors`.

use axum::response::{IntoResponse, Response};
pub use coracle_api::cause::{Cause, CauseReason};
use coracle_kinds::Error as KindError;
use coracle_store::Error as StoreError;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// The result of everything on the way of a request.
pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

/// `metav1.StatusReason`, with its HTTP code in [`Reason::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Reason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
    /// None that clients could act upon; not written.
    Unknown,
}

impl Reason {
    /// The HTTP code of answers with this reason.
    pub fn code(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::Conflict => StatusCode::CONFLICT,
            Self::Gone | Self::Expired => StatusCode::GONE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InternalError | Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A failed request.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// Why it failed.
    pub reason: Reason,
    /// The sentence for people.
    pub message: String,
    /// What the request was about, if it got that far.
    pub subject: Option<Box<Subject>>,
    /// The fields at fault.
    pub causes: Vec<Cause>,
    /// When to try again, in seconds.
    pub retry_after: Option<u32>,
    /// Where an expired list can be taken up again.
    pub continue_at: Option<String>,
    /// The `Status` of an admission webhook that refused the request: its reason and code count.
    pub(crate) refusal: Option<Box<serde_json::Value>>,
}

/// What a failed request was about: `metav1.StatusDetails`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural resource, or the kind where Kubernetes puts the kind.
    pub kind: String,
    /// Object name.
    pub name: String,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

/// `pods` or `deployments.apps`.
fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn subject(group: &str, kind: &str, name: &str) -> Option<Box<Subject>> {
    Some(Box::new(Subject { group: group.into(), kind: kind.into(), name: name.into() }))
}

impl ApiError {
    /// An error with nothing but a reason and a sentence.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            subject: None,
            causes: vec![],
            retry_after: None,
            continue_at: None,
            refusal: None,
        }
    }

    /// The request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// Nobody is known behind the request.
    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized")
    }

    /// Something broke in here.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(Reason::InternalError, format!("Internal error occurred: {message}"))
    }

    /// No such object.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(resource, group));
        Self { subject: subject(group, resource, name), ..Self::new(Reason::NotFound, message) }
    }

    /// No such path.
    pub fn no_such_path() -> Self {
        Self::new(Reason::NotFound, "the server could not find the requested resource")
    }

    /// The name is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(resource, group));
        let subject = subject(group, resource, name);
        Self { subject, ..Self::new(Reason::AlreadyExists, message) }
    }

    /// The object is not in the state that the request builds on.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let resource_name = qualified(resource, group);
        let message = format!("Operation cannot be fulfilled on {resource_name} {name:?}: {why}");
        Self { subject: subject(group, resource, name), ..Self::new(Reason::Conflict, message) }
    }

    /// The caller may not do this. `why` is the authorizer's or admission plugin's sentence.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let resource_name = qualified(resource, group);
        let message = if name.is_empty() {
            format!("{resource_name} is forbidden: {why}")
        } else {
            format!("{resource_name} {name:?} is forbidden: {why}")
        };
        Self { subject: subject(group, resource, name), ..Self::new(Reason::Forbidden, message) }
    }

    /// The object breaks rules of its `kind`.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let mut faults = causes.iter().map(|c| format!("{}: {}", c.field, c.message));
        let faults = match (causes.len(), faults.next()) {
            (1, Some(only)) => only,
            (_, Some(first)) => {
                format!("[{first}, {}]", faults.collect::<Vec<_>>().join(", "))
            }
            (_, None) => String::new(),
        };
        let message = format!("{} {name:?} is invalid: {faults}", qualified(kind, group));
        let subject = subject(group, kind, name);
        Self { subject, causes, ..Self::new(Reason::Invalid, message) }
    }

    /// The resource has no such verb.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(Reason::MethodNotAllowed, message)
    }

    /// The request's body, or what would be stored, is too large.
    pub fn too_large(why: impl std::fmt::Display) -> Self {
        Self::new(Reason::RequestEntityTooLarge, format!("Request entity too large: {why}"))
    }

    /// The state that the request asks for is not written yet.
    pub(crate) fn future(asked: u64, current: u64) -> Self {
        let cause = Cause::new(
            CauseReason::ResourceVersionTooLarge,
            String::new(),
            "Too large resource version".into(),
        );
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self { causes: vec![cause], retry_after: Some(1), ..Self::new(Reason::Timeout, message) }
    }

    /// The history that the request needs is forgotten.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// The HTTP code of the answer.
    pub fn code(&self) -> StatusCode {
        let given = self.refusal.as_ref().and_then(|status| status["code"].as_u64());
        let given = given.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
        given.unwrap_or_else(|| self.reason.code())
    }

    /// The `Status` object.
    pub fn status(&self) -> serde_json::Value {
        if let Some(refusal) = &self.refusal {
            return (**refusal).clone();
        }
        let code = self.reason.code().as_u16();
        let mut details = serde_json::Map::new();
        if let Some(subject) = &self.subject {
            for (key, value) in
                [("name", &subject.name), ("group", &subject.group), ("kind", &subject.kind)]
            {
                if !value.is_empty() {
                    details.insert(key.into(), json!(value));
                }
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(|cause| {
                let mut shown = json!({ "message": cause.message });
                if cause.reason != CauseReason::Unknown {
                    shown["reason"] = json!(format!("{:?}", cause.reason));
                }
                if !cause.field.is_empty() {
                    shown["field"] = json!(cause.field);
                }
                shown
            });
            details.insert("causes".into(), causes.collect());
        }
        if let Some(seconds) = self.retry_after {
            details.insert("retryAfterSeconds".into(), json!(seconds));
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": code,
        });
        if self.reason != Reason::Unknown {
            status["reason"] = json!(format!("{:?}", self.reason));
        }
        if let Some(token) = &self.continue_at {
            status["metadata"]["continue"] = json!(token);
        }
        if !details.is_empty() {
            status["details"] = details.into();
        }
        status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.code(), axum::Json(self.status())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What is kept is an object of its kind; anything else is our fault.
impl From<crate::protobuf::Unwritable> for ApiError {
    fn from(error: crate::protobuf::Unwritable) -> Self {
        Self::internal(error)
    }
}

/// What kinds refuse, or cannot do.
impl From<KindError> for ApiError {
    fn from(error: KindError) -> Self {
        match error {
            KindError::Malformed(message) => Self::bad_request(message),
            KindError::Invalid { group, kind, name, causes } => {
                Self::invalid(&group, &kind, &name, causes)
            }
            KindError::Conversion(message) => Self::new(Reason::Unknown, message),
            KindError::Internal(message) => Self::internal(message),
        }
    }
}

/// Store errors that a verb did not give a meaning of its own.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Compacted { asked, oldest } => {
                Self::expired(format!("too old resource version: {asked} ({oldest})"))
            }
            StoreError::Future { asked, current } => Self::future(asked, current),
            StoreError::Lagged => Self::expired("the watcher fell behind; list again"),
            StoreError::Closed => {
                Self::new(Reason::ServiceUnavailable, "the server is shutting down")
            }
            other => Self::internal(other),
        }
    }
}
