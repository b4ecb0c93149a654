//! ServiceAccount.

use k8s_openapi::api::core::v1::ServiceAccount;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::{Column, Names, Rules, Strategy};

impl Strategy for ServiceAccount {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short: &["sa"],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const RULES: Rules = Rules { returns_deleted: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Secrets", "string", "Number of secrets that it refers to."), AGE];

    fn row(&self) -> Vec<Value> {
        let secrets = self.secrets.as_ref().map_or(0, Vec::len);
        vec![name(self), json!(secrets.to_string()), age(self)]
    }
}
