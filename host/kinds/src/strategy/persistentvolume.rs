//! PersistentVolume.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use coracle_api::clock;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::node::canonicalise;
use super::table::{AGE, NAME, age, column, name, wide};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy, seconds};

/// The older way to name a class of storage.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

impl Strategy for PersistentVolume {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        singular: "persistentvolume",
        short: &["pv"],
        categories: &[],
        namespaced: false,
        status: true,
    };
    const RULES: Rules = Rules { returns_deleted: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Capacity", "string", "How much the volume holds."),
        column("Access Modes", "string", "The ways in which the volume can be mounted."),
        column("Reclaim Policy", "string", "What becomes of the volume when its claim is gone."),
        column("Status", "string", "Whether the volume is available, bound, released or failed."),
        column("Claim", "string", "The claim that has the volume."),
        column("StorageClass", "string", "StorageClass of the pv"),
        column("VolumeAttributesClass", "string", "VolumeAttributesClass of the pv"),
        column("Reason", "string", "Why the volume is in that state, in one word."),
        AGE,
        wide("VolumeMode", "string", "Whether the volume has a filesystem or is a raw device."),
    ];

    fn default_fields(&mut self) {
        if let Some(spec) = &mut self.spec {
            default_spec(spec);
        }
        let phase = self.status.get_or_insert_default().phase.get_or_insert_default();
        if phase.is_empty() {
            "Pending".clone_into(phase);
        }
    }

    fn prepare_create(&mut self) {
        let status = self.status.insert(Default::default());
        status.phase = Some("Pending".into());
        status.last_phase_transition_time = Some(now());
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        if part == Part::Main {
            self.status = old.status.clone();
            return;
        }
        self.spec = old.spec.clone();
        let (Some(status), Some(old)) = (&mut self.status, &old.status) else { return };
        let told = status.last_phase_transition_time != old.last_phase_transition_time
            && status.last_phase_transition_time.is_some();
        if !told {
            let moved = status.phase != old.phase;
            let before = old.last_phase_transition_time.clone();
            status.last_phase_transition_time = if moved { Some(now()) } else { before };
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::persistent_volume(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => validation::persistent_volume_update(self, old),
            Part::Status => vec![],
        }
    }

    fn row(&self) -> Vec<Value> {
        let none = PersistentVolumeSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&none);
        let status = self.status.as_ref();
        let claim = spec.claim_ref.as_ref().map(|claim| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{}/{}", text(&claim.namespace), text(&claim.name))
        });
        let deleting = self.metadata.deletion_timestamp.is_some();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        vec![
            name(self),
            json!(storage(spec.capacity.as_ref())),
            json!(modes(spec.access_modes.as_deref())),
            json!(spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default()),
            json!(if deleting { "Terminating" } else { phase }),
            json!(claim.unwrap_or_default()),
            json!(class(self, spec.storage_class_name.as_ref())),
            json!(unset(spec.volume_attributes_class_name.as_ref())),
            json!(status.and_then(|status| status.reason.as_deref()).unwrap_or_default()),
            age(self),
            json!(unset(spec.volume_mode.as_ref())),
        ]
    }
}

fn now() -> Time {
    Time(seconds(clock::now()))
}

/// Fills in what a volume's specification leaves out.
pub(super) fn default_spec(spec: &mut PersistentVolumeSpec) {
    if let Some(capacity) = &mut spec.capacity {
        canonicalise(capacity);
    }
    let fill = |field: &mut Option<String>, text: &str| {
        field.get_or_insert_with(|| text.into());
    };
    let policy = &mut spec.persistent_volume_reclaim_policy;
    policy.take_if(|policy| policy.is_empty());
    fill(policy, "Retain");
    fill(&mut spec.volume_mode, "Filesystem");
    if let Some(host) = &mut spec.host_path {
        fill(&mut host.type_, "");
    }
    if let Some(iscsi) = &mut spec.iscsi {
        fill(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut spec.rbd {
        fill(&mut rbd.pool, "rbd");
        fill(&mut rbd.user, "admin");
        fill(&mut rbd.keyring, "/etc/ceph/keyring");
    }
    if let Some(disk) = &mut spec.azure_disk {
        fill(&mut disk.caching_mode, "ReadWrite");
        fill(&mut disk.kind, "Shared");
        fill(&mut disk.fs_type, "ext4");
        disk.read_only.get_or_insert(false);
    }
    if let Some(disk) = &mut spec.scale_io {
        fill(&mut disk.storage_mode, "ThinProvisioned");
        fill(&mut disk.fs_type, "xfs");
    }
}

/// The amount of storage in a list of amounts.
pub(super) fn storage(amounts: Option<&BTreeMap<String, Quantity>>) -> &str {
    amounts.and_then(|amounts| amounts.get("storage")).map_or("", |amount| amount.0.as_str())
}

/// `RWO,ROX`.
pub(super) fn modes(modes: Option<&[String]>) -> String {
    let modes = modes.unwrap_or_default();
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = known.iter().filter(|(mode, _)| modes.iter().any(|given| given == mode));
    given.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The class of storage of a volume or claim.
pub(super) fn class<K: kube::Resource>(object: &K, class: Option<&String>) -> String {
    let annotations = object.meta().annotations.as_ref();
    let annotated = annotations.and_then(|annotations| annotations.get(CLASS_ANNOTATION));
    annotated.or(class).cloned().unwrap_or_default()
}

/// A text, or `<unset>` if there is none.
pub(super) fn unset(text: Option<&String>) -> &str {
    text.map_or("<unset>", String::as_str)
}
