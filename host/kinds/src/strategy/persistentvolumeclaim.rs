//! PersistentVolumeClaim.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference,
    TypedObjectReference,
};
use serde_json::{Value, json};

use super::node::canonicalise;
use super::persistentvolume::{class, modes, storage, unset};
use super::table::{AGE, NAME, age, column, name, wide};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy};

impl Strategy for PersistentVolumeClaim {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short: &["pvc"],
        categories: &[],
        namespaced: true,
        status: true,
    };
    const RULES: Rules = Rules { returns_deleted: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Status", "string", "Whether the claim is pending, bound or lost."),
        column("Volume", "string", "The volume that the claim has."),
        column("Capacity", "string", "How much the volume holds."),
        column("Access Modes", "string", "The ways in which the volume can be mounted."),
        column("StorageClass", "string", "StorageClass of the pvc"),
        column("VolumeAttributesClass", "string", "VolumeAttributesClass of the pvc"),
        AGE,
        wide("VolumeMode", "string", "Whether the volume has a filesystem or is a raw device."),
    ];

    fn default_fields(&mut self) {
        if let Some(spec) = &mut self.spec {
            default_spec(spec);
        }
        let status = self.status.get_or_insert_default();
        let phase = status.phase.get_or_insert_default();
        if phase.is_empty() {
            "Pending".clone_into(phase);
        }
        let amounts = [&mut status.capacity, &mut status.allocated_resources];
        amounts.into_iter().flatten().for_each(canonicalise);
    }

    fn prepare_create(&mut self) {
        let status = self.status.insert(Default::default());
        status.phase = Some("Pending".into());
        let Some(spec) = &mut self.spec else { return };
        drop_unknown_source(spec);
        agree_on_source(spec);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => {
                self.status = old.status.clone();
                if let Some(spec) = &mut self.spec {
                    agree_on_source(spec);
                }
            }
            Part::Status => self.spec = old.spec.clone(),
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::persistent_volume_claim(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match (part, &self.status) {
            (Part::Main, _) => validation::persistent_volume_claim_update(self, old),
            (Part::Status, Some(status)) => validation::persistent_volume_claim_status(status),
            (Part::Status, None) => vec![],
        }
    }

    fn row(&self) -> Vec<Value> {
        let none = PersistentVolumeClaimSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&none);
        let status = self.status.as_ref();
        let volume = spec.volume_name.as_deref().unwrap_or_default();
        let held = status.filter(|_| !volume.is_empty());
        let deleting = self.metadata.deletion_timestamp.is_some();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        vec![
            name(self),
            json!(if deleting { "Terminating" } else { phase }),
            json!(volume),
            json!(storage(held.and_then(|status| status.capacity.as_ref()))),
            json!(modes(held.and_then(|status| status.access_modes.as_deref()))),
            json!(class(self, spec.storage_class_name.as_ref())),
            json!(unset(spec.volume_attributes_class_name.as_ref())),
            age(self),
            json!(unset(spec.volume_mode.as_ref())),
        ]
    }
}

/// Fills in what a claim's specification leaves out.
pub(super) fn default_spec(spec: &mut PersistentVolumeClaimSpec) {
    spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
    if let Some(resources) = &mut spec.resources {
        let amounts = [&mut resources.limits, &mut resources.requests];
        amounts.into_iter().flatten().for_each(canonicalise);
    }
}

/// The older of the two fields for what a volume begins with knows claims and snapshots only; all
/// else is left out of it.
fn drop_unknown_source(spec: &mut PersistentVolumeClaimSpec) {
    spec.data_source.take_if(|source| {
        let group = source.api_group.as_deref().unwrap_or_default();
        let known = matches!(
            (group, source.kind.as_str()),
            ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
        );
        // What the default group does not have is refused rather than left out.
        !known && !group.is_empty()
    });
}

/// Both fields for what a volume begins with say the same.
fn agree_on_source(spec: &mut PersistentVolumeClaimSpec) {
    match (&spec.data_source, &spec.data_source_ref) {
        (Some(source), None) => {
            spec.data_source_ref = Some(TypedObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
                namespace: None,
            });
        }
        (None, Some(source)) if source.namespace.as_deref().unwrap_or_default().is_empty() => {
            spec.data_source = Some(TypedLocalObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
            });
        }
        _ => {}
    }
}
