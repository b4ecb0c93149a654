//! Between the versions of one kind: by name alone, or by asking a webhook
//! (`k8s.io/apiextensions-apiserver/pkg/apiserver/conversion`).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use coracle_kinds::{Error, Result};
use serde_json::{Map, Value};

use super::kind::{CustomKind, Origin};
use super::object::CustomResource;
use super::webhook::Webhook;
use crate::registry::{Conversion, Kind, Object, Part};

/// `spec.conversion.strategy`.
#[derive(Clone)]
pub(super) enum Strategy {
    /// Versions differ in nothing but their name.
    None,
    Webhook(Arc<Webhook>),
}

impl CustomKind {
    /// Encoded objects of whatever version as trees of this one.
    async fn trees(&self, stored: &[Bytes]) -> Result<Vec<Value>> {
        let parsed =
            stored.iter().map(|stored| serde_json::from_slice::<Map<String, Value>>(stored));
        let mut objects: Vec<_> =
            parsed.collect::<serde_json::Result<_>>().map_err(Error::internal)?;
        let version = self.names.api_version();
        match &self.strategy {
            Strategy::None => {
                for object in &mut objects {
                    object.insert("apiVersion".into(), version.as_str().into());
                }
            }
            Strategy::Webhook(webhook) => webhook.convert(&mut objects, &version).await?,
        }
        Ok(objects.into_iter().map(Value::Object).collect())
    }
}

#[async_trait]
impl Conversion for CustomKind {
    fn hub(&self) -> &dyn Kind {
        match &self.hub {
            Some(hub) => &**hub,
            None => self,
        }
    }

    async fn to_hub(&self, mut object: Box<dyn Object>) -> Result<Box<dyn Object>> {
        let Some(hub) = &self.hub else { return Ok(object) };
        if hub.names.version == self.names.version {
            return Ok(object);
        }
        let Some(resource) = object.downcast_mut::<CustomResource>() else {
            return Err(Error::internal("not a custom resource"));
        };
        match &self.strategy {
            Strategy::None => {
                resource.api_version = hub.names.api_version();
                resource.origin = Some(Origin::Rules(self.checks.clone()));
                let mut content = Value::Object(std::mem::take(&mut resource.content));
                hub.prune(&mut content);
                if let Value::Object(content) = content {
                    resource.content = content;
                }
                Ok(object)
            }
            Strategy::Webhook(_) => {
                // Another form can be checked by its own rules only while it is in it.
                let faults = self.checks.faults(resource, None, Part::Main);
                if !faults.is_empty() {
                    let name = resource.metadata.name.clone().unwrap_or_default();
                    let names = &self.names;
                    return Err(Error::Invalid {
                        group: names.group.to_string(),
                        kind: names.kind.to_string(),
                        name,
                        causes: faults,
                    });
                }
                let json = resource.json().map_err(Error::internal)?;
                let converted = hub.trees(&[json.into()]).await?;
                let converted = converted.into_iter().next().unwrap_or_default();
                let json = serde_json::to_vec(&converted).map_err(Error::internal)?;
                let mut object = hub.restore(&json)?;
                if let Some(resource) = object.downcast_mut::<CustomResource>() {
                    resource.origin = Some(Origin::Checked);
                }
                Ok(object)
            }
        }
    }

    async fn from_hub(&self, stored: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let trees = self.trees(&stored).await?;
        let shown = trees.into_iter().map(|mut tree| {
            self.coerce(&mut tree);
            serde_json::to_vec(&tree).map(Bytes::from)
        });
        shown.collect::<serde_json::Result<_>>().map_err(Error::internal)
    }

    fn field<'a>(&self, field: &'a str) -> Option<&'a str> {
        let known = field.starts_with("metadata.") || self.selectable().iter().any(|f| f == field);
        known.then_some(field)
    }
}
