//! Ingress and IngressClass.

use coracle_api::cause::Cause;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use serde_json::{Value, json};

use super::generation;
use super::table::{AGE, NAME, age, column, name, or_none};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

/// How many hosts are shown.
const HOSTS_SHOWN: usize = 3;
/// How long a list of addresses is shown.
const ADDRESSES_SHOWN: usize = 16;

impl Strategy for Ingress {
    const NAMES: Names = Names {
        group: "networking.k8s.io",
        version: "v1",
        kind: "Ingress",
        plural: "ingresses",
        singular: "ingress",
        short: &["ing"],
        categories: &[],
        namespaced: true,
        status: true,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column(
            "Class",
            "string",
            "The name of the IngressClass resource that should be used for additional configuration",
        ),
        column(
            "Hosts",
            "string",
            "Hosts that incoming requests are matched against before the ingress rule",
        ),
        column(
            "Address",
            "string",
            "Address is a list containing ingress points for the load-balancer",
        ),
        column("Ports", "string", "Ports of TLS configurations that open"),
        AGE,
    ];

    fn prepare_create(&mut self) {
        self.status.insert(Default::default()).load_balancer = Some(Default::default());
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => {
                self.status = old.status.clone();
                generation::count(self, old, self.spec != old.spec);
            }
            Part::Status => {
                self.spec = old.spec.clone();
                generation::count(self, old, false);
            }
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::ingress(self)
    }

    fn validate_create(&self) -> Vec<Cause> {
        validation::ingress_create(self).into_iter().collect()
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        if part == Part::Status { validation::ingress_status(self) } else { vec![] }
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let class = spec.and_then(|spec| spec.ingress_class_name.as_deref());
        let secured = spec.and_then(|spec| spec.tls.as_ref()).is_some_and(|tls| !tls.is_empty());
        vec![
            name(self),
            json!(or_none(class)),
            json!(hosts(self)),
            json!(addresses(self)),
            json!(if secured { "80, 443" } else { "80" }),
            age(self),
        ]
    }
}

fn hosts(ingress: &Ingress) -> String {
    let rules = ingress.spec.as_ref().and_then(|spec| spec.rules.as_deref()).unwrap_or_default();
    let hosts = rules.iter().filter_map(|rule| rule.host.as_deref());
    let hosts: Vec<_> = hosts.filter(|host| !host.is_empty()).collect();
    match hosts.len() {
        0 => "*".into(),
        count if count > HOSTS_SHOWN => {
            format!("{} + {} more...", hosts[..HOSTS_SHOWN].join(","), count - HOSTS_SHOWN)
        }
        _ => hosts.join(","),
    }
}

fn addresses(ingress: &Ingress) -> String {
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let points = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let addresses = points.iter().filter_map(|at| filled(&at.ip).or_else(|| filled(&at.hostname)));
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort();
    addresses.dedup();
    let text = addresses.join(",");
    match text.char_indices().nth(ADDRESSES_SHOWN - 3) {
        Some((end, _)) if text.len() > ADDRESSES_SHOWN => format!("{}...", &text[..end]),
        _ => text,
    }
}

impl Strategy for IngressClass {
    const NAMES: Names = Names {
        group: "networking.k8s.io",
        version: "v1",
        kind: "IngressClass",
        plural: "ingressclasses",
        singular: "ingressclass",
        short: &[],
        categories: &[],
        namespaced: false,
        status: false,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Controller", "string", "Controller that is responsible for handling this class"),
        column("Parameters", "string", "A reference to a resource with additional parameters"),
        AGE,
    ];

    fn default_fields(&mut self) {
        let parameters = self.spec.as_mut().and_then(|spec| spec.parameters.as_mut());
        if let Some(parameters) = parameters {
            parameters.scope.get_or_insert_with(|| "Cluster".into());
        }
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, self.spec != old.spec);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::ingress_class(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::ingress_class_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let parameters = spec.and_then(|spec| spec.parameters.as_ref()).map(|parameters| {
            let group = parameters.api_group.as_deref().filter(|group| !group.is_empty());
            let group = group.map(|group| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", parameters.kind, parameters.name)
        });
        vec![
            name(self),
            json!(spec.and_then(|spec| spec.controller.as_deref()).unwrap_or_default()),
            json!(or_none(parameters.as_deref())),
            age(self),
        ]
    }
}
