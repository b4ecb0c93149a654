//! NetworkPolicy.

use coracle_api::cause::Cause;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use super::generation;
use super::replicaset::selector_text;
use super::table::{AGE, NAME, age, column, name, or_none};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

impl Strategy for NetworkPolicy {
    const NAMES: Names = Names {
        group: "networking.k8s.io",
        version: "v1",
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        singular: "networkpolicy",
        short: &["netpol"],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Pod-Selector", "string", "Which pods the policy is about."), AGE];

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        spec.pod_selector.get_or_insert_default();
        let of_ingress = spec.ingress.iter_mut().flatten().map(|rule| &mut rule.ports);
        let of_egress = spec.egress.iter_mut().flatten().map(|rule| &mut rule.ports);
        for port in of_ingress.chain(of_egress).flatten().flatten() {
            port.protocol.get_or_insert_with(|| "TCP".into());
        }
        let types = spec.policy_types.get_or_insert_default();
        if types.is_empty() {
            types.push("Ingress".into());
            if spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()) {
                types.push("Egress".into());
            }
        }
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, self.spec != old.spec);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::network_policy(self)
    }

    fn row(&self) -> Vec<Value> {
        let selector = self.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
        let selector = selector.map(selector_text).unwrap_or_default();
        vec![name(self), json!(or_none(Some(&selector))), age(self)]
    }
}
