//! PodDisruptionBudget.

use coracle_api::cause::Cause;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::generation;
use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy};

impl Strategy for PodDisruptionBudget {
    const NAMES: Names = Names {
        group: "policy",
        version: "v1",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        singular: "poddisruptionbudget",
        short: &["pdb"],
        categories: &[],
        namespaced: true,
        status: true,
    };
    const RULES: Rules = Rules { unconditional_update: false, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Min Available", "string", "The minimum number of pods that must be available."),
        column("Max Unavailable", "string", "The maximum number of pods that may be unavailable."),
        column("Allowed Disruptions", "integer", "How many pods may be evicted now."),
        AGE,
    ];

    fn prepare_create(&mut self) {
        self.status = Some(PodDisruptionBudgetStatus {
            current_healthy: Some(0),
            desired_healthy: Some(0),
            disruptions_allowed: Some(0),
            expected_pods: Some(0),
            ..PodDisruptionBudgetStatus::default()
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
        validation::poddisruptionbudget(self)
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => vec![],
            Part::Status => validation::poddisruptionbudget_status(self),
        }
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let amount = |amount: Option<&IntOrString>| match amount {
            Some(IntOrString::Int(count)) => count.to_string(),
            Some(IntOrString::String(share)) => share.clone(),
            None => "N/A".into(),
        };
        let allowed = self.status.as_ref().and_then(|status| status.disruptions_allowed);
        vec![
            name(self),
            json!(amount(spec.and_then(|spec| spec.min_available.as_ref()))),
            json!(amount(spec.and_then(|spec| spec.max_unavailable.as_ref()))),
            json!(allowed.unwrap_or(0)),
            age(self),
        ]
    }
}
