//! An object of a kind that is defined at run time: metadata, and a tree.

use std::any::Any;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::kind::Origin;
use crate::registry::Object;

/// A custom resource.
#[derive(Clone, Debug)]
pub(crate) struct CustomResource {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) metadata: ObjectMeta,
    /// Everything else, under `spec`, `status` or whatever its schema says.
    pub(super) content: Map<String, Value>,
    /// The version in which it came, if that is not the stored one.
    pub(super) origin: Option<Origin>,
}

impl CustomResource {
    /// The whole object as a tree.
    pub(super) fn tree(&self) -> Value {
        let mut tree = self.content.clone();
        tree.insert("apiVersion".into(), self.api_version.clone().into());
        tree.insert("kind".into(), self.kind.clone().into());
        tree.insert("metadata".into(), serde_json::to_value(&self.metadata).unwrap_or_default());
        Value::Object(tree)
    }
}

impl Serialize for CustomResource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", &self.api_version)?;
        map.serialize_entry("kind", &self.kind)?;
        map.serialize_entry("metadata", &self.metadata)?;
        for (name, value) in &self.content {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Object for CustomResource {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    fn boxed_clone(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }

    fn become_object(&mut self, with: Box<dyn Object>) {
        let with: Box<dyn Any> = with;
        if let Ok(with) = with.downcast::<Self>() {
            *self = *with;
        }
    }
}
