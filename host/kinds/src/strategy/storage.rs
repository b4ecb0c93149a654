//! The kinds of `storage.k8s.io`: classes of storage, and what drivers say of themselves and of
//! volumes.

use coracle_api::cause::Cause;
use coracle_api::quantity;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use serde_json::{Value, json};

use super::persistentvolume::{default_spec, unset};
use super::table::{AGE, NAME, NAME_AND_CREATED, age, column, name, name_and_created};
use super::{generation, table};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy};

/// Annotations that make a class the one for claims that name none.
const DEFAULT_CLASS: &[&str] = &[
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

const fn names(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
) -> Names {
    Names {
        group: "storage.k8s.io",
        version: "v1",
        kind,
        plural,
        singular,
        short,
        categories: &[],
        namespaced: false,
        status: false,
    }
}

impl Strategy for StorageClass {
    const NAMES: Names = names("StorageClass", "storageclasses", "storageclass", &["sc"]);
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Provisioner", "string", "Who makes volumes of this class."),
        column("ReclaimPolicy", "string", "What becomes of volumes when their claim is gone."),
        column("VolumeBindingMode", "string", "When volumes are made and bound."),
        column("AllowVolumeExpansion", "string", "Whether volumes can grow."),
        AGE,
    ];

    fn default_fields(&mut self) {
        self.reclaim_policy.get_or_insert_with(|| "Delete".into());
        self.volume_binding_mode.get_or_insert_with(|| "Immediate".into());
    }

    fn validate(&self) -> Vec<Cause> {
        validation::storage_class(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::storage_class_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        let annotations = self.metadata.annotations.as_ref();
        let says =
            |key: &&str| annotations.and_then(|all| all.get(*key)).is_some_and(|v| v == "true");
        let mark = if DEFAULT_CLASS.iter().any(says) { " (default)" } else { "" };
        vec![
            json!(format!("{}{mark}", self.metadata.name.as_deref().unwrap_or_default())),
            json!(self.provisioner),
            json!(self.reclaim_policy.as_deref().unwrap_or("Delete")),
            json!(unset(self.volume_binding_mode.as_ref())),
            json!(self.allow_volume_expansion.unwrap_or(false)),
            age(self),
        ]
    }
}

impl Strategy for VolumeAttributesClass {
    const NAMES: Names = names(
        "VolumeAttributesClass",
        "volumeattributesclasses",
        "volumeattributesclass",
        &["vac"],
    );
    const COLUMNS: &'static [Column] =
        &[NAME, column("DriverName", "string", "The driver that knows the attributes."), AGE];

    fn validate(&self) -> Vec<Cause> {
        validation::volume_attributes_class(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::volume_attributes_class_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        vec![name(self), json!(self.driver_name), age(self)]
    }
}

impl Strategy for VolumeAttachment {
    const NAMES: Names = Names {
        status: true,
        ..names("VolumeAttachment", "volumeattachments", "volumeattachment", &[])
    };
    const RULES: Rules = Rules { unconditional_update: false, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Attacher", "string", "The driver that attaches the volume."),
        column("PV", "string", "The volume."),
        column("Node", "string", "The node that the volume is attached to."),
        column("Attached", "boolean", "Whether the volume is attached."),
        AGE,
    ];

    fn default_fields(&mut self) {
        if let Some(spec) = &mut self.spec.source.inline_volume_spec {
            default_spec(spec);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(Default::default());
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => self.status = old.status.clone(),
            Part::Status => {
                let version = self.metadata.resource_version.clone();
                self.metadata = old.metadata.clone();
                self.metadata.resource_version = version;
                self.spec = old.spec.clone();
            }
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::volume_attachment(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => validation::immutable("spec", &self.spec, &old.spec),
            Part::Status => validation::volume_attachment_status(self),
        }
    }

    fn row(&self) -> Vec<Value> {
        let volume = self.spec.source.persistent_volume_name.as_deref().unwrap_or_default();
        vec![
            name(self),
            json!(self.spec.attacher),
            json!(volume),
            json!(self.spec.node_name),
            json!(self.status.as_ref().is_some_and(|status| status.attached)),
            age(self),
        ]
    }
}

impl Strategy for CSIDriver {
    const NAMES: Names = names("CSIDriver", "csidrivers", "csidriver", &[]);
    const RULES: Rules = Rules { unconditional_update: false, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("AttachRequired", "boolean", "Whether volumes are attached before mounting."),
        column("PodInfoOnMount", "boolean", "Whether the driver is told of the pod."),
        column("StorageCapacity", "boolean", "Whether the driver says how much it can hold."),
        column("TokenRequests", "string", "The audiences of tokens that the driver is given."),
        column("RequiresRepublish", "boolean", "Whether the driver wants to be called again."),
        column("Modes", "string", "Whether volumes outlive pods."),
        AGE,
    ];

    fn default_fields(&mut self) {
        let spec = &mut self.spec;
        spec.attach_required.get_or_insert(true);
        spec.pod_info_on_mount.get_or_insert(false);
        spec.storage_capacity.get_or_insert(false);
        spec.fs_group_policy.get_or_insert_with(|| "ReadWriteOnceWithFSType".into());
        let modes = spec.volume_lifecycle_modes.get_or_insert_default();
        if modes.is_empty() {
            modes.push("Persistent".into());
        }
        spec.requires_republish.get_or_insert(false);
        spec.se_linux_mount.get_or_insert(false);
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, self.spec != old.spec);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::csi_driver(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::csi_driver_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        let spec = &self.spec;
        let audiences = spec.token_requests.iter().flatten().map(|request| &*request.audience);
        let audiences = audiences.collect::<Vec<_>>().join(",");
        let modes = spec.volume_lifecycle_modes.as_deref().unwrap_or_default().join(",");
        let unset = if audiences.is_empty() { "<unset>" } else { &audiences };
        vec![
            name(self),
            json!(spec.attach_required.unwrap_or(true)),
            json!(spec.pod_info_on_mount.unwrap_or(false)),
            json!(spec.storage_capacity.unwrap_or(false)),
            json!(unset),
            json!(spec.requires_republish.unwrap_or(false)),
            json!(table::or_none(Some(&modes))),
            age(self),
        ]
    }
}

impl Strategy for CSINode {
    const NAMES: Names = names("CSINode", "csinodes", "csinode", &[]);
    const RULES: Rules = Rules { unconditional_update: false, ..Rules::USUAL };
    const COLUMNS: &'static [Column] =
        &[NAME, column("Drivers", "integer", "How many drivers the node has."), AGE];

    fn validate(&self) -> Vec<Cause> {
        validation::csi_node(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::csi_node_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        vec![name(self), json!(self.spec.drivers.len()), age(self)]
    }
}

impl Strategy for CSIStorageCapacity {
    const NAMES: Names = Names {
        namespaced: true,
        ..names("CSIStorageCapacity", "csistoragecapacities", "csistoragecapacity", &[])
    };
    const RULES: Rules = Rules { unconditional_update: false, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = NAME_AND_CREATED;

    fn default_fields(&mut self) {
        for amount in [&mut self.capacity, &mut self.maximum_volume_size].into_iter().flatten() {
            *amount = quantity::canonical(amount);
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::csi_storage_capacity(self)
    }

    fn validate_update(&self, old: &Self, _part: Part) -> Vec<Cause> {
        validation::csi_storage_capacity_update(self, old)
    }

    fn row(&self) -> Vec<Value> {
        name_and_created(self)
    }
}
