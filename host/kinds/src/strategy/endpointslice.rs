//! EndpointSlice.

use coracle_api::cause::Cause;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::endpoints::abridged;
use super::generation;
use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

impl Strategy for EndpointSlice {
    const NAMES: Names = Names {
        group: "discovery.k8s.io",
        version: "v1",
        kind: "EndpointSlice",
        plural: "endpointslices",
        singular: "endpointslice",
        short: &[],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("AddressType", "string", "Kind of the addresses: IPv4, IPv6 or FQDN."),
        column("Ports", "string", "Ports of every endpoint in the slice."),
        column("Endpoints", "string", "Addresses of the endpoints."),
        AGE,
    ];

    fn default_fields(&mut self) {
        for port in self.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".into());
        }
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        let changed = self.endpoints != old.endpoints
            || self.ports != old.ports
            || self.metadata.labels != old.metadata.labels;
        generation::count(self, old, changed);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::endpointslice(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::immutable("addressType", &self.address_type, &old.address_type)
    }

    fn row(&self) -> Vec<Value> {
        let port = |port: Option<i32>| port.map_or("*".into(), |port| port.to_string());
        let ports = self.ports.iter().flatten().map(|each| port(each.port)).collect();
        let addresses =
            self.endpoints.iter().flatten().flat_map(|endpoint| endpoint.addresses.clone());
        let shown = |all: Vec<String>| {
            if all.is_empty() { json!("<unset>") } else { json!(abridged(&all)) }
        };
        vec![
            name(self),
            json!(self.address_type),
            shown(ports),
            shown(addresses.collect()),
            age(self),
        ]
    }
}
