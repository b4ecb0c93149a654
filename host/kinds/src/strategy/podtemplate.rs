//! PodTemplate: a template that stands alone.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::PodTemplate;
use serde_json::{Value, json};

use super::table::{NAME, column, containers_and_images, name, or_none};
use super::{generation, legacy, pod};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

impl Strategy for PodTemplate {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "PodTemplate",
        plural: "podtemplates",
        singular: "podtemplate",
        short: &[],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Containers", "string", "Names of each container in the template."),
        column("Images", "string", "Images referenced by each container in the template."),
        column("Pod Labels", "string", "The labels that pods of it have."),
    ];

    fn modernise(&mut self) -> Result<(), String> {
        self.template.as_mut().map_or(Ok(()), legacy::annotated)
    }

    fn default_fields(&mut self) {
        if let Some(template) = &mut self.template {
            pod::default_template(template);
        }
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        let changed = self.template != old.template;
        generation::count(self, old, changed);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::podtemplate(self)
    }

    fn row(&self) -> Vec<Value> {
        let template = self.template.as_ref();
        let [containers, images] = containers_and_images(template);
        let labels = template.and_then(|template| template.metadata.as_ref()?.labels.as_ref());
        let labels: Vec<_> =
            labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        vec![name(self), containers, images, json!(or_none(Some(&labels.join(","))))]
    }
}
