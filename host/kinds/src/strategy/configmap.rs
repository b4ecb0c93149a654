//! ConfigMap.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

impl Strategy for ConfigMap {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short: &["cm"],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Data", "string", "Number of entries in data and binaryData."), AGE];
    const BYTES: &'static [&'static [&'static str]] = &[&["binaryData", "*"]];

    fn validate(&self) -> Vec<Cause> {
        validation::configmap(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::configmap_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        let text = self.data.as_ref().map_or(0, |data| data.len());
        let binary = self.binary_data.as_ref().map_or(0, |data| data.len());
        vec![name(self), json!((text + binary).to_string()), age(self)]
    }
}
