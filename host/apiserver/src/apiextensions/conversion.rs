//! Between the versions of one kind: by name alone, or by asking a webhook.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::kind::CustomKind;
use super::object::CustomResource;
use crate::error::{ApiError, Result};
use crate::registry::{Conversion, Kind, Object};

/// How a version becomes the one that is stored, and back.
pub(super) struct Spoke {
    pub(super) hub: Arc<CustomKind>,
    pub(super) strategy: Strategy,
}

/// `spec.conversion.strategy`.
#[derive(Clone)]
pub(super) enum Strategy {
    /// Versions differ in nothing but their name.
    None,
}

#[async_trait]
impl Conversion for CustomKind {
    fn hub(&self) -> &dyn Kind {
        match &self.spoke {
            Some(spoke) => &*spoke.hub,
            None => self,
        }
    }

    async fn to_hub(&self, mut object: Box<dyn Object>) -> Result<Box<dyn Object>> {
        let Some(spoke) = &self.spoke else { return Ok(object) };
        let hub = &spoke.hub;
        if hub.names.version == self.names.version {
            return Ok(object);
        }
        let Some(resource) = object.downcast_mut::<CustomResource>() else {
            return Err(ApiError::internal("not a custom resource"));
        };
        match &spoke.strategy {
            Strategy::None => {
                resource.api_version = hub.names.api_version();
                resource.origin = Some(self.checks.clone());
                let mut content = Value::Object(std::mem::take(&mut resource.content));
                hub.prune(&mut content);
                if let Value::Object(content) = content {
                    resource.content = content;
                }
            }
        }
        Ok(object)
    }

    async fn from_hub(&self, stored: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let shown = stored.iter().map(|stored| {
            let mut object: Map<String, Value> = serde_json::from_slice(stored)?;
            object.insert("apiVersion".into(), self.names.api_version().into());
            let mut object = Value::Object(object);
            self.coerce(&mut object);
            serde_json::to_vec(&object).map(Bytes::from)
        });
        shown.collect::<serde_json::Result<_>>().map_err(ApiError::internal)
    }

    fn field<'a>(&self, field: &'a str) -> Option<&'a str> {
        let known = field.starts_with("metadata.") || self.selectable().iter().any(|f| f == field);
        known.then_some(field)
    }
}
