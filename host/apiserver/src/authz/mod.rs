//! What callers may do: members of `system:masters` everything, nodes what their pods need
//! ([`node`]), everybody what roles bound to him say ([`rbac`]). Roles that every cluster has
//! stand in [`policy`]. Knows nothing of HTTP, and of the store only what [`Mirror`]s show.

pub(crate) mod node;
pub(crate) mod policy;
pub(crate) mod rbac;

use std::fmt;

use coracle_api::selector::FieldSelector;
use coracle_store::Store;
use k8s_openapi::api::core::v1::PersistentVolume;

use crate::authn::{Identity, MASTERS};
use crate::error::{ApiError, Result};
use crate::registry::Mirror;
use node::Judgement;

/// A question to the authorizer.
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
    /// What the request narrows itself to, if that could be read.
    pub(crate) fields: Option<&'a FieldSelector>,
}

/// The answer to a question. What is not allowed is refused.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    Allow(Granted),
    /// With the reason, if there is anything to say beside that nothing allows it.
    Refuse(String),
}

/// Why something is allowed.
#[derive(Clone, Debug)]
pub(crate) enum Granted {
    /// It needs no reason.
    Plainly,
    /// By a binding.
    Binding(rbac::Grant),
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plainly => Ok(()),
            Self::Binding(grant) => write!(f, "RBAC: allowed by {grant}"),
        }
    }
}

/// All authorizers in their order.
#[derive(Default)]
pub(crate) struct Authorizer {
    graph: Mirror<node::Graph>,
    rbac: Mirror<rbac::Index>,
}

impl Authorizer {
    pub(crate) async fn authorize(
        &self,
        store: &dyn Store,
        asked: &Attributes<'_>,
    ) -> Result<Decision> {
        if asked.identity.is_in(MASTERS) {
            return Ok(Decision::Allow(Granted::Plainly));
        }
        let before = match node::judge(asked) {
            Judgement::Nothing => String::new(),
            Judgement::Allow => return Ok(Decision::Allow(Granted::Plainly)),
            Judgement::Refuse(reason) => reason,
            Judgement::Depends(question) if self.relates(store, &question).await? => {
                return Ok(Decision::Allow(Granted::Plainly));
            }
            Judgement::Depends(question) => question.refusal(),
        };
        let decision = self.rbac(store, |index| rbac::authorize(index, asked)).await?;
        Ok(match decision {
            Decision::Refuse(reason) if reason.is_empty() => Decision::Refuse(before),
            Decision::Refuse(reason) if !before.is_empty() => {
                Decision::Refuse(format!("{before}\n{reason}"))
            }
            decision => decision,
        })
    }

    /// Whether a pod of the node refers to an object.
    async fn relates(&self, store: &dyn Store, question: &node::Question<'_>) -> Result<bool> {
        let node::Question { node, object, namespace, name } = *question;
        let claim;
        let (related, namespace, name) = match object {
            node::Object::Direct(related) => (related, namespace, name),
            node::Object::Volume => {
                let Some(entry) = store.get(&format!("{VOLUMES}{name}")).await? else {
                    return Ok(false);
                };
                claim = claim_of(&entry.value);
                let Some((namespace, name)) = &claim else { return Ok(false) };
                (node::Related::Claim, namespace.as_str(), name.as_str())
            }
        };
        let look = |graph: &node::Graph| graph.relates(node, related, namespace, name);
        Ok(self.graph.read(store, look).await?)
    }

    /// Looks at the roles and bindings as they are now.
    pub(crate) async fn rbac<R>(
        &self,
        store: &dyn Store,
        look: impl FnOnce(&rbac::Index) -> R,
    ) -> coracle_store::Result<R> {
        self.rbac.read(store, look).await
    }
}
/// Where persistent volumes are kept.
const VOLUMES: &str = "/registry/core/persistentvolumes/";

/// Namespace and name of the claim that a volume is bound to.
fn claim_of(volume: &[u8]) -> Option<(String, String)> {
    let volume: PersistentVolume = serde_json::from_slice(volume).ok()?;
    let claim = volume.spec?.claim_ref?;
    claim.namespace.zip(claim.name)
}

impl<'a> Attributes<'a> {
    /// A question about `identity` that is still to be asked.
    pub(crate) fn of(identity: &'a Identity) -> Self {
        Self { identity, verb: "", resource: None, path: "" }
    }

    /// The refusal, as `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters` words it.
    pub(crate) fn forbidden(&self, reason: &str) -> ApiError {
        let user = &self.identity.name;
        let verb = self.verb;
        let Some(resource) = &self.resource else {
            let path = self.path;
            let message = format!("forbidden: User {user:?} cannot {verb} path {path:?}");
            return ApiError::new(crate::Reason::Forbidden, explained(message, reason));
        };
        let ResourceAttributes { group, resource, subresource, namespace, name, .. } = *resource;
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
