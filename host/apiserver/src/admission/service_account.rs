//! Every pod runs as a service account: its namespace's `default` unless it names another, which
//! must exist.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

use super::{Attributes, Operation, Plugin};
use crate::error::{ApiError, Result};
use crate::registry::{Object, key};

const DEFAULT: &str = "default";

pub(super) struct ServiceAccount;

#[async_trait]
impl Plugin for ServiceAccount {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation == Operation::Create && attributes.is("", "pods")
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(pod) = object.downcast_mut::<Pod>() else { return Ok(()) };
        let Some(spec) = &mut pod.spec else { return Ok(()) };
        let given = [&spec.service_account_name, &spec.service_account];
        let given = given.into_iter().flatten().find(|name| !name.is_empty()).cloned();
        let name = given.unwrap_or_else(|| DEFAULT.into());
        // Every namespace has its `default`, from the moment that its controller gets there.
        if name != DEFAULT {
            must_exist(attributes, &name).await?;
        }
        spec.service_account_name = Some(name.clone());
        spec.service_account = Some(name);
        Ok(())
    }
}

async fn must_exist(attributes: &Attributes<'_>, name: &str) -> Result<()> {
    let write = attributes.write;
    let Some(kind) = write.server.registry.kind("", "serviceaccounts") else { return Ok(()) };
    let key = key(kind.names(), write.namespace, name);
    if write.server.store.get(&key).await?.is_some() {
        return Ok(());
    }
    let namespace = write.namespace;
    let why = format!(
        "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
    );
    Err(ApiError::forbidden("", "pods", attributes.name, &why))
}
