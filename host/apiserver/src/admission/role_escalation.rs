//! Nobody gives away what he does not hold, be it by a role or by a binding
//! (`pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased`).

use async_trait::async_trait;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef,
};

use super::{Attributes, Operation, Plugin};
use crate::authn::MASTERS;
use crate::authz::rbac::{Index, cover};
use crate::authz::{self, Decision, ResourceAttributes};
use crate::error::{ApiError, Result};
use crate::registry::Object;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) struct RoleEscalation;

#[async_trait]
impl Plugin for RoleEscalation {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation != Operation::Delete
            && &*attributes.write.kind.names().group == GROUP
            && !attributes.write.identity.is_in(MASTERS)
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        if old.is_some_and(|old| only_for_collection(object, old)) {
            return Ok(());
        }
        if let Some(role) = object.downcast_ref::<Role>() {
            return attributes.grant_role(role.rules.as_deref(), false).await;
        }
        if let Some(role) = object.downcast_ref::<ClusterRole>() {
            let before = old.and_then(|old| old.downcast_ref::<ClusterRole>());
            let collects = role.collects() || before.is_some_and(ClusterRoleExt::collects);
            return attributes.grant_role(role.rules.as_deref(), collects).await;
        }
        let role = match object.downcast_ref::<RoleBinding>() {
            Some(binding) => &binding.role_ref,
            None => match object.downcast_ref::<ClusterRoleBinding>() {
                Some(binding) => &binding.role_ref,
                None => return Ok(()),
            },
        };
        attributes.bind(role).await
    }
}

trait ClusterRoleExt {
    /// Whether the rules are collected from other roles.
    fn collects(&self) -> bool;
}

impl ClusterRoleExt for ClusterRole {
    fn collects(&self) -> bool {
        let selectors = self.aggregation_rule.as_ref();
        let selectors = selectors.and_then(|rule| rule.cluster_role_selectors.as_ref());
        selectors.is_some_and(|selectors| !selectors.is_empty())
    }
}

/// Whether nothing is changed but what lets the object go: its finalizers and owners.
fn only_for_collection(new: &dyn Object, old: &dyn Object) -> bool {
    let mut new = new.boxed_clone();
    let meta = new.meta_mut();
    meta.finalizers.clone_from(&old.meta().finalizers);
    meta.owner_references.clone_from(&old.meta().owner_references);
    meta.managed_fields.clone_from(&old.meta().managed_fields);
    meta.resource_version.clone_from(&old.meta().resource_version);
    matches!((new.json(), old.json()), (Ok(new), Ok(old)) if new == old)
}

impl Attributes<'_> {
    async fn may(&self, verb: &str, resource: &str, name: &str) -> Result<bool> {
        let write = self.write;
        let asked = authz::Attributes {
            verb,
            resource: Some(ResourceAttributes {
                group: GROUP,
                resource,
                namespace: write.namespace,
                name,
                ..ResourceAttributes::default()
            }),
            ..authz::Attributes::of(write.identity)
        };
        let server = write.server;
        let decision = server.authorizer.authorize(&*server.store, &asked).await?;
        Ok(matches!(decision, Decision::Allow(_)))
    }

    /// Refuses a role whose rules the caller does not hold. One that collects rules may come to
    /// hold any.
    async fn grant_role(&self, rules: Option<&[PolicyRule]>, collects: bool) -> Result<()> {
        let write = self.write;
        if self.may("escalate", &write.kind.names().plural, self.name).await? {
            return Ok(());
        }
        let look = |index: &Index| {
            let (own, errors) = index.rules_for(write.identity, write.namespace);
            let refusal =
                cover::escalation(write.identity, &own, rules.unwrap_or_default(), &errors);
            refusal.or_else(|| {
                let refused = collects && !cover::covers_everything(&own);
                refused.then(|| {
                    "must have cluster-admin privileges to use the aggregationRule".to_owned()
                })
            })
        };
        self.refuse(write.server.authorizer.rbac(&*write.server.store, look).await?)
    }

    /// Refuses a binding to a role whose rules the caller does not hold.
    async fn bind(&self, role: &RoleRef) -> Result<()> {
        let write = self.write;
        let resource = match &*role.kind {
            "ClusterRole" => "clusterroles",
            "Role" => "roles",
            // Validation says what is wrong with it.
            _ => return Ok(()),
        };
        if self.may("bind", resource, &role.name).await? {
            return Ok(());
        }
        let look = |index: &Index| {
            let Some(wanted) = index.rules(role, write.namespace) else {
                let singular = resource.trim_end_matches('s');
                return Err(ApiError::not_found(GROUP, singular, &role.name));
            };
            let (own, errors) = index.rules_for(write.identity, write.namespace);
            Ok(cover::escalation(write.identity, &own, wanted, &errors))
        };
        self.refuse(write.server.authorizer.rbac(&*write.server.store, look).await??)
    }

    fn refuse(&self, refusal: Option<String>) -> Result<()> {
        let names = self.write.kind.names();
        match refusal {
            None => Ok(()),
            Some(why) => Err(ApiError::forbidden(&names.group, &names.plural, self.name, &why)),
        }
    }
}
