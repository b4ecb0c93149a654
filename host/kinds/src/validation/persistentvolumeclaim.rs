//! Claims of persistent volumes, and the templates for them.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use coracle_api::meta;
use coracle_api::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus,
    TypedObjectReference,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::persistentvolume::{VOLUME_MODES, access_modes};
use super::selector::label_selector;
use super::{all, immutable, one_of, resources};

/// The older way to name the class of storage.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const STORAGE: &str = "storage";
const RESIZE_STATUSES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// The faults of a claim.
pub(crate) fn persistent_volume_claim(claim: &PersistentVolumeClaim) -> Vec<Cause> {
    let none = PersistentVolumeClaimSpec::default();
    claim_spec(claim.spec.as_ref().unwrap_or(&none), "spec")
}

/// The faults of a claim's specification.
pub(super) fn claim_spec(spec: &PersistentVolumeClaimSpec, path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let mut faults = vec![];
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        faults.push(Cause::required(at("accessModes"), "at least 1 access mode is required"));
    }
    if let Some(selector) = &spec.selector {
        faults.extend(label_selector(selector, &at("selector")));
    }
    faults.extend(access_modes(modes, path));
    let asked = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let of_storage = at("resources[storage]");
    match asked.and_then(|requests| requests.get(STORAGE)) {
        None => faults.push(Cause::required(of_storage, "")),
        Some(amount) => faults.extend(resources::positive(amount, &of_storage)),
    }
    let classes = [
        ("storageClassName", &spec.storage_class_name),
        ("volumeAttributesClassName", &spec.volume_attributes_class_name),
    ];
    let class = |(field, class): (&str, &Option<String>)| match class.as_deref() {
        None | Some("") => vec![],
        Some(class) => all(&at(field), class, meta::dns_1123_subdomain(class)),
    };
    faults.extend(class(classes[0]));
    if let Some(mode) = spec.volume_mode.as_deref() {
        faults.extend(one_of(&at("volumeMode"), Some(mode), VOLUME_MODES));
    }
    faults.extend(data_sources(spec, path));
    faults.extend(class(classes[1]));
    faults
}

fn data_sources(spec: &PersistentVolumeClaimSpec, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let source = spec.data_source.as_ref().map(|source| TypedObjectReference {
        api_group: source.api_group.clone(),
        kind: source.kind.clone(),
        name: source.name.clone(),
        namespace: None,
    });
    let of_source = format!("{path}.dataSource");
    if let Some(source) = &source {
        faults.extend(data_source(source, &of_source));
    }
    let Some(other) = &spec.data_source_ref else { return faults };
    faults.extend(data_source(other, &format!("{path}.dataSourceRef")));
    let elsewhere = other.namespace.as_deref().unwrap_or_default();
    let Some(source) = source else { return faults };
    if !elsewhere.is_empty() {
        let detail = "may not be specified when dataSourceRef.namespace is specified";
        faults.push(Cause::invalid(path, of_source, detail));
    } else if source != (TypedObjectReference { namespace: None, ..other.clone() }) {
        faults.push(Cause::invalid(path, of_source, "must match dataSourceRef"));
    }
    faults
}

fn data_source(source: &TypedObjectReference, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (field, text) in [("name", &source.name), ("kind", &source.kind)] {
        if text.is_empty() {
            faults.push(Cause::required(format!("{path}.{field}"), ""));
        }
    }
    match source.api_group.as_deref().unwrap_or_default() {
        "" if source.kind != "PersistentVolumeClaim" => {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            faults.push(Cause::invalid(path, source.kind.as_str(), detail));
        }
        "" => {}
        group => {
            faults.extend(all(&format!("{path}.apiGroup"), group, meta::dns_1123_subdomain(group)));
        }
    }
    if let Some(namespace) = source.namespace.as_deref().filter(|n| !n.is_empty()) {
        let complaints = meta::dns_1123_label(namespace);
        faults.extend(all(&format!("{path}.namespace"), namespace, complaints));
    }
    faults
}

fn requested(spec: &PersistentVolumeClaimSpec) -> Option<&Text> {
    spec.resources.as_ref()?.requests.as_ref()?.get(STORAGE)
}

/// The faults of a claim's change: what is claimed stays, but for what a bound claim may grow to.
pub(crate) fn persistent_volume_claim_update(
    new: &PersistentVolumeClaim,
    old: &PersistentVolumeClaim,
) -> Vec<Cause> {
    let none = PersistentVolumeClaimSpec::default();
    let before = old.spec.as_ref().unwrap_or(&none);
    let after = new.spec.as_ref().unwrap_or(&none);
    let mut faults = vec![];
    let (mut kept, mut compared) = (before.clone(), after.clone());
    if kept.volume_name.as_deref().unwrap_or_default().is_empty() {
        kept.volume_name.clone_from(&compared.volume_name);
    }
    let annotation = |claim: &PersistentVolumeClaim| {
        claim.metadata.annotations.as_ref().and_then(|all| all.get(CLASS_ANNOTATION)).cloned()
    };
    let (annotated, annotated_now) = (annotation(old), annotation(new));
    // A class may be named later, if that says nothing new.
    let named = kept.storage_class_name.is_none() && compared.storage_class_name.is_some();
    let agrees = annotated.is_none() || annotated == compared.storage_class_name;
    if named && agrees {
        compared.storage_class_name = None;
    }
    let moved = named && agrees && annotated.is_some() && annotated_now.is_none();
    if annotated_now != annotated && !moved {
        let value = annotated_now.unwrap_or_default();
        let path = format!("metadata.annotations[{CLASS_ANNOTATION}]");
        faults.push(Cause::invalid(path, value, "field is immutable"));
    }
    let bound = new.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    if bound && let Some(requests) = compared.resources.as_mut().and_then(|r| r.requests.as_mut()) {
        match requested(before) {
            Some(amount) => requests.insert(STORAGE.into(), amount.clone()),
            None => requests.remove(STORAGE),
        };
    }
    compared.volume_attributes_class_name.clone_from(&kept.volume_attributes_class_name);
    if compared != kept {
        let detail = "spec is immutable after creation except resources.requests and \
                      volumeAttributesClassName for bound claims";
        faults.push(Cause::forbidden("spec", detail));
    }
    let parsed = |text: Option<&Text>| text.and_then(|text| Quantity::try_from(text).ok());
    let zero = Quantity::default();
    let (size, former) = (parsed(requested(after)), parsed(requested(before)));
    let held = old.status.as_ref().and_then(|status| status.capacity.as_ref()?.get(STORAGE));
    let size = size.unwrap_or(zero);
    if size < former.unwrap_or(zero) && size <= parsed(held).unwrap_or(zero) {
        let path = "spec.resources.requests.storage";
        faults.push(Cause::forbidden(path, "field can not be less than status.capacity"));
    }
    faults.extend(immutable("volumeMode", &after.volume_mode, &before.volume_mode));
    if before.volume_attributes_class_name.is_some() {
        let to = match after.volume_attributes_class_name.as_deref() {
            None => Some("nil"),
            Some("") => Some("an empty string"),
            Some(_) => None,
        };
        if let Some(to) = to {
            let detail = format!("update from non-nil value to {to} is forbidden");
            faults.push(Cause::forbidden("spec.volumeAttributesClassName", &detail));
        }
    }
    faults
}

/// The faults of a claim's status.
pub(crate) fn persistent_volume_claim_status(status: &PersistentVolumeClaimStatus) -> Vec<Cause> {
    let mut faults = amounts(status.capacity.as_ref(), "status.capacity");
    let path = "status.allocatedResourceStatus";
    for (name, state) in status.allocated_resource_statuses.iter().flatten() {
        faults.extend(resource_key(name, path));
        if !RESIZE_STATUSES.contains(&state.as_str()) {
            faults.push(Cause::not_supported(path, name, RESIZE_STATUSES));
        }
    }
    let path = "status.allocatedResources";
    for name in status.allocated_resources.iter().flatten().map(|(name, _)| name) {
        faults.extend(resource_key(name, path));
    }
    faults.extend(amounts(status.allocated_resources.as_ref(), path));
    faults
}

fn amounts(amounts: Option<&BTreeMap<String, Text>>, path: &str) -> Vec<Cause> {
    let amounts = amounts.into_iter().flatten();
    amounts.flat_map(|(name, text)| resources::quantity(text, &format!("{path}[{name}]"))).collect()
}

fn resource_key(name: &str, path: &str) -> Vec<Cause> {
    let faults = all(path, name, meta::qualified_name(name));
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    if faults.is_empty() && native && name != STORAGE {
        return vec![Cause::not_supported(path, name, &[STORAGE])];
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::{Value, json};

    fn of(change: Value) -> PersistentVolumeClaim {
        let mut claim = json!({"spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}});
        json_patch::merge(&mut claim, &change);
        object(claim)
    }

    #[test]
    fn what_a_claim_must_say() {
        for (change, expected) in [
            (json!({}), &[][..]),
            (
                json!({"accessModes": null, "resources": null}),
                &[
                    "spec.accessModes: Required value: at least 1 access mode is required",
                    "spec.resources[storage]: Required value",
                ],
            ),
            (
                json!({"resources": {"requests": {"storage": "-1"}}}),
                &["spec.resources[storage]: Invalid value: \"-1\": must be greater than zero"],
            ),
            (
                json!({"dataSource": {"kind": "Pod", "name": "a"}}),
                &[
                    "spec.dataSource: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
                ],
            ),
            (
                json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
                    "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "b"}}),
                &["spec: Invalid value: \"spec.dataSource\": must match dataSourceRef"],
            ),
        ] {
            let found = lines(persistent_volume_claim(&of(json!({ "spec": change }))));
            assert_eq!(found, expected, "{change}");
        }
    }

    #[test]
    fn what_may_change() {
        const SPEC: &str = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        let size = |size: &str| json!({"resources": {"requests": {"storage": size}}});
        let status = json!({"phase": "Bound", "capacity": {"storage": "512Mi"}});
        for (before, after, bound, expected) in [
            (json!({}), json!({"volumeName": "a"}), false, &[][..]),
            (json!({"volumeName": "a"}), json!({"volumeName": "b"}), false, &[SPEC]),
            (json!({}), json!({"storageClassName": "a"}), false, &[]),
            (json!({"storageClassName": "a"}), json!({"storageClassName": "b"}), false, &[SPEC]),
            (json!({}), size("2Gi"), true, &[]),
            (json!({}), size("2Gi"), false, &[SPEC]),
            (json!({}), size("600Mi"), true, &[]),
            (
                json!({}),
                size("512Mi"),
                true,
                &[
                    "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity",
                ],
            ),
            (
                json!({"volumeAttributesClassName": "a"}),
                json!({}),
                false,
                &[
                    "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden",
                ],
            ),
        ] {
            let status = if bound { status.clone() } else { Value::Null };
            let make = |spec: &Value| of(json!({"spec": spec, "status": status}));
            let found = persistent_volume_claim_update(&make(&after), &make(&before));
            assert_eq!(lines(found), expected, "{before} {after}");
        }
        let annotated =
            |class: &str| of(json!({"metadata": {"annotations": {CLASS_ANNOTATION: class}}}));
        let found = persistent_volume_claim_update(&annotated("b"), &annotated("a"));
        assert!(lines(found)[0].ends_with("Invalid value: \"b\": field is immutable"));
    }

    #[test]
    fn statuses() {
        let status = object(json!({"allocatedResourceStatuses": {"cpu": "X"},
            "allocatedResources": {"storage": "1Gi"}}));
        assert_eq!(lines(persistent_volume_claim_status(&status)).len(), 2);
    }
}
