//! LimitRange.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::node::canonicalise;
use super::table::{NAME, column, name};
use crate::validation;
use crate::{Column, Names, Strategy};

impl Strategy for LimitRange {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "LimitRange",
        plural: "limitranges",
        singular: "limitrange",
        short: &["limits"],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Created At", "date", "When the object was created.")];

    fn default_fields(&mut self) {
        for item in self.spec.iter_mut().flat_map(|spec| &mut spec.limits) {
            default_item(item);
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::limitrange(self)
    }

    fn row(&self) -> Vec<Value> {
        vec![name(self), json!(self.metadata.creation_timestamp)]
    }
}

fn default_item(item: &mut LimitRangeItem) {
    let lists = [
        &mut item.max,
        &mut item.min,
        &mut item.default,
        &mut item.default_request,
        &mut item.max_limit_request_ratio,
    ];
    lists.into_iter().flatten().for_each(canonicalise);
    if item.type_ != "Container" {
        return;
    }
    // A container is limited as far as any may be, and requests what it is limited to.
    fill(item.default.get_or_insert_default(), item.max.as_ref());
    fill(item.default_request.get_or_insert_default(), item.default.as_ref());
    fill(item.default_request.get_or_insert_default(), item.min.as_ref());
}

fn fill(amounts: &mut BTreeMap<String, Quantity>, from: Option<&BTreeMap<String, Quantity>>) {
    for (name, amount) in from.into_iter().flatten() {
        amounts.entry(name.clone()).or_insert_with(|| amount.clone());
    }
}
