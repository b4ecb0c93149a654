//! Namespace.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{Namespace, NamespaceSpec, NamespaceStatus};
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

/// Keeps a namespace until everything in it is gone.
const FINALIZER: &str = "kubernetes";
/// The label that carries a namespace's name, so that selectors can name namespaces.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn phase(namespace: &Namespace) -> &str {
    namespace.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// A name that the server makes is not there yet when defaults are filled in.
fn label(namespace: &mut Namespace) {
    if let Some(name) = namespace.metadata.name.clone().filter(|name| !name.is_empty()) {
        namespace.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
    }
}

impl Strategy for Namespace {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short: &["ns"],
        categories: &[],
        namespaced: false,
        status: true,
    };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Status", "string", "Whether the namespace is in use or going."), AGE];
    const SELECTABLE: &'static [&'static str] = &["status.phase"];

    fn default_fields(&mut self) {
        label(self);
        let phase = &mut self.status.get_or_insert_default().phase;
        phase.get_or_insert_with(|| "Active".into());
    }

    fn prepare_create(&mut self) {
        self.status =
            Some(NamespaceStatus { phase: Some("Active".into()), ..NamespaceStatus::default() });
        let finalizers = self.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.into());
        }
        label(self);
    }

    fn rename(&mut self, name: String) {
        self.metadata.name = Some(name);
        label(self);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        if part == Part::Main {
            self.status = old.status.clone();
        }
        // Only the finalize subresource changes them.
        let finalizers = old.spec.as_ref().and_then(|spec| spec.finalizers.clone());
        self.spec = Some(NamespaceSpec { finalizers });
    }

    /// Who empties a namespace says by `finalize` that he is done.
    fn prepare_subresource(&mut self, old: &Self, _name: &str) -> Vec<Cause> {
        self.status = old.status.clone();
        self.validate()
    }

    fn validate(&self) -> Vec<Cause> {
        validation::namespace(self)
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        if part == Part::Status { validation::namespace_status(self) } else { vec![] }
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::dns_label(name)
    }

    fn select(&self) -> Vec<String> {
        vec![phase(self).into()]
    }

    fn row(&self) -> Vec<Value> {
        vec![name(self), json!(phase(self)), age(self)]
    }
}
