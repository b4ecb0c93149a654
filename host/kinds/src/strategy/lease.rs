//! Lease.

use coracle_api::cause::Cause;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy};

impl Strategy for Lease {
    const NAMES: Names = Names {
        group: "coordination.k8s.io",
        version: "v1",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        short: &[],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const RULES: Rules = Rules {
        create_on_update: true,
        unconditional_update: false,
        lazy_updates: true,
        ..Rules::USUAL
    };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Holder", "string", "Identity of the lease's current holder."), AGE];

    fn validate(&self) -> Vec<Cause> {
        validation::lease(self)
    }

    fn validate_update(&self, _old: &Self, _part: Part) -> Vec<Cause> {
        vec![]
    }

    fn row(&self) -> Vec<Value> {
        let holder = self.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        vec![name(self), json!(holder.unwrap_or_default()), age(self)]
    }
}
