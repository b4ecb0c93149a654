//! ReplicationController, which ReplicaSets came from.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{ReplicationController, ReplicationControllerStatus};
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, containers_and_images, name, or_none, wide};
use super::{generation, legacy, pod};
use crate::validation;
use crate::{Column, Names, Part, Rules, Scale, Strategy};

impl Strategy for ReplicationController {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        singular: "replicationcontroller",
        short: &["rc"],
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
        let Some(template) = &mut spec.template else { return };
        let labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone());
        if let Some(labels) = labels.filter(|labels| !labels.is_empty()) {
            let empty = |map: &Option<BTreeMap<_, _>>| map.as_ref().is_none_or(BTreeMap::is_empty);
            if empty(&spec.selector) {
                spec.selector = Some(labels.clone());
            }
            if empty(&self.metadata.labels) {
                self.metadata.labels = Some(labels);
            }
        }
        pod::default_template(template);
    }

    fn prepare_create(&mut self) {
        self.status = Some(ReplicationControllerStatus::default());
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
        validation::replicationcontroller(self)
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => vec![],
            Part::Status => validation::replicationcontroller_status(self),
        }
    }

    fn select(&self) -> Vec<String> {
        vec![self.status.as_ref().map_or(0, |status| status.replicas).to_string()]
    }

    fn row(&self) -> Vec<Value> {
        let status = self.status.as_ref();
        let spec = self.spec.as_ref();
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
            json!(or_none(Some(&selector(self)))),
        ]
    }

    fn scale(&self) -> Option<Scale> {
        let spec = self.spec.as_ref()?;
        Some(Scale {
            desired: spec.replicas.unwrap_or(1),
            current: self.status.as_ref().map_or(0, |status| status.replicas),
            selector: selector(self),
        })
    }

    fn set_scale(&mut self, desired: i32) {
        if let Some(spec) = &mut self.spec {
            spec.replicas = Some(desired);
        }
    }
}

fn selector(controller: &ReplicationController) -> String {
    let labels = controller.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let pairs = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}
