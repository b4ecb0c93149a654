//! Classes of storage, and what drivers say of themselves and of volumes.

use std::collections::{BTreeMap, HashSet};

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::TopologySelectorTerm;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSINodeDriver, CSIStorageCapacity, StorageClass, TokenRequest,
    VolumeAttachment, VolumeAttributesClass, VolumeError,
};
use serde_json::json;

use super::persistentvolume::{csi_driver_name, spec as volume_spec};
use super::selector::label_selector;
use super::{all, immutable, number, one_of, resources};

/// The most parameters of a class, and the most bytes that they or other texts of drivers take.
const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETERS_SIZE: usize = 256 * 1024;
const MAX_METADATA_SIZE: usize = 256 * 1024;
const MAX_ERROR_MESSAGE: usize = 1024;
const MAX_NODE_ID: usize = 256;
/// The shortest period in seconds after which a driver may say anew how much it can hold.
const SHORTEST_UPDATE_PERIOD: i64 = 10;
/// The shortest and the longest life of a token in seconds.
const SHORTEST_TOKEN: i64 = 600;
const LONGEST_TOKEN: i64 = 1 << 32;

/// The faults of a StorageClass.
pub(crate) fn storage_class(class: &StorageClass) -> Vec<Cause> {
    let mut faults = provisioner(&class.provisioner, "provisioner");
    faults.extend(parameters(class.parameters.as_ref(), true));
    if let Some(policy) = class.reclaim_policy.as_deref().filter(|policy| !policy.is_empty()) {
        faults.extend(one_of("reclaimPolicy", Some(policy), &["Delete", "Retain"]));
    }
    let modes = &["Immediate", "WaitForFirstConsumer"];
    faults.extend(one_of("volumeBindingMode", class.volume_binding_mode.as_deref(), modes));
    faults.extend(topologies(class.allowed_topologies.as_deref().unwrap_or_default()));
    faults
}

fn provisioner(name: &str, path: &str) -> Vec<Cause> {
    match name {
        "" => vec![Cause::required(path, "")],
        _ => {
            let lower = name.to_lowercase();
            all(path, &lower, meta::qualified_name(&lower))
        }
    }
}

fn parameters(parameters: Option<&BTreeMap<String, String>>, may_be_empty: bool) -> Vec<Cause> {
    let path = "parameters";
    let count = parameters.map_or(0, BTreeMap::len);
    if count > MAX_PARAMETERS {
        return vec![Cause::too_long(path, MAX_PARAMETERS)];
    }
    let mut faults = vec![];
    let mut size = 0;
    for (key, value) in parameters.into_iter().flatten() {
        if key.is_empty() {
            faults.push(Cause::invalid(path, "", "field can not be empty."));
        }
        size += key.len() + value.len();
    }
    if size > MAX_PARAMETERS_SIZE {
        faults.push(Cause::too_long(path, MAX_PARAMETERS_SIZE));
    }
    if count == 0 && !may_be_empty {
        faults.push(Cause::required(path, "must contain at least one key/value pair"));
    }
    faults
}

fn topologies(terms: &[TopologySelectorTerm]) -> Vec<Cause> {
    let mut faults = vec![];
    let mut seen: Vec<BTreeMap<&str, HashSet<&str>>> = vec![];
    for (at, term) in terms.iter().enumerate() {
        let path = format!("allowedTopologies[{at}].matchLabelExpressions");
        let mut keys: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
        for (at, requirement) in term.match_label_expressions.iter().flatten().enumerate() {
            let path = format!("{path}[{at}]");
            let key = requirement.key.as_str();
            let mut values = HashSet::new();
            if requirement.values.is_empty() {
                faults.push(Cause::required(format!("{path}.values"), ""));
            }
            for (at, value) in requirement.values.iter().enumerate() {
                if !values.insert(value.as_str()) {
                    let path = format!("{path}.values[{at}]");
                    faults.push(Cause::duplicate(path, value.as_str()));
                }
            }
            faults.extend(all(&format!("{path}.key"), key, meta::qualified_name(key)));
            if keys.insert(key, values).is_some() {
                faults.push(Cause::duplicate(format!("{path}.key"), key));
            }
        }
        if seen.contains(&keys) {
            faults.push(Cause::duplicate(path, ""));
        }
        seen.push(keys);
    }
    faults
}

/// A field that may not change, in the words of classes.
fn fixed<T: PartialEq>(field: &str, new: &T, old: &T) -> Option<Cause> {
    let detail = format!("updates to {field} are forbidden.");
    (new != old).then(|| Cause::forbidden(field, &detail))
}

/// The faults of a StorageClass's change.
pub(crate) fn storage_class_update(new: &StorageClass, old: &StorageClass) -> Vec<Cause> {
    let mut faults = vec![];
    faults.extend(fixed("parameters", &new.parameters, &old.parameters));
    faults.extend(fixed("provisioner", &new.provisioner, &old.provisioner));
    faults.extend(fixed("reclaimPolicy", &new.reclaim_policy, &old.reclaim_policy));
    let (mode, former) = (&new.volume_binding_mode, &old.volume_binding_mode);
    faults.extend(immutable("volumeBindingMode", mode, former));
    faults
}

/// The faults of a VolumeAttributesClass.
pub(crate) fn volume_attributes_class(class: &VolumeAttributesClass) -> Vec<Cause> {
    let mut faults = provisioner(&class.driver_name, "driverName");
    faults.extend(parameters(class.parameters.as_ref(), false));
    faults
}

/// The faults of a VolumeAttributesClass's change.
pub(crate) fn volume_attributes_class_update(
    new: &VolumeAttributesClass,
    old: &VolumeAttributesClass,
) -> Vec<Cause> {
    let driver = fixed("driverName", &new.driver_name, &old.driver_name);
    driver.into_iter().chain(fixed("parameters", &new.parameters, &old.parameters)).collect()
}

/// The faults of a VolumeAttachment.
pub(crate) fn volume_attachment(attachment: &VolumeAttachment) -> Vec<Cause> {
    let spec = &attachment.spec;
    let mut faults = vec![];
    if spec.attacher.is_empty() {
        faults.push(Cause::required("spec.attacher", ""));
    }
    let path = "spec.source";
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (&spec.source.inline_volume_spec, spec.source.persistent_volume_name.as_deref()) {
        (None, None) => faults.push(Cause::required(path, one)),
        (Some(_), Some(_)) => faults.push(Cause::forbidden(path, one)),
        (None, Some("")) => {
            let detail = "must specify non empty persistentVolumeName";
            faults.push(Cause::required(format!("{path}.persistentVolumeName"), detail));
        }
        (None, Some(_)) => {}
        (Some(inline), None) => {
            faults.extend(volume_spec(inline, true, &format!("{path}.inlineVolumeSpec")));
        }
    }
    let node = spec.node_name.as_str();
    faults.extend(all("spec.nodeName", node, meta::dns_1123_subdomain(node)));
    faults.extend(volume_attachment_status(attachment));
    faults.extend(csi_driver_name(&spec.attacher, "spec.attacher"));
    if let Some(name) = spec.source.persistent_volume_name.as_deref() {
        let path = format!("{path}.persistentVolumeName");
        faults.extend(all(&path, name, meta::dns_1123_subdomain(name)));
    }
    faults
}

/// The faults of a VolumeAttachment's status.
pub(crate) fn volume_attachment_status(attachment: &VolumeAttachment) -> Vec<Cause> {
    let Some(status) = &attachment.status else { return vec![] };
    let mut faults = vec![];
    let metadata = status.attachment_metadata.iter().flatten();
    if metadata.map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_METADATA_SIZE {
        faults.push(Cause::too_long("status.attachmentMetadata", MAX_METADATA_SIZE));
    }
    let errors = [("attachError", &status.attach_error), ("detachError", &status.detach_error)];
    for (field, error) in errors {
        if let Some(error) = error {
            faults.extend(volume_error(error, &format!("status.{field}")));
        }
    }
    faults
}

fn volume_error(error: &VolumeError, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if error.message.as_ref().is_some_and(|message| message.len() > MAX_ERROR_MESSAGE) {
        faults.push(Cause::too_long(format!("{path}.message"), MAX_METADATA_SIZE));
    }
    if let Some(code) = error.error_code.filter(|code| *code < 0) {
        let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
        faults.push(Cause::invalid(format!("{path}.errorCode"), code, &detail));
    }
    faults
}

/// The faults of a CSIDriver.
pub(crate) fn csi_driver(driver: &CSIDriver) -> Vec<Cause> {
    let spec = &driver.spec;
    let mut faults = vec![];
    let required = [
        ("attachedRequired", spec.attach_required),
        ("podInfoOnMount", spec.pod_info_on_mount),
        ("storageCapacity", spec.storage_capacity),
    ];
    for (field, given) in required {
        if given.is_none() {
            faults.push(Cause::required(format!("spec.{field}"), ""));
        }
    }
    if let Some(policy) = spec.fs_group_policy.as_deref() {
        let policies = &["File", "None", "ReadWriteOnceWithFSType"];
        if !policies.contains(&policy) {
            faults.push(Cause::not_supported("spec.fsGroupPolicy", policy, policies));
        }
    }
    faults.extend(token_requests(spec.token_requests.as_deref().unwrap_or_default()));
    for mode in spec.volume_lifecycle_modes.iter().flatten() {
        let modes = &["Persistent", "Ephemeral"];
        if !modes.contains(&mode.as_str()) {
            faults.push(Cause::not_supported("spec.volumeLifecycleModes", mode, modes));
        }
    }
    let period = spec.node_allocatable_update_period_seconds;
    if let Some(period) = period.filter(|period| *period < SHORTEST_UPDATE_PERIOD) {
        let path = "spec.nodeAllocatableUpdatePeriodSeconds";
        let detail = "must be greater than or equal to 10 seconds";
        faults.push(Cause::invalid(path, period, detail));
    }
    if spec.service_account_token_in_secrets.is_some()
        && spec.token_requests.as_ref().is_none_or(Vec::is_empty)
    {
        let detail = "must not be set when tokenRequests is not specified";
        let value = json!(spec.service_account_token_in_secrets);
        faults.push(Cause::invalid("spec.serviceAccountTokenInSecrets", value, detail));
    }
    faults
}

fn token_requests(requests: &[TokenRequest]) -> Vec<Cause> {
    let mut faults = vec![];
    let mut audiences = HashSet::new();
    for (at, request) in requests.iter().enumerate() {
        let path = format!("spec.tokenRequests[{at}]");
        let audience = request.audience.as_str();
        if !audiences.insert(audience) {
            faults.push(Cause::duplicate(format!("{path}.audience"), audience));
            continue;
        }
        let detail = match request.expiration_seconds {
            Some(seconds) if seconds < SHORTEST_TOKEN => {
                "may not specify a duration less than 10 minutes"
            }
            Some(seconds) if seconds > LONGEST_TOKEN => {
                "may not specify a duration larger than 2^32 seconds"
            }
            _ => continue,
        };
        let path = format!("{path}.expirationSeconds");
        faults.push(Cause::invalid(path, request.expiration_seconds, detail));
    }
    faults
}

/// The faults of a CSIDriver's change.
pub(crate) fn csi_driver_update(new: &CSIDriver, old: &CSIDriver) -> Vec<Cause> {
    let (new, old) = (&new.spec, &old.spec);
    let mut faults = immutable("spec.attachedRequired", &new.attach_required, &old.attach_required);
    let (modes, former) = (&new.volume_lifecycle_modes, &old.volume_lifecycle_modes);
    faults.extend(immutable("spec.volumeLifecycleModes", modes, former));
    faults
}

/// The faults of a CSINode.
pub(crate) fn csi_node(node: &CSINode) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, driver) in node.spec.drivers.iter().enumerate() {
        let path = format!("spec.drivers[{at}]");
        faults.extend(csi_driver_name(&driver.name, &format!("{path}.name")));
        let id = driver.node_id.as_str();
        let of_id = format!("{path}.nodeID");
        if id.is_empty() {
            faults.push(Cause::required(of_id.as_str(), ""));
        } else if id.len() > MAX_NODE_ID {
            let detail = format!("must be {MAX_NODE_ID} characters or less");
            faults.push(Cause::invalid(of_id, id, &detail));
        }
        let count = driver.allocatable.as_ref().and_then(|allocatable| allocatable.count);
        faults.extend(number::not_negative(&format!("{path}.allocatable.count"), count));
        if !names.insert(driver.name.as_str()) {
            faults.push(Cause::duplicate(format!("{path}.name"), driver.name.as_str()));
        }
        faults.extend(topology_keys(driver.topology_keys.as_deref(), &path));
    }
    faults
}

fn topology_keys(keys: Option<&[String]>, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut seen = HashSet::new();
    for key in keys.unwrap_or_default() {
        if key.is_empty() {
            faults.push(Cause::required(path, ""));
        }
        if !seen.insert(key) {
            faults.push(Cause::duplicate(path, key.as_str()));
        }
        faults.extend(all(path, key, meta::qualified_name(key)));
    }
    faults
}

/// The faults of a CSINode's change: what a driver says of itself stays, but for how much it can
/// hold.
pub(crate) fn csi_node_update(new: &CSINode, old: &CSINode) -> Vec<Cause> {
    let bare = |driver: &CSINodeDriver| CSINodeDriver { allocatable: None, ..driver.clone() };
    let mut faults = vec![];
    for former in &old.spec.drivers {
        for driver in new.spec.drivers.iter().filter(|driver| driver.name == former.name) {
            faults.extend(immutable("spec.drivers", &bare(driver), &bare(former)));
        }
    }
    faults
}

/// The faults of a CSIStorageCapacity.
pub(crate) fn csi_storage_capacity(capacity: &CSIStorageCapacity) -> Vec<Cause> {
    let mut faults = vec![];
    if let Some(topology) = &capacity.node_topology {
        faults.extend(label_selector(topology, "nodeTopology"));
    }
    let class = capacity.storage_class_name.as_str();
    faults.extend(all("storageClassName", class, meta::dns_1123_subdomain(class)));
    if let Some(amount) = &capacity.capacity {
        faults.extend(resources::quantity(amount, "capacity"));
    }
    faults
}

/// The faults of a CSIStorageCapacity's change.
pub(crate) fn csi_storage_capacity_update(
    new: &CSIStorageCapacity,
    old: &CSIStorageCapacity,
) -> Vec<Cause> {
    let mut faults = immutable("nodeTopology", &new.node_topology, &old.node_topology);
    faults.extend(immutable("storageClassName", &new.storage_class_name, &old.storage_class_name));
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::Value;

    fn made<T: Strategy>(json: Value) -> T {
        let mut made: T = object(json);
        made.default_fields();
        made
    }

    #[test]
    fn classes() {
        let good = made::<StorageClass>(json!({"provisioner": "Example.com/x"}));
        assert_eq!(storage_class(&good), []);
        for (class, expected) in [
            (json!({}), "provisioner: Required value"),
            (
                json!({"provisioner": "x", "reclaimPolicy": "Recycle"}),
                "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
            ),
            (
                json!({"provisioner": "x", "volumeBindingMode": "X"}),
                "volumeBindingMode: Unsupported value: \"X\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ),
            (
                json!({"provisioner": "x", "parameters": {"": "a"}}),
                "parameters: Invalid value: \"\": field can not be empty.",
            ),
            (
                json!({"provisioner": "x", "allowedTopologies": [
                    {"matchLabelExpressions": [{"key": "a", "values": ["b"]}]},
                    {"matchLabelExpressions": [{"key": "a", "values": ["b"]}]}]}),
                "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            ),
        ] {
            let found = lines(storage_class(&made(class.clone())));
            assert_eq!(found, [expected], "{class}");
        }
        let other = made(json!({"provisioner": "b", "parameters": {"a": "b"},
            "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer"}));
        assert_eq!(
            lines(storage_class_update(&other, &good)),
            [
                "parameters: Forbidden: updates to parameters are forbidden.",
                "provisioner: Forbidden: updates to provisioner are forbidden.",
                "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
                "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable",
            ]
        );
        let attributes = made(json!({"driverName": "x"}));
        assert_eq!(
            lines(volume_attributes_class(&attributes)),
            ["parameters: Required value: must contain at least one key/value pair"]
        );
    }

    #[test]
    fn attachments() {
        let of = |source: Value| {
            let attachment =
                json!({"spec": {"attacher": "a.b", "nodeName": "n", "source": source}});
            lines(volume_attachment(&made(attachment)))
        };
        assert_eq!(of(json!({"persistentVolumeName": "v"})), Vec::<String>::new());
        assert_eq!(
            of(json!({})),
            [
                "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"
            ]
        );
        assert_eq!(
            of(json!({"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"]}})),
            [
                "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec: Required value: must specify a volume type",
            ]
        );
    }

    #[test]
    fn drivers() {
        let good = made::<CSIDriver>(json!({"spec": {}}));
        assert_eq!(csi_driver(&good), []);
        let bad = made(json!({"spec": {"fsGroupPolicy": "X", "volumeLifecycleModes": ["Y"],
            "tokenRequests": [{"audience": "a"}, {"audience": "a"}, {"audience": "b", "expirationSeconds": 5}],
            "nodeAllocatableUpdatePeriodSeconds": 9}}));
        assert_eq!(
            lines(csi_driver(&bad)),
            [
                "spec.fsGroupPolicy: Unsupported value: \"X\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
                "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
                "spec.tokenRequests[2].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
                "spec.volumeLifecycleModes: Unsupported value: \"Y\": supported values: \"Persistent\", \"Ephemeral\"",
                "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
            ]
        );
        let node = |drivers: Value| made::<CSINode>(json!({"spec": {"drivers": drivers}}));
        let one = node(json!([{"name": "a.b", "nodeID": "x", "topologyKeys": ["k"]}]));
        assert_eq!(csi_node(&one), []);
        let bad = node(
            json!([{"name": "a.b", "topologyKeys": ["k", "k"], "allocatable": {"count": -1}}]),
        );
        assert_eq!(
            lines(csi_node(&bad)),
            [
                "spec.drivers[0].nodeID: Required value",
                "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
                "spec.drivers[0]: Duplicate value: \"k\"",
            ]
        );
        assert_eq!(csi_node_update(&bad, &one).len(), 1);
        let larger = node(
            json!([{"name": "a.b", "nodeID": "x", "topologyKeys": ["k"], "allocatable": {"count": 3}}]),
        );
        assert_eq!(csi_node_update(&larger, &one), []);
    }

    #[test]
    fn capacities() {
        let of = |class: &str| object(json!({"storageClassName": class, "capacity": "-1"}));
        assert_eq!(
            lines(csi_storage_capacity(&of("a"))),
            ["capacity: Invalid value: \"-1\": must be greater than or equal to 0"]
        );
        assert_eq!(
            lines(csi_storage_capacity_update(&of("b"), &of("a"))),
            ["storageClassName: Invalid value: \"b\": field is immutable"]
        );
    }
}
