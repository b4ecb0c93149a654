//! Deployment.

use coracle_api::cause::Cause;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::replicaset::selector_text;
use super::table::{AGE, NAME, age, column, containers_and_images, name, wide};
use super::{generation, legacy, pod};
use crate::validation;
use crate::{Column, Names, Part, Rules, Scale, Strategy};

impl Strategy for Deployment {
    const NAMES: Names = Names {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        plural: "deployments",
        singular: "deployment",
        short: &["deploy"],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const RULES: Rules = Rules {
        scalable: true,
        kept_by_status: &[&["spec"], &["metadata", "labels"]],
        ..Rules::USUAL
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Ready", "string", "Number of the pod with ready state"),
        column("Up-to-date", "string", "Number of pods that have the newest template."),
        column("Available", "string", "Number of pods that have been ready long enough."),
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
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        spec.progress_deadline_seconds.get_or_insert(600);
        let strategy = spec.strategy.get_or_insert_default();
        let kind = strategy.type_.get_or_insert_default();
        if kind.is_empty() {
            "RollingUpdate".clone_into(kind);
        }
        if kind == "RollingUpdate" {
            let rolling = strategy.rolling_update.get_or_insert_default();
            let quarter = || IntOrString::String("25%".into());
            rolling.max_unavailable.get_or_insert_with(quarter);
            rolling.max_surge.get_or_insert_with(quarter);
        }
        pod::default_template(&mut spec.template);
    }

    fn prepare_create(&mut self) {
        self.status = Some(DeploymentStatus::default());
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => {
                self.status = old.status.clone();
                // Rollouts are also steered by annotations.
                let changed =
                    self.spec != old.spec || self.metadata.annotations != old.metadata.annotations;
                generation::count(self, old, changed);
            }
            Part::Status => {
                self.spec = old.spec.clone();
                self.metadata.labels = old.metadata.labels.clone();
                generation::count(self, old, false);
            }
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::deployment(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => {
                let selector = |set: &Self| set.spec.as_ref().map(|spec| spec.selector.clone());
                validation::immutable("spec.selector", &selector(self), &selector(old))
            }
            Part::Status => validation::deployment_status(self, old),
        }
    }

    fn row(&self) -> Vec<Value> {
        let status = self.status.as_ref();
        let spec = self.spec.as_ref();
        let [containers, images] = containers_and_images(spec.map(|spec| &spec.template));
        let count = |count: Option<i32>| count.unwrap_or(0);
        let ready = count(status.and_then(|status| status.ready_replicas));
        let desired = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        vec![
            name(self),
            json!(format!("{ready}/{desired}")),
            json!(count(status.and_then(|status| status.updated_replicas))),
            json!(count(status.and_then(|status| status.available_replicas))),
            age(self),
            containers,
            images,
            json!(spec.map(|spec| selector_text(&spec.selector))),
        ]
    }

    fn scale(&self) -> Option<Scale> {
        let spec = self.spec.as_ref()?;
        Some(Scale {
            desired: spec.replicas.unwrap_or(1),
            current: self.status.as_ref().and_then(|status| status.replicas).unwrap_or(0),
            selector: selector_text(&spec.selector),
        })
    }

    fn set_scale(&mut self, desired: i32) {
        if let Some(spec) = &mut self.spec {
            spec.replicas = Some(desired);
        }
    }
}
