//! What callers may do. One authorizer a file behind [`Authorizer`].

mod masters;

use crate::authn::Identity;
use crate::error::ApiError;

pub(crate) use masters::Masters;

/// A question to an authorizer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) verb: &'a str,
    /// `None` for paths that are no resource.
    pub(crate) resource: Option<ResourceAttributes<'a>>,
    pub(crate) path: &'a str,
}

/// The resource that a question is about. Empty strings stand for all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResourceAttributes<'a> {
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// An authorizer's answer. What is not allowed is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allow(String),
    Refuse(String),
}

pub(crate) trait Authorizer: Send + Sync + 'static {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision;
}

impl Attributes<'_> {
    /// The refusal, as `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters` words it.
    pub(crate) fn forbidden(&self, reason: &str) -> ApiError {
        let user = &self.identity.name;
        let verb = self.verb;
        let Some(resource) = &self.resource else {
            let path = self.path;
            let message = format!("forbidden: User {user:?} cannot {verb} path {path:?}");
            return ApiError::new(crate::Reason::Forbidden, explained(message, reason));
        };
        let ResourceAttributes { group, resource, subresource, namespace, name } = *resource;
        let whole = if subresource.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}/{subresource}")
        };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        let why = format!(
            "User {user:?} cannot {verb} resource {whole:?} in API group {group:?} {place}"
        );
        ApiError::forbidden(group, resource, name, &explained(why, reason))
    }
}

fn explained(message: String, reason: &str) -> String {
    if reason.is_empty() { message } else { format!("{message}: {reason}") }
}
