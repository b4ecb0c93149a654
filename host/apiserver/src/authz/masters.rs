//! Members of `system:masters` may do everything; whoever is known may look at what the server
//! offers.

use super::{Attributes, Authorizer, Decision};
use crate::authn::{AUTHENTICATED, MASTERS};

pub(crate) struct Masters;

/// The paths that tell what the server is and offers.
const DISCOVERY: &[&str] =
    &["/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"];

/// Reviews of the caller's own self.
const SELF_REVIEWS: &[(&str, &str)] = &[
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
];

impl Authorizer for Masters {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let Attributes { identity, verb, resource, path } = attributes;
        if identity.is_in(MASTERS) {
            return Decision::Allow(String::new());
        }
        let allowed = identity.is_in(AUTHENTICATED)
            && match resource {
                None => *verb == "get" && (*path == "/" || is_discovery(path)),
                Some(r) => *verb == "create" && SELF_REVIEWS.contains(&(r.group, r.resource)),
            };
        if allowed { Decision::Allow(String::new()) } else { Decision::Refuse(String::new()) }
    }
}

fn is_discovery(path: &str) -> bool {
    DISCOVERY.iter().any(|root| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
