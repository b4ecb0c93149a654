//! Nothing is created in a namespace that is missing or going; some namespaces never go.

use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::{ApiError, Cause, CauseReason, Result};
use crate::registry::{Facts, Object, key};

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

pub(super) struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        match attributes.operation {
            Operation::Create => !attributes.write.namespace.is_empty(),
            Operation::Delete => attributes.is("", "namespaces"),
            Operation::Update => false,
        }
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        _object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let write = attributes.write;
        let namespace = write.namespace;
        let Some(kind) = write.server.registry.kind("", "namespaces") else { return Ok(()) };
        let entry = write.server.store.get(&key(kind.names(), "", namespace)).await?;
        let entry = entry.ok_or_else(|| ApiError::not_found("", "namespaces", namespace))?;
        if !Facts::of(&entry, &*kind).is_some_and(|facts| facts.terminating) {
            return Ok(());
        }
        let names = write.kind.names();
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut error = ApiError::forbidden(&names.group, &names.plural, attributes.name, &why);
        let message = format!("namespace {namespace} is being terminated");
        let reason = CauseReason::NamespaceTerminating;
        error.causes.push(Cause::new(reason, "metadata.namespace", message));
        Err(error)
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        _object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        if attributes.operation == Operation::Delete && IMMORTAL.contains(&attributes.name) {
            let why = "this namespace may not be deleted";
            return Err(ApiError::forbidden("", "namespaces", attributes.name, why));
        }
        Ok(())
    }
}
