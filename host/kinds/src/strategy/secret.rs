//! Secret.

use coracle_api::cause::Cause;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

impl Strategy for Secret {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        short: &[],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Type", "string", "What programs may expect in the data."),
        column("Data", "string", "Number of entries in data."),
        AGE,
    ];
    const SELECTABLE: &'static [&'static str] = &["type"];
    const BYTES: &'static [&'static [&'static str]] = &[&["data", "*"]];

    fn default_fields(&mut self) {
        if let Some(texts) = self.string_data.take() {
            let bytes = texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes())));
            self.data.get_or_insert_default().extend(bytes);
        }
        if self.type_.as_deref().unwrap_or_default().is_empty() {
            self.type_ = Some("Opaque".into());
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::secret(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::secret_update(self, old)
    }

    fn select(&self) -> Vec<String> {
        vec![self.type_.clone().unwrap_or_default()]
    }

    fn row(&self) -> Vec<Value> {
        let entries = self.data.as_ref().map_or(0, |data| data.len());
        vec![name(self), json!(self.type_), json!(entries.to_string()), age(self)]
    }
}
