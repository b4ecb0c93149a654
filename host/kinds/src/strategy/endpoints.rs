//! Endpoints.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{EndpointSubset, Endpoints};
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Rules, Strategy};

/// How many addresses a row shows.
pub(super) const SHOWN: usize = 3;

impl Strategy for Endpoints {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short: &["ep"],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const RULES: Rules = Rules { create_on_update: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Endpoints", "string", "Addresses and ports of the service."), AGE];

    fn default_fields(&mut self) {
        let subsets = self.subsets.iter_mut().flatten();
        for port in subsets.flat_map(|subset| subset.ports.iter_mut().flatten()) {
            port.protocol.get_or_insert_with(|| "TCP".into());
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::endpoints(self)
    }

    fn row(&self) -> Vec<Value> {
        vec![name(self), json!(summary(self.subsets.as_deref().unwrap_or_default())), age(self)]
    }
}

/// The first addresses and how many more there are.
fn summary(subsets: &[EndpointSubset]) -> String {
    if subsets.is_empty() {
        return "<none>".into();
    }
    let mut all = vec![];
    for subset in subsets {
        let ips = || subset.addresses.iter().flatten().map(|address| address.ip.as_str());
        match subset.ports.as_deref() {
            None | Some([]) => all.extend(ips().map(str::to_owned)),
            Some(ports) => {
                for port in ports {
                    all.extend(ips().map(|ip| host_port(ip, port.port)));
                }
            }
        }
    }
    abridged(&all)
}

fn host_port(ip: &str, port: i32) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// The first of `all`, and how many more there are.
pub(super) fn abridged(all: &[String]) -> String {
    let shown = all[..all.len().min(SHOWN)].join(",");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}
