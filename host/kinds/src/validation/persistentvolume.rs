//! Persistent volumes.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, ISCSIPersistentVolumeSource, PersistentVolume, PersistentVolumeSpec,
    SecretReference,
};
use serde_json::{Map, Value, json};

use super::volume::{host_path, no_backsteps};
use super::{Rule, all, immutable, node_selector, one_of, resources};

/// How a volume may be mounted.
const ACCESS_MODES: &[&str] =
    &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
pub(super) const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
const RECLAIM_POLICIES: &[&str] = &["Delete", "Recycle", "Retain"];

/// The kinds of volumes, in the order in which Kubernetes looks at them, with the fields that must
/// be given in each.
const SOURCES: &[(&str, &[&str])] = &[
    ("hostPath", &[]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("nfs", &["server", "path"]),
    ("rbd", &["monitors", "image"]),
    ("quobyte", &["registry", "volume"]),
    ("cephfs", &["monitors"]),
    ("iscsi", &["targetPortal"]),
    ("cinder", &["volumeID"]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
    ("storageos", &[]),
    ("csi", &[]),
];

/// The faults of a persistent volume.
pub(crate) fn persistent_volume(volume: &PersistentVolume) -> Vec<Cause> {
    let none = PersistentVolumeSpec::default();
    spec(volume.spec.as_ref().unwrap_or(&none), false, "spec")
}

/// The faults of modes of access.
pub(super) fn access_modes(modes: &[String], path: &str) -> Vec<Cause> {
    let path = format!("{path}.accessModes");
    let mut faults: Vec<_> =
        modes.iter().filter_map(|mode| one_of(&path, Some(mode), ACCESS_MODES)).collect();
    let single = modes.iter().any(|mode| mode == "ReadWriteOncePod");
    if single && modes.iter().any(|mode| ACCESS_MODES[..3].contains(&mode.as_str())) {
        let detail = "may not use ReadWriteOncePod with other access modes";
        faults.push(Cause::forbidden(path, detail));
    }
    faults
}

/// The faults of a volume's specification; `inline` for those that stand in an attachment.
pub(super) fn spec(spec: &PersistentVolumeSpec, inline: bool, path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let mut faults = vec![];
    if inline {
        faults.extend(inlined(spec, path));
    }
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        faults.push(Cause::required(at("accessModes"), ""));
    }
    faults.extend(access_modes(modes, path));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let reclaim = text(&spec.persistent_volume_reclaim_policy);
    if !inline {
        faults.extend(capacity(spec, path));
        if !reclaim.is_empty() {
            let path = at("persistentVolumeReclaimPolicy");
            faults.extend(one_of(&path, Some(&reclaim), RECLAIM_POLICIES));
        }
        if let Some(affinity) = &spec.node_affinity {
            let path = at("nodeAffinity.required");
            match &affinity.required {
                Some(required) => faults.extend(node_selector::node_selector(required, &path)),
                None => {
                    faults.push(Cause::required(path, "must specify required node constraints"));
                }
            }
        }
    }
    faults.extend(source(spec, path));
    let root = spec.host_path.as_ref().is_some_and(|host| is_root(&host.path));
    if root && reclaim == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        faults.push(Cause::forbidden(at("persistentVolumeReclaimPolicy"), detail));
    }
    let class = text(&spec.storage_class_name);
    if !inline && !class.is_empty() {
        faults.extend(all(&at("storageClassName"), &class, meta::dns_1123_subdomain(&class)));
    }
    if let Some(mode) = spec.volume_mode.as_deref().filter(|_| !inline) {
        faults.extend(one_of(&at("volumeMode"), Some(mode), VOLUME_MODES));
    }
    if let Some(class) = spec.volume_attributes_class_name.as_deref().filter(|_| !inline) {
        let of_class = at("volumeAttributesClassName");
        if class.is_empty() {
            faults.push(Cause::required(of_class, "an empty string is disallowed"));
        } else {
            faults.extend(all(&of_class, class, meta::dns_1123_subdomain(class)));
        }
        if spec.csi.is_none() {
            let detail = "has to be specified when using volumeAttributesClassName";
            faults.push(Cause::required(at("csi"), detail));
        }
    }
    faults
}

/// What a volume may not say that stands in an attachment.
fn inlined(spec: &PersistentVolumeSpec, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut forbid = |given: bool, field: &str, detail: &str| {
        if given {
            let detail = format!("{detail} in the context of inline volumes");
            faults.push(Cause::forbidden(format!("{path}.{field}"), &detail));
        }
    };
    let not_at_all = "may not be specified";
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let other = |text: &Option<String>, only: &str| filled(text) && text.as_deref() != Some(only);
    forbid(spec.claim_ref.is_some(), "claimRef", not_at_all);
    forbid(spec.capacity.as_ref().is_some_and(|all| !all.is_empty()), "capacity", not_at_all);
    let policy = &spec.persistent_volume_reclaim_policy;
    forbid(other(policy, "Retain"), "persistentVolumeReclaimPolicy", "may only be Retain");
    forbid(spec.node_affinity.is_some(), "nodeAffinity", not_at_all);
    forbid(filled(&spec.storage_class_name), "storageClassName", not_at_all);
    let mode = &spec.volume_mode;
    forbid(
        other(mode, "Filesystem"),
        "volumeMode",
        "may not specify volumeMode other than Filesystem",
    );
    if spec.csi.is_none() {
        let detail = "has to be specified in the context of inline volumes";
        faults.push(Cause::required(format!("{path}.csi"), detail));
    }
    faults
}

fn capacity(spec: &PersistentVolumeSpec, path: &str) -> Vec<Cause> {
    let path = format!("{path}.capacity");
    let capacity = spec.capacity.clone().unwrap_or_default();
    let mut faults = vec![];
    if capacity.is_empty() {
        faults.push(Cause::required(path.as_str(), ""));
    }
    if !capacity.contains_key("storage") || capacity.len() > 1 {
        let shown = json!(capacity);
        let message = format!("Unsupported value: {shown}: supported values: \"storage\"");
        let reason = coracle_api::cause::CauseReason::FieldValueNotSupported;
        faults.push(Cause::new(reason, path.as_str(), message));
    }
    for (name, amount) in &capacity {
        faults.extend(resources::positive(amount, &format!("{path}[{name}]")));
    }
    faults
}

/// The sources of a volume that are given, each with its fields.
fn sources(spec: &PersistentVolumeSpec) -> Map<String, Value> {
    let mut tree = match serde_json::to_value(spec) {
        Ok(Value::Object(tree)) => tree,
        _ => Map::new(),
    };
    tree.retain(|field, _| SOURCES.iter().any(|(source, _)| source == field));
    tree
}

fn source(spec: &PersistentVolumeSpec, path: &str) -> Vec<Cause> {
    let given = sources(spec);
    let given =
        SOURCES.iter().filter_map(|(name, required)| Some((name, required, given.get(*name)?)));
    let mut faults = vec![];
    for (at, (name, required, fields)) in given.enumerate() {
        let path = format!("{path}.{name}");
        if at > 0 {
            faults.push(Cause::forbidden(path, "may not specify more than 1 volume type"));
            continue;
        }
        for field in required.iter().filter(|field| is_nothing(fields.get(**field))) {
            faults.push(Cause::required(format!("{path}.{field}"), ""));
        }
        faults.extend(special(name, spec, &path));
    }
    if sources(spec).is_empty() {
        faults.push(Cause::required(path, "must specify a volume type"));
    }
    let unbound = spec.node_affinity.as_ref().is_none_or(|affinity| affinity.required.is_none());
    if spec.local.is_some() && unbound {
        let detail = "Local volume requires node affinity";
        faults.push(Cause::required(format!("{path}.nodeAffinity"), detail));
    }
    faults
}

fn is_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

/// The rules of a kind of volume that say more than which fields are required.
fn special(name: &str, spec: &PersistentVolumeSpec, path: &str) -> Vec<Cause> {
    match (name, spec) {
        ("hostPath", PersistentVolumeSpec { host_path: Some(host), .. }) => host_path(host, path),
        ("local", PersistentVolumeSpec { local: Some(local), .. }) => {
            no_backsteps(&local.path, &format!("{path}.path")).into_iter().collect()
        }
        ("nfs", PersistentVolumeSpec { nfs: Some(nfs), .. })
            if !nfs.path.is_empty() && !nfs.path.starts_with('/') =>
        {
            let detail = "must be an absolute path";
            vec![Cause::invalid(format!("{path}.path"), nfs.path.as_str(), detail)]
        }
        ("iscsi", PersistentVolumeSpec { iscsi: Some(iscsi), .. }) => of_iscsi(iscsi, path),
        ("csi", PersistentVolumeSpec { csi: Some(csi), .. }) => of_csi(csi, path),
        _ => vec![],
    }
}

fn of_iscsi(iscsi: &ISCSIPersistentVolumeSource, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let iqn = iscsi.iqn.as_str();
    if iqn.is_empty() {
        faults.push(Cause::required(format!("{path}.iqn"), ""));
    } else if !["iqn", "eui", "naa"].iter().any(|start| iqn.starts_with(start)) {
        let detail = "must be valid format starting with iqn, eui, or naa";
        faults.push(Cause::invalid(format!("{path}.iqn"), iqn, detail));
    }
    if !(0..=255).contains(&iscsi.lun) {
        let detail = "must be between 0 and 255, inclusive";
        faults.push(Cause::invalid(format!("{path}.lun"), iscsi.lun, detail));
    }
    let chap = iscsi.chap_auth_discovery == Some(true) || iscsi.chap_auth_session == Some(true);
    match &iscsi.secret_ref {
        None if chap => faults.push(Cause::required(format!("{path}.secretRef"), "")),
        Some(secret) if secret.name.as_deref().unwrap_or_default().is_empty() => {
            faults.push(Cause::required(format!("{path}.secretRef.name"), ""));
        }
        _ => {}
    }
    faults
}

fn of_csi(csi: &CSIPersistentVolumeSource, path: &str) -> Vec<Cause> {
    let mut faults = csi_driver_name(&csi.driver, &format!("{path}.driver"));
    if csi.volume_handle.is_empty() {
        faults.push(Cause::required(format!("{path}.volumeHandle"), ""));
    }
    let secrets = [
        ("controllerPublishSecretRef", &csi.controller_publish_secret_ref),
        ("controllerExpandSecretRef", &csi.controller_expand_secret_ref),
        ("nodePublishSecretRef", &csi.node_publish_secret_ref),
        ("nodeExpandSecretRef", &csi.node_expand_secret_ref),
    ];
    for (field, secret) in secrets {
        if let Some(secret) = secret {
            faults.extend(secret_ref(secret, &format!("{path}.{field}")));
        }
    }
    faults
}

fn secret_ref(secret: &SecretReference, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let rules: [(_, _, Rule); 2] = [
        ("name", &secret.name, meta::dns_1123_subdomain),
        ("namespace", &secret.namespace, meta::dns_1123_label),
    ];
    for (field, text, rule) in rules {
        let path = format!("{path}.{field}");
        match text.as_deref().unwrap_or_default() {
            "" => faults.push(Cause::required(path, "")),
            text => faults.extend(all(&path, text, rule(text))),
        }
    }
    faults
}

/// The name of a CSI driver.
pub(super) fn csi_driver_name(name: &str, path: &str) -> Vec<Cause> {
    if name.is_empty() {
        return vec![Cause::required(path, "")];
    }
    let mut faults = vec![];
    if name.len() > meta::LABEL_MAX {
        faults.push(Cause::too_long(path, meta::LABEL_MAX));
    }
    faults.extend(all(path, name, meta::dns_1123_subdomain(&name.to_lowercase())));
    faults
}

/// Whether a path says no more than `/`.
fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| part.is_empty() || part == ".")
}

/// The faults of a persistent volume's change: what it is made of stays.
pub(crate) fn persistent_volume_update(
    new: &PersistentVolume,
    old: &PersistentVolume,
) -> Vec<Cause> {
    let none = PersistentVolumeSpec::default();
    let (new, old) = (new.spec.as_ref().unwrap_or(&none), old.spec.as_ref().unwrap_or(&none));
    let mut faults = vec![];
    let mut sources_now = sources(new);
    let secret = |spec: &PersistentVolumeSpec| {
        spec.csi.as_ref().is_some_and(|csi| csi.controller_expand_secret_ref.is_some())
    };
    if old.csi.is_some() && !secret(old) && secret(new) {
        // A secret for growth may be named later.
        if let Some(Value::Object(csi)) = sources_now.get_mut("csi") {
            csi.remove("controllerExpandSecretRef");
        }
    }
    if sources_now != sources(old) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        faults.push(Cause::forbidden("spec.persistentvolumesource", detail));
    }
    faults.extend(immutable("volumeMode", &new.volume_mode, &old.volume_mode));
    if old.node_affinity.is_some() {
        faults.extend(immutable("nodeAffinity", &new.node_affinity, &old.node_affinity));
    }
    if old.volume_attributes_class_name.is_some() && new.volume_attributes_class_name.is_none() {
        let detail = "update from non-nil value to nil is forbidden";
        faults.push(Cause::forbidden("spec.volumeAttributesClassName", detail));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;

    /// A good volume, changed by a merge patch.
    fn of(change: Value) -> PersistentVolume {
        let mut volume = json!({"spec": {"accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}}});
        json_patch::merge(&mut volume, &json!({ "spec": change }));
        object(volume)
    }

    #[test]
    fn what_a_volume_must_say() {
        for (change, expected) in [
            (json!({}), &[][..]),
            (json!({"accessModes": null}), &["spec.accessModes: Required value"]),
            (
                json!({"accessModes": ["ReadWriteOnce", "ReadWriteOncePod", "X"]}),
                &[
                    "spec.accessModes: Unsupported value: \"X\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                    "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
                ],
            ),
            (
                json!({"capacity": {"storage": "0"}}),
                &["spec.capacity[storage]: Invalid value: \"0\": must be greater than zero"],
            ),
            (
                json!({"capacity": {"storage": "1", "cpu": "1"}}),
                &[
                    "spec.capacity: Unsupported value: {\"cpu\":\"1\",\"storage\":\"1\"}: supported values: \"storage\"",
                ],
            ),
            (json!({"hostPath": null}), &["spec: Required value: must specify a volume type"]),
            (
                json!({"nfs": {"server": "a", "path": "/b"}}),
                &["spec.nfs: Forbidden: may not specify more than 1 volume type"],
            ),
            (
                json!({"hostPath": {"path": "//./"}, "persistentVolumeReclaimPolicy": "Recycle"}),
                &[
                    "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
                ],
            ),
            (
                json!({"hostPath": null, "nfs": {"path": "b"}}),
                &[
                    "spec.nfs.server: Required value",
                    "spec.nfs.path: Invalid value: \"b\": must be an absolute path",
                ],
            ),
            (
                json!({"hostPath": null, "local": {"path": "/a/../b"}}),
                &[
                    "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
                    "spec.nodeAffinity: Required value: Local volume requires node affinity",
                ],
            ),
            (
                json!({"hostPath": null, "csi": {"nodePublishSecretRef": {"name": "a"}}}),
                &[
                    "spec.csi.driver: Required value",
                    "spec.csi.volumeHandle: Required value",
                    "spec.csi.nodePublishSecretRef.namespace: Required value",
                ],
            ),
            (
                json!({"volumeMode": "X", "nodeAffinity": {}}),
                &[
                    "spec.nodeAffinity.required: Required value: must specify required node constraints",
                    "spec.volumeMode: Unsupported value: \"X\": supported values: \"Block\", \"Filesystem\"",
                ],
            ),
        ] {
            assert_eq!(lines(persistent_volume(&of(change.clone()))), expected, "{change}");
        }
    }

    #[test]
    fn what_stays() {
        let old = of(json!({}));
        assert_eq!(
            persistent_volume_update(&of(json!({"capacity": {"storage": "2Gi"}})), &old),
            []
        );
        assert_eq!(
            lines(persistent_volume_update(&of(json!({"hostPath": {"path": "/b"}})), &old)),
            [
                "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
            ]
        );
        let csi = |secret: Value| {
            of(json!({"hostPath": null, "csi": {"driver": "d", "volumeHandle": "h",
                "controllerExpandSecretRef": secret}}))
        };
        let secret = json!({"name": "a", "namespace": "b"});
        assert_eq!(persistent_volume_update(&csi(secret.clone()), &csi(Value::Null)), []);
        assert_eq!(persistent_volume_update(&csi(Value::Null), &csi(secret)).len(), 1);
    }

    #[test]
    fn volumes_in_attachments() {
        let inline = of(json!({"storageClassName": "x"})).spec.unwrap();
        assert_eq!(
            lines(spec(&inline, true, "s")),
            [
                "s.capacity: Forbidden: may not be specified in the context of inline volumes",
                "s.storageClassName: Forbidden: may not be specified in the context of inline volumes",
                "s.csi: Required value: has to be specified in the context of inline volumes",
            ]
        );
    }
}
