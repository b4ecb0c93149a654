//! CustomResourceDefinition: a kind that is defined at run time. What becomes of it stands in
//! [`crate::apiextensions`].

use coracle_api::cause::Cause;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionStatus,
};
use serde_json::{Value, json};

use super::generation;
use super::table::{NAME, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

/// Remembers a new version in which objects will be kept.
fn remember_storage(definition: &mut CustomResourceDefinition) {
    let stored = definition.spec.versions.iter().filter(|version| version.storage);
    let stored: Vec<_> = stored.map(|version| version.name.clone()).collect();
    let known = definition.status.get_or_insert_default().stored_versions.get_or_insert_default();
    for version in stored {
        if !known.contains(&version) {
            known.push(version);
        }
    }
}

impl Strategy for CustomResourceDefinition {
    const NAMES: Names = Names {
        group: "apiextensions.k8s.io",
        version: "v1",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        singular: "customresourcedefinition",
        short: &["crd", "crds"],
        categories: &["api-extensions"],
        namespaced: false,
        status: true,
    };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Created At", "date", "When the definition was created.")];
    const BYTES: &'static [&'static [&'static str]] =
        &[&["spec", "conversion", "webhook", "clientConfig", "caBundle"]];

    fn default_fields(&mut self) {
        let names = &mut self.spec.names;
        if names.singular.as_deref().unwrap_or_default().is_empty() {
            names.singular = Some(names.kind.to_lowercase());
        }
        if names.list_kind.as_deref().unwrap_or_default().is_empty() && !names.kind.is_empty() {
            names.list_kind = Some(format!("{}List", names.kind));
        }
        let conversion = self.spec.conversion.get_or_insert_with(|| CustomResourceConversion {
            strategy: "None".into(),
            webhook: None,
        });
        let config = conversion.webhook.as_mut().and_then(|hook| hook.client_config.as_mut());
        if let Some(service) = config.and_then(|config| config.service.as_mut()) {
            service.port.get_or_insert(443);
        }
        let stored = self.status.as_ref().and_then(|status| status.stored_versions.as_ref());
        if stored.is_none_or(|stored| stored.is_empty()) {
            remember_storage(self);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(CustomResourceDefinitionStatus::default());
        remember_storage(self);
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => {
                self.status = old.status.clone();
                remember_storage(self);
                let changed = self.spec != old.spec;
                generation::count(self, old, changed);
            }
            Part::Status => {
                let status = self.status.take();
                // Only finalizers may go with a status.
                let finalizers = self.metadata.finalizers.clone();
                let version = self.metadata.resource_version.clone();
                *self = old.clone();
                self.status = status;
                self.metadata.finalizers = finalizers;
                self.metadata.resource_version = version;
            }
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::customresourcedefinition(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => validation::customresourcedefinition_update(self, old),
            Part::Status => validation::customresourcedefinition_status(self),
        }
    }

    fn row(&self) -> Vec<Value> {
        let created = self.metadata.creation_timestamp.as_ref();
        let created = created.map(|time| time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        vec![name(self), json!(created.unwrap_or_default())]
    }
}
