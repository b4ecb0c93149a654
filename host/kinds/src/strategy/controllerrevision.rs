//! ControllerRevision: what a workload once looked like.

use coracle_api::cause::Cause;
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

impl Strategy for ControllerRevision {
    const NAMES: Names = Names {
        group: "apps",
        version: "v1",
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        singular: "controllerrevision",
        short: &[],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Controller", "string", "Controller of the object"),
        column("Revision", "string", "The number of the state, counted upwards."),
        AGE,
    ];

    fn validate(&self) -> Vec<Cause> {
        validation::controllerrevision(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::immutable("data", &self.data, &old.data)
    }

    fn row(&self) -> Vec<Value> {
        let mut owners = self.metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true)).map(|owner| {
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            let kind = owner.kind.to_lowercase();
            match group {
                "" => format!("{kind}/{}", owner.name),
                group => format!("{kind}.{group}/{}", owner.name),
            }
        });
        let owner = owner.unwrap_or_else(|| "<none>".into());
        vec![name(self), json!(owner), json!(self.revision), age(self)]
    }
}
