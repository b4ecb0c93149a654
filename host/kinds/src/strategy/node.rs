//! Node.

use std::collections::{BTreeMap, BTreeSet};

use coracle_api::cause::Cause;
use coracle_api::{conditions, quantity};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name, or_none, wide};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

/// Labels that name a node's roles after this prefix.
const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
/// The older label whose value is a role.
const ROLE_LABEL: &str = "kubernetes.io/role";

impl Strategy for Node {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short: &["no"],
        categories: &[],
        namespaced: false,
        status: true,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Status", "string", "The status of the node"),
        column("Roles", "string", "The roles of the node"),
        AGE,
        column("Version", "string", "Version of the node agent."),
        wide("Internal-IP", "string", "The node's address inside the cluster."),
        wide("External-IP", "string", "The node's address outside of the cluster."),
        wide("OS-Image", "string", "The operating system that the node reports."),
        wide("Kernel-Version", "string", "The kernel that the node reports."),
        wide("Container-Runtime", "string", "The runtime that the node reports."),
    ];
    const SELECTABLE: &'static [&'static str] = &["spec.unschedulable"];

    fn default_fields(&mut self) {
        let Some(status) = &mut self.status else { return };
        for amounts in [&mut status.capacity, &mut status.allocatable].into_iter().flatten() {
            canonicalise(amounts);
        }
        if status.allocatable.is_none() {
            status.allocatable.clone_from(&status.capacity);
        }
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => self.status = old.status.clone(),
            Part::Status => self.spec = old.spec.clone(),
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::node(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        if part == Part::Main { validation::node_update(self, old) } else { vec![] }
    }

    fn select(&self) -> Vec<String> {
        vec![is_unschedulable(self).to_string()]
    }

    fn row(&self) -> Vec<Value> {
        let status = self.status.as_ref();
        let info = status.and_then(|status| status.node_info.as_ref());
        let reported = |text: Option<&str>| match text {
            Some(text) if !text.is_empty() => json!(text),
            _ => json!("<unknown>"),
        };
        let address = |kind: &str| {
            let addresses = status.and_then(|status| status.addresses.as_ref());
            let address = addresses.into_iter().flatten().find(|address| address.type_ == kind);
            json!(or_none(address.map(|address| address.address.as_str())))
        };
        vec![
            name(self),
            json!(state(self)),
            json!(roles(self)),
            age(self),
            json!(info.map_or("", |info| &info.kubelet_version)),
            address("InternalIP"),
            address("ExternalIP"),
            reported(info.map(|info| info.os_image.as_str())),
            reported(info.map(|info| info.kernel_version.as_str())),
            reported(info.map(|info| info.container_runtime_version.as_str())),
        ]
    }
}

/// Brings amounts into their canonical spelling.
pub(super) fn canonicalise(amounts: &mut BTreeMap<String, Quantity>) {
    for amount in amounts.values_mut() {
        *amount = quantity::canonical(amount);
    }
}

fn is_unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
}

/// `Ready,SchedulingDisabled`.
fn state(node: &Node) -> String {
    let all = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = match conditions::find(all, "Ready") {
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    format!("{ready}{}", if is_unschedulable(node) { ",SchedulingDisabled" } else { "" })
}

fn roles(node: &Node) -> String {
    let role = |(key, value): (&String, &String)| match key.strip_prefix(ROLE_PREFIX) {
        Some(role) => Some(role.to_owned()).filter(|role| !role.is_empty()),
        None => (key == ROLE_LABEL && !value.is_empty()).then(|| value.clone()),
    };
    let roles: BTreeSet<_> = node.metadata.labels.iter().flatten().filter_map(role).collect();
    let roles = roles.into_iter().collect::<Vec<_>>().join(",");
    or_none(Some(&roles)).to_owned()
}
