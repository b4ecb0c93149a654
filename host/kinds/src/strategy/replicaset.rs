//! ReplicaSet.

use coracle_api::cause::Cause;
use coracle_api::selector::Selector;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, containers_and_images, name, or_none, wide};
use super::{generation, legacy, pod};
use crate::validation;
use crate::{Column, Names, Part, Rules, Scale, Strategy};

/// A label selector as text; nothing if there is none or it is malformed.
pub(super) fn selector_text(selector: &LabelSelector) -> String {
    Selector::try_from(selector).map(|selector| selector.to_string()).unwrap_or_default()
}

impl Strategy for ReplicaSet {
    const NAMES: Names = Names {
        group: "apps",
        version: "v1",
        kind: "ReplicaSet",
        plural: "replicasets",
        singular: "replicaset",
        short: &["rs"],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const RULES: Rules = Rules { scalable: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Desired", "integer", "Number of pods that are wanted."),
        column("Current", "integer", "Number of pods that there are."),
        column("Ready", "integer", "Number of pods that are ready."),
        AGE,
        wide("Containers", "string", "Names of each container in the template."),
        wide("Images", "string", "Images referenced by each container in the template."),
        wide("Selector", "string", "Which pods belong to it."),
    ];
    const SELECTABLE: &'static [&'static str] = &["status.replicas"];

    fn modernise(&mut self) -> Result<(), String> {
        let template = self.spec.as_mut().and_then(|spec| spec.template.as_mut());
        template.map_or(Ok(()), legacy::annotated)
    }

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        spec.replicas.get_or_insert(1);
        if let Some(template) = &mut spec.template {
            pod::default_template(template);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(ReplicaSetStatus::default());
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => {
                self.status = old.status.clone();
                let changed = self.spec != old.spec;
                generation::count(self, old, changed);
            }
            Part::Status => {
                self.spec = old.spec.clone();
                generation::count(self, old, false);
            }
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::replicaset(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => {
                let selector = |set: &Self| set.spec.as_ref().map(|spec| spec.selector.clone());
                validation::immutable("spec.selector", &selector(self), &selector(old))
            }
            Part::Status => validation::replicaset_status(self),
        }
    }

    fn select(&self) -> Vec<String> {
        vec![self.status.as_ref().map_or(0, |status| status.replicas).to_string()]
    }

    fn row(&self) -> Vec<Value> {
        let status = self.status.as_ref();
        let spec = self.spec.as_ref();
        let selector = spec.map(|spec| selector_text(&spec.selector));
        let template = spec.and_then(|spec| spec.template.as_ref());
        let [containers, images] = containers_and_images(template);
        vec![
            name(self),
            json!(spec.and_then(|spec| spec.replicas).unwrap_or(1)),
            json!(status.map_or(0, |status| status.replicas)),
            json!(status.and_then(|status| status.ready_replicas).unwrap_or(0)),
            age(self),
            containers,
            images,
            json!(or_none(selector.as_deref())),
        ]
    }

    fn scale(&self) -> Option<Scale> {
        let spec = self.spec.as_ref()?;
        Some(Scale {
            desired: spec.replicas.unwrap_or(1),
            current: self.status.as_ref().map_or(0, |status| status.replicas),
            selector: selector_text(&spec.selector),
        })
    }

    fn set_scale(&mut self, desired: i32) {
        if let Some(spec) = &mut self.spec {
            spec.replicas = Some(desired);
        }
    }
}
