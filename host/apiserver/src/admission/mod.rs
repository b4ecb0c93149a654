//! What is checked of, and added to, every write whatever its kind: one plugin a file, in the
//! order of one list. Plugins may read the store; they never write.

mod certificates;
mod default_class;
mod dynamic;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod pod_security;
mod priority;
mod resource_quota;
mod role_escalation;
mod runtime_class;
mod service_account;
mod taint_nodes_by_condition;
mod tolerations;

use std::sync::Arc;

use async_trait::async_trait;
use coracle_store::{Entry, Range};
use serde::de::DeserializeOwned;

use self::dynamic::{Dynamic, Rounds};
use crate::config::Dialer;
use crate::error::{ApiError, Result};
use crate::registry::{Object, Write, key, prefix};

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

/// The write that a plugin judges.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a> {
    pub(crate) operation: Operation,
    pub(crate) write: Write<'a>,
    /// Empty while a name is still to be generated.
    pub(crate) name: &'a str,
}

impl Attributes<'_> {
    /// Whether the write is about a whole object of that kind.
    fn is(&self, group: &str, plural: &str) -> bool {
        let names = self.write.kind.names();
        &*names.group == group && &*names.plural == plural && self.write.subresource.is_empty()
    }
}

#[async_trait]
pub(crate) trait Plugin: Send + Sync + 'static {
    /// Whether the plugin has anything to do with such writes.
    fn handles(&self, attributes: &Attributes<'_>) -> bool;

    /// Completes an object that is created or updated.
    async fn admit(
        &self,
        _attributes: &Attributes<'_>,
        _object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        Ok(())
    }

    /// Refuses a write. Deletions have no new object, creations no old one.
    async fn validate(
        &self,
        _attributes: &Attributes<'_>,
        _object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        Ok(())
    }
}

/// Every object of a kind in the namespace that is written to.
async fn in_namespace<T: DeserializeOwned>(
    write: Write<'_>,
    group: &str,
    plural: &str,
) -> Result<Vec<T>> {
    objects(write, group, plural, write.namespace).await
}

/// Every object of a kind.
async fn everywhere<T: DeserializeOwned>(
    write: Write<'_>,
    group: &str,
    plural: &str,
) -> Result<Vec<T>> {
    objects(write, group, plural, "").await
}

async fn objects<T: DeserializeOwned>(
    write: Write<'_>,
    group: &str,
    plural: &str,
    namespace: &str,
) -> Result<Vec<T>> {
    let Some(kind) = write.server.registry.kind(group, plural) else { return Ok(vec![]) };
    let prefix = prefix(kind.names(), namespace);
    let page = write.server.store.range(&prefix, Range::default()).await?;
    let read = |entry: &Arc<Entry>| serde_json::from_slice(&entry.value);
    page.entries.iter().map(read).collect::<Result<_, _>>().map_err(ApiError::internal)
}

/// The object of that name of a kind that has no namespaces.
async fn named<T: DeserializeOwned>(
    write: Write<'_>,
    group: &str,
    plural: &str,
    name: &str,
) -> Result<Option<T>> {
    let Some(kind) = write.server.registry.kind(group, plural) else { return Ok(None) };
    let entry = write.server.store.get(&key(kind.names(), "", name)).await?;
    let object = entry.map(|entry| serde_json::from_slice(&entry.value));
    object.transpose().map_err(ApiError::internal)
}

/// The plugins in their order.
pub(crate) struct Admission {
    /// Those that the server brings along.
    plugins: Vec<Box<dyn Plugin>>,
    /// What is configured: it sees what the plugins made of an object, and they what it made.
    dynamic: Dynamic,
    /// Those that look at what everything else has admitted.
    last: Vec<Box<dyn Plugin>>,
}

impl Admission {
    /// `dialer` is how webhooks are reached.
    pub(crate) fn new(dialer: Arc<dyn Dialer>) -> Self {
        Self {
            plugins: vec![
                Box::new(namespace_lifecycle::NamespaceLifecycle),
                Box::new(limit_ranger::LimitRanger),
                Box::new(service_account::ServiceAccount),
                Box::new(node_restriction::NodeRestriction),
                Box::new(taint_nodes_by_condition::TaintNodesByCondition),
                Box::new(pod_security::PodSecurity),
                Box::new(priority::Priority),
                Box::new(tolerations::DefaultTolerationSeconds),
                Box::new(default_class::DefaultStorageClass),
                Box::new(runtime_class::RuntimeClass),
                Box::new(certificates::CertificateRequester),
                Box::new(certificates::CertificateApproval),
                Box::new(certificates::CertificateSigning),
                Box::new(certificates::CertificateSubjectRestriction),
                Box::new(default_class::DefaultIngressClass),
            ],
            dynamic: Dynamic::new(dialer),
            last: vec![
                Box::new(resource_quota::ResourceQuota::default()),
                // No plugin of Kubernetes', but done at the same moment: after whatever changes
                // objects.
                Box::new(role_escalation::RoleEscalation),
            ],
        }
    }

    pub(crate) async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        let mut rounds = Rounds::default();
        admit(&self.plugins, attributes, object, old).await?;
        self.dynamic.admit(attributes, object, old, &mut rounds).await?;
        if rounds.changed {
            admit(&self.plugins, attributes, object, old).await?;
            self.dynamic.admit(attributes, object, old, &mut rounds).await?;
        }
        admit(&self.last, attributes, object, old).await
    }

    pub(crate) async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(attributes)) {
            plugin.validate(attributes, object, old).await?;
        }
        self.dynamic.validate(attributes, object, old).await?;
        for plugin in self.last.iter().filter(|plugin| plugin.handles(attributes)) {
            plugin.validate(attributes, object, old).await?;
        }
        Ok(())
    }
}

async fn admit(
    plugins: &[Box<dyn Plugin>],
    attributes: &Attributes<'_>,
    object: &mut dyn Object,
    old: Option<&dyn Object>,
) -> Result<()> {
    for plugin in plugins.iter().filter(|plugin| plugin.handles(attributes)) {
        plugin.admit(attributes, object, old).await?;
    }
    Ok(())
}
