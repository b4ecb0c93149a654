//! PriorityClass and RuntimeClass: what pods name to be treated in a certain way.

use coracle_api::cause::Cause;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde_json::{Value, json};

use super::generation;
use super::node::canonicalise;
use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy};

impl Strategy for PriorityClass {
    const NAMES: Names = Names {
        group: "scheduling.k8s.io",
        version: "v1",
        kind: "PriorityClass",
        plural: "priorityclasses",
        singular: "priorityclass",
        short: &["pc"],
        categories: &[],
        namespaced: false,
        status: false,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Value", "integer", "The priority of pods of this class."),
        column("Global-Default", "boolean", "Whether pods without a class are of this one."),
        AGE,
        column("PreemptionPolicy", "string", "Whether pods of this class displace others."),
    ];

    fn default_fields(&mut self) {
        self.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".into());
        self.value.get_or_insert(0);
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, false);
    }

    fn validate_create(&self) -> Vec<Cause> {
        validation::priority_class(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::priority_class_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        vec![
            name(self),
            json!(self.value.unwrap_or(0)),
            json!(self.global_default.unwrap_or(false)),
            age(self),
            json!(self.preemption_policy.as_deref().unwrap_or("PreemptLowerPriority")),
        ]
    }
}

impl Strategy for RuntimeClass {
    const NAMES: Names = Names {
        group: "node.k8s.io",
        version: "v1",
        kind: "RuntimeClass",
        plural: "runtimeclasses",
        singular: "runtimeclass",
        short: &[],
        categories: &[],
        namespaced: false,
        status: false,
    };
    const RULES: Rules = Rules { unconditional_update: false, ..Rules::USUAL };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Handler", "string", "Who runs pods of this class."), AGE];

    fn default_fields(&mut self) {
        let overhead = self.overhead.as_mut().and_then(|overhead| overhead.pod_fixed.as_mut());
        if let Some(amounts) = overhead {
            canonicalise(amounts);
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::runtime_class(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::runtime_class_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        vec![name(self), json!(self.handler), age(self)]
    }
}
