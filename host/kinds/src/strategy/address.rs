//! IPAddress and ServiceCIDR: addresses of Services and the ranges that they come from.

use coracle_api::cause::Cause;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

const fn names(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
    status: bool,
) -> Names {
    Names {
        group: "networking.k8s.io",
        version: "v1",
        kind,
        plural,
        singular,
        short,
        categories: &[],
        namespaced: false,
        status,
    }
}

impl Strategy for IPAddress {
    const NAMES: Names = names("IPAddress", "ipaddresses", "ipaddress", &["ip"], false);
    const COLUMNS: &'static [Column] =
        &[NAME, column("ParentRef", "string", "Who has the address."), AGE];

    fn validate(&self) -> Vec<Cause> {
        validation::ip_address(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::ip_address_update(self, old)
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::ip_address_name(name)
    }

    fn row(&self) -> Vec<Value> {
        let parent = &self.spec.parent_ref;
        let group = parent.group.as_deref().filter(|group| !group.is_empty());
        let group = group.map(|group| format!(".{group}")).unwrap_or_default();
        let namespace = parent.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        let namespace = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let shown = format!("{}{group}/{namespace}{}", parent.resource, parent.name);
        vec![name(self), json!(shown), age(self)]
    }
}

impl Strategy for ServiceCIDR {
    const NAMES: Names = names("ServiceCIDR", "servicecidrs", "servicecidr", &[], true);
    const COLUMNS: &'static [Column] =
        &[NAME, column("CIDRs", "string", "The ranges of addresses."), AGE];

    fn prepare_create(&mut self) {
        self.status = Some(Default::default());
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => self.status = old.status.clone(),
            Part::Status => self.spec = old.spec.clone(),
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::service_cidr(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => validation::service_cidr_update(self, old),
            Part::Status => vec![],
        }
    }

    fn row(&self) -> Vec<Value> {
        let cidrs = self.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default();
        vec![name(self), json!(cidrs.join(",")), age(self)]
    }
}
