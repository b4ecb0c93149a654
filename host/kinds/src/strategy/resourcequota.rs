//! ResourceQuota.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::node::canonicalise;
use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

impl Strategy for ResourceQuota {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "ResourceQuota",
        plural: "resourcequotas",
        singular: "resourcequota",
        short: &["quota"],
        categories: &[],
        namespaced: true,
        status: true,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Request", "string", "What is used and allowed of requests and of counts."),
        column("Limit", "string", "What is used and allowed of limits."),
        AGE,
    ];

    fn default_fields(&mut self) {
        let lists = [
            self.spec.as_mut().and_then(|spec| spec.hard.as_mut()),
            self.status.as_mut().and_then(|status| status.hard.as_mut()),
        ];
        lists.into_iter().flatten().for_each(canonicalise);
        self.status.iter_mut().flat_map(|status| &mut status.used).for_each(canonicalise);
    }

    fn prepare_create(&mut self) {
        self.status = Some(ResourceQuotaStatus::default());
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => self.status = old.status.clone(),
            Part::Status => self.spec = old.spec.clone(),
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::resourcequota(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => validation::resourcequota_update(self, old),
            Part::Status => validation::resourcequota_status(self),
        }
    }

    fn row(&self) -> Vec<Value> {
        let status = self.status.as_ref();
        let none = BTreeMap::new();
        let hard = status.and_then(|status| status.hard.as_ref()).unwrap_or(&none);
        let used = status.and_then(|status| status.used.as_ref()).unwrap_or(&none);
        let pair = |name: &String, most: &Quantity| {
            let used = used.get(name).map_or("0", |used| used.0.as_str());
            format!("{name}: {used}/{}", most.0)
        };
        let (limits, requests): (Vec<_>, Vec<_>) =
            hard.iter().partition(|(name, _)| name.starts_with("limits."));
        let text = |amounts: Vec<(&String, &Quantity)>| {
            amounts.into_iter().map(|(name, most)| pair(name, most)).collect::<Vec<_>>().join(", ")
        };
        vec![name(self), json!(text(requests)), json!(text(limits)), age(self)]
    }
}
