//! DaemonSet.

use coracle_api::cause::Cause;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, containers_and_images, name, or_none, wide};
use super::{generation, legacy, pod, replicaset::selector_text};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

/// Counts the changes of the template, in an annotation since the field for it is no more.
pub(super) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

impl Strategy for DaemonSet {
    const NAMES: Names = Names {
        group: "apps",
        version: "v1",
        kind: "DaemonSet",
        plural: "daemonsets",
        singular: "daemonset",
        short: &["ds"],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Desired", "integer", "Number of nodes that should run the pod."),
        column("Current", "integer", "Number of those nodes that have the pod."),
        column("Ready", "integer", "Number of nodes on which the pod is ready."),
        column("Up-to-date", "integer", "Number of nodes that have the newest template's pod."),
        column("Available", "integer", "Number of nodes on which the pod was ready long enough."),
        column("Node Selector", "string", "Which nodes shall run the pod."),
        AGE,
        wide("Containers", "string", "Names of each container in the template."),
        wide("Images", "string", "Images referenced by each container in the template."),
        wide("Selector", "string", "Which pods belong to it."),
    ];

    fn modernise(&mut self) -> Result<(), String> {
        self.spec.as_mut().map_or(Ok(()), |spec| legacy::annotated(&mut spec.template))
    }

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        spec.revision_history_limit.get_or_insert(10);
        let strategy = spec.update_strategy.get_or_insert_default();
        let kind = strategy.type_.get_or_insert_default();
        if kind.is_empty() {
            "RollingUpdate".clone_into(kind);
        }
        if kind == "RollingUpdate" {
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
            rolling.max_surge.get_or_insert(IntOrString::Int(0));
        }
        pod::default_template(&mut spec.template);
    }

    fn prepare_create(&mut self) {
        self.status = Some(DaemonSetStatus::default());
        generation::start(self);
        set_template_generation(self, 1);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => {
                self.status = old.status.clone();
                let changed = self.spec != old.spec;
                generation::count(self, old, changed);
                let template = |set: &Self| set.spec.as_ref().map(|spec| spec.template.clone());
                let changed = template(self) != template(old);
                set_template_generation(self, template_generation(old) + i64::from(changed));
            }
            Part::Status => {
                self.spec = old.spec.clone();
                generation::count(self, old, false);
            }
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::daemonset(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => {
                let selector = |set: &Self| set.spec.as_ref().map(|spec| spec.selector.clone());
                validation::immutable("spec.selector", &selector(self), &selector(old))
            }
            Part::Status => validation::daemonset_status(self, old),
        }
    }

    fn row(&self) -> Vec<Value> {
        let none = DaemonSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let spec = self.spec.as_ref();
        let selector = spec.map(|spec| selector_text(&spec.selector));
        let nodes = spec.and_then(|spec| spec.template.spec.as_ref()?.node_selector.as_ref());
        let nodes: Vec<_> =
            nodes.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        let [containers, images] = containers_and_images(spec.map(|spec| &spec.template));
        vec![
            name(self),
            json!(status.desired_number_scheduled),
            json!(status.current_number_scheduled),
            json!(status.number_ready),
            json!(status.updated_number_scheduled.unwrap_or(0)),
            json!(status.number_available.unwrap_or(0)),
            json!(or_none(Some(&nodes.join(",")))),
            age(self),
            containers,
            images,
            json!(selector.unwrap_or_default()),
        ]
    }
}

fn template_generation(set: &DaemonSet) -> i64 {
    let annotations = set.metadata.annotations.as_ref();
    let count = annotations.and_then(|annotations| annotations.get(TEMPLATE_GENERATION));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn set_template_generation(set: &mut DaemonSet, count: i64) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(TEMPLATE_GENERATION.into(), count.to_string());
}
