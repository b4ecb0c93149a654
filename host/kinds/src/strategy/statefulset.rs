//! StatefulSet, and its first name: PetSet.

use coracle_api::cause::Cause;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, containers_and_images, name, wide};
use super::{generation, legacy, pod, replicaset::selector_text};
use crate::validation;
use crate::{Column, Names, Part, Rules, Scale, Strategy};

impl Strategy for StatefulSet {
    const NAMES: Names = Names {
        group: "apps",
        version: "v1",
        kind: "StatefulSet",
        plural: "statefulsets",
        singular: "statefulset",
        short: &["sts"],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const RULES: Rules = Rules { scalable: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Ready", "string", "Number of the pod with ready state"),
        AGE,
        wide("Containers", "string", "Names of each container in the template."),
        wide("Images", "string", "Images referenced by each container in the template."),
    ];

    fn modernise(&mut self) -> Result<(), String> {
        self.spec.as_mut().map_or(Ok(()), |spec| legacy::annotated(&mut spec.template))
    }

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        pod::set_text(&mut spec.pod_management_policy, "OrderedReady");
        let strategy = spec.update_strategy.get_or_insert_default();
        pod::set_text(&mut strategy.type_, "RollingUpdate");
        if strategy.type_.as_deref() == Some("RollingUpdate") {
            strategy.rolling_update.get_or_insert_default().partition.get_or_insert(0);
        }
        let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
        pod::set_text(&mut retention.when_deleted, "Retain");
        pod::set_text(&mut retention.when_scaled, "Retain");
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        pod::default_template(&mut spec.template);
        for claim in spec.volume_claim_templates.iter_mut().flatten() {
            claim.default_fields();
        }
    }

    fn prepare_create(&mut self) {
        // These two are always said.
        self.status = Some(StatefulSetStatus {
            replicas: 0,
            available_replicas: Some(0),
            ..StatefulSetStatus::default()
        });
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
        validation::statefulset(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => validation::statefulset_update(self, old),
            Part::Status => validation::statefulset_status(self, old),
        }
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::dns_label(name)
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let [containers, images] = containers_and_images(spec.map(|spec| &spec.template));
        let ready = self.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        let desired = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        vec![name(self), json!(format!("{ready}/{desired}")), age(self), containers, images]
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
