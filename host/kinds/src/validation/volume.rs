//! Volumes of a pod and where containers mount them.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, ProjectedVolumeSource,
    Volume, VolumeMount,
};

use super::container::{field_ref, resource_ref};
use super::{all, resources};

const HOST_PATH_TYPES: &[&str] = &[
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
];

/// What sources cannot do without. Those that have more rules are judged one by one.
const WANTED: &[(&str, &[&str])] = &[
    ("awsElasticBlockStore", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("azureFile", &["secretName", "shareName"]),
    ("cephfs", &["monitors"]),
    ("cinder", &["volumeID"]),
    ("csi", &["driver"]),
    ("ephemeral", &["volumeClaimTemplate"]),
    ("flexVolume", &["driver"]),
    ("gcePersistentDisk", &["pdName"]),
    ("gitRepo", &["repository"]),
    ("glusterfs", &["endpoints", "path"]),
    ("image", &["reference"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("nfs", &["server", "path"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("quobyte", &["registry", "volume"]),
    ("rbd", &["monitors", "image"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("storageos", &["volumeName"]),
    ("vsphereVolume", &["volumePath"]),
];

/// Fields that files of the downward API may show.
const FILE_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

pub(super) fn volumes(volumes: &[Volume], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, volume) in volumes.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let name = volume.name.as_str();
        let of_name = format!("{path}.name");
        let misnamed = if name.is_empty() {
            vec![Cause::required(of_name.as_str(), "")]
        } else {
            all(&of_name, name, meta::dns_1123_label(name))
        };
        if misnamed.is_empty() && !names.insert(name) {
            faults.push(Cause::duplicate(of_name, name));
        }
        faults.extend(misnamed);
        faults.extend(source(volume, &path));
    }
    faults
}

fn source(volume: &Volume, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    // The sources are the fields beside the name.
    let tree = serde_json::to_value(volume).unwrap_or_default();
    let sources = tree.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
    let sources: Vec<_> = sources.filter(|field| *field != "name").collect();
    if sources.is_empty() {
        faults.push(Cause::required(path, "must specify a volume type"));
    }
    for source in sources.iter().skip(1) {
        let path = format!("{path}.{source}");
        faults.push(Cause::forbidden(path, "may not specify more than 1 volume type"));
    }
    for (field, wanted) in WANTED {
        let Some(given) = tree.get(*field) else { continue };
        let path = format!("{path}.{field}");
        for wanted in *wanted {
            let missing = match given.get(*wanted) {
                None | Some(serde_json::Value::Null) => true,
                Some(serde_json::Value::String(text)) => text.is_empty(),
                Some(serde_json::Value::Array(list)) => list.is_empty(),
                Some(_) => false,
            };
            if missing {
                faults.push(Cause::required(format!("{path}.{wanted}"), ""));
            }
        }
    }
    if let Some(nfs) =
        volume.nfs.as_ref().filter(|nfs| !nfs.path.is_empty() && !nfs.path.starts_with('/'))
    {
        let detail = "must be an absolute path";
        faults.push(Cause::invalid(format!("{path}.nfs.path"), nfs.path.as_str(), detail));
    }
    if let Some(size) = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref()) {
        faults.extend(resources::quantity(size, &format!("{path}.emptyDir.sizeLimit")));
    }
    if let Some(host) = &volume.host_path {
        faults.extend(host_path(host, &format!("{path}.hostPath")));
    }
    if let Some(secret) = &volume.secret {
        let path = format!("{path}.secret");
        required(secret.secret_name.as_deref(), &format!("{path}.secretName"), &mut faults);
        faults.extend(files(secret.default_mode, secret.items.as_deref(), &path));
    }
    if let Some(config_map) = &volume.config_map {
        let path = format!("{path}.configMap");
        required(Some(&config_map.name), &format!("{path}.name"), &mut faults);
        faults.extend(files(config_map.default_mode, config_map.items.as_deref(), &path));
    }
    if let Some(downward) = &volume.downward_api {
        let path = format!("{path}.downwardAPI");
        faults.extend(mode(downward.default_mode, &format!("{path}.defaultMode")));
        faults.extend(downward_files(downward.items.as_deref(), &path));
    }
    if let Some(projected) = &volume.projected {
        faults.extend(projection(projected, &format!("{path}.projected")));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        let path = format!("{path}.persistentVolumeClaim.claimName");
        required(Some(&claim.claim_name), &path, &mut faults);
    }
    faults
}

/// A place on the node.
pub(super) fn host_path(host: &HostPathVolumeSource, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if host.path.is_empty() {
        faults.push(Cause::required(format!("{path}.path"), ""));
    } else {
        faults.extend(no_backsteps(&host.path, &format!("{path}.path")));
    }
    let kind = host.type_.as_deref().unwrap_or_default();
    if !HOST_PATH_TYPES.contains(&kind) {
        faults.push(Cause::not_supported(format!("{path}.type"), kind, HOST_PATH_TYPES));
    }
    faults
}

fn required(text: Option<&str>, path: &str, faults: &mut Vec<Cause>) {
    if text.unwrap_or_default().is_empty() {
        faults.push(Cause::required(path, ""));
    }
}

fn mode(mode: Option<i32>, path: &str) -> Option<Cause> {
    let mode = mode.filter(|mode| !(0..=0o777).contains(mode))?;
    let detail = "must be a number between 0 and 0777 (octal), both inclusive";
    Some(Cause::invalid(path, mode, detail))
}

pub(super) fn no_backsteps(text: &str, path: &str) -> Option<Cause> {
    let back = text.split('/').any(|part| part == "..");
    back.then(|| Cause::invalid(path, text, "must not contain '..'"))
}

/// A path below a mount, which may not lead out of it.
pub(super) fn relative(text: &str, path: &str) -> Vec<Cause> {
    let absolute = text.starts_with('/');
    let absolute = absolute.then(|| Cause::invalid(path, text, "must be a relative path"));
    absolute.into_iter().chain(no_backsteps(text, path)).collect()
}

fn file_path(text: &str, path: &str) -> Vec<Cause> {
    if text.is_empty() {
        return vec![Cause::required(path, "")];
    }
    let mut faults = relative(text, path);
    if text.starts_with("..") && faults.is_empty() {
        faults.push(Cause::invalid(path, text, "must not start with '..'"));
    }
    faults
}

fn files(default_mode: Option<i32>, items: Option<&[KeyToPath]>, path: &str) -> Vec<Cause> {
    let mut faults: Vec<_> =
        mode(default_mode, &format!("{path}.defaultMode")).into_iter().collect();
    for (at, item) in items.unwrap_or_default().iter().enumerate() {
        let path = format!("{path}.items[{at}]");
        required(Some(&item.key), &format!("{path}.key"), &mut faults);
        faults.extend(file_path(&item.path, &format!("{path}.path")));
        faults.extend(mode(item.mode, &format!("{path}.mode")));
    }
    faults
}

fn downward_files(items: Option<&[DownwardAPIVolumeFile]>, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, item) in items.unwrap_or_default().iter().enumerate() {
        let path = format!("{path}.items[{at}]");
        faults.extend(file_path(&item.path, &format!("{path}.path")));
        match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), None) => {
                faults.extend(field_ref(field, FILE_FIELDS, &format!("{path}.fieldRef")));
            }
            (None, Some(resource)) => {
                let path = format!("{path}.resourceFieldRef");
                faults.extend(resource_ref(resource, true, &path));
            }
            (Some(_), Some(_)) => {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                faults.push(Cause::invalid(path.as_str(), "resource", detail));
            }
            (None, None) => {
                let detail = "one of fieldRef and resourceFieldRef is required";
                faults.push(Cause::required(path.as_str(), detail));
            }
        }
        faults.extend(mode(item.mode, &format!("{path}.mode")));
    }
    faults
}

fn projection(projected: &ProjectedVolumeSource, path: &str) -> Vec<Cause> {
    let mut faults: Vec<_> =
        mode(projected.default_mode, &format!("{path}.defaultMode")).into_iter().collect();
    for (at, source) in projected.sources.iter().flatten().enumerate() {
        let path = format!("{path}.sources[{at}]");
        let tree = serde_json::to_value(source).unwrap_or_default();
        match tree.as_object().map_or(0, serde_json::Map::len) {
            0 => faults.push(Cause::required(path.as_str(), "must specify a volume type")),
            1 => {}
            _ => {
                let detail = "may not specify more than 1 volume type";
                faults.push(Cause::forbidden(path.as_str(), detail));
            }
        }
        if let Some(secret) = &source.secret {
            let path = format!("{path}.secret");
            required(Some(&secret.name), &format!("{path}.name"), &mut faults);
            faults.extend(files(None, secret.items.as_deref(), &path));
        }
        if let Some(config_map) = &source.config_map {
            let path = format!("{path}.configMap");
            required(Some(&config_map.name), &format!("{path}.name"), &mut faults);
            faults.extend(files(None, config_map.items.as_deref(), &path));
        }
        if let Some(downward) = &source.downward_api {
            let path = format!("{path}.downwardAPI");
            faults.extend(downward_files(downward.items.as_deref(), &path));
        }
        if let Some(token) = &source.service_account_token {
            let path = format!("{path}.serviceAccountToken");
            let seconds = token.expiration_seconds.unwrap_or(3600);
            if seconds < 600 {
                let detail = "may not specify a duration less than 10 minutes";
                let path = format!("{path}.expirationSeconds");
                faults.push(Cause::invalid(path, seconds, detail));
            }
            faults.extend(file_path(&token.path, &format!("{path}.path")));
        }
    }
    faults
}

/// Where a container mounts the pod's `volumes`.
pub(super) fn mounts(mounts: &[VolumeMount], volumes: &[Volume], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut places = HashSet::new();
    for (at, mount) in mounts.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if mount.name.is_empty() {
            faults.push(Cause::required(format!("{path}.name"), ""));
        }
        if !volumes.iter().any(|volume| volume.name == mount.name) {
            faults.push(Cause::not_found(format!("{path}.name"), mount.name.as_str()));
        }
        let place = mount.mount_path.as_str();
        if place.is_empty() {
            faults.push(Cause::required(format!("{path}.mountPath"), ""));
        }
        if !places.insert(place) {
            faults.push(Cause::invalid(format!("{path}.mountPath"), place, "must be unique"));
        }
        let below = mount.sub_path.as_deref().unwrap_or_default();
        let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
        faults.extend(relative(below, &format!("{path}.subPath")));
        let of_expression = format!("{path}.subPathExpr");
        if !below.is_empty() && !expression.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            faults.push(Cause::invalid(of_expression.as_str(), expression, detail));
        }
        faults.extend(relative(expression, &of_expression));
        let propagation = mount.mount_propagation.as_deref().unwrap_or("None");
        let known = &["Bidirectional", "HostToContainer", "None"];
        if !known.contains(&propagation) {
            let path = format!("{path}.mountPropagation");
            faults.push(Cause::not_supported(path, propagation, known));
        }
    }
    faults
}

/// Where a container has the pod's `volumes` as raw devices.
pub(super) fn devices(container: &Container, volumes: &[Volume], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let (mut names, mut places) = (HashSet::new(), HashSet::new());
    for (at, device) in devices.iter().enumerate() {
        let (name, place) = (device.name.as_str(), device.device_path.as_str());
        let of_name = format!("{path}[{at}].name");
        let of_place = format!("{path}[{at}].devicePath");
        required(Some(name), &of_name, &mut faults);
        if !names.insert(name) {
            faults.push(Cause::invalid(of_name.as_str(), name, "must be unique"));
        }
        match volumes.iter().find(|volume| volume.name == name) {
            None => faults.push(Cause::not_found(of_name.as_str(), name)),
            Some(volume)
                if volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some() => {}
            Some(_) => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                faults.push(Cause::invalid(of_name.as_str(), name, detail));
            }
        }
        required(Some(place), &of_place, &mut faults);
        if places.contains(place) {
            faults.push(Cause::invalid(of_place.as_str(), place, "must be unique"));
        }
        if no_backsteps(place, &of_place).is_some() {
            let detail = "can not contain backsteps ('..')";
            faults.push(Cause::invalid(of_place.as_str(), place, detail));
        } else {
            places.insert(place);
        }
        if mounts.iter().any(|mount| mount.name == name) {
            let detail = "must not already exist in volumeMounts";
            faults.push(Cause::invalid(of_name, name, detail));
        }
        if mounts.iter().any(|mount| mount.mount_path == place) {
            let detail = "must not already exist as a path in volumeMounts";
            faults.push(Cause::invalid(of_place, place, detail));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::json;

    #[test]
    fn sources() {
        let good: Vec<Volume> = object(json!([
            {"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "b", "secret": {"secretName": "s"}},
        ]));
        assert_eq!(volumes(&good, "v"), []);
        let bad: Vec<Volume> = object(json!([
            {"name": "A", "emptyDir": {}}, {"name": "b"}, {"name": "b", "hostPath": {"path": "/a/.."}},
            {"name": "c", "configMap": {"name": "", "items": [{"key": "", "path": "/x"}]}, "emptyDir": {}},
        ]));
        let found = lines(volumes(&bad, "v"));
        assert!(
            found[0].starts_with("v[0].name: Invalid value: \"A\": a lowercase RFC 1123 label")
        );
        assert_eq!(
            found[1..],
            [
                "v[1]: Required value: must specify a volume type",
                "v[2].name: Duplicate value: \"b\"",
                "v[2].hostPath.path: Invalid value: \"/a/..\": must not contain '..'",
                "v[3].emptyDir: Forbidden: may not specify more than 1 volume type",
                "v[3].configMap.name: Required value",
                "v[3].configMap.items[0].key: Required value",
                "v[3].configMap.items[0].path: Invalid value: \"/x\": must be a relative path",
            ]
        );
    }

    #[test]
    fn places() {
        let all: Vec<Volume> = object(json!([{"name": "a", "emptyDir": {}}]));
        let bad: Vec<VolumeMount> = object(json!([
            {"name": "a", "mountPath": "/x"}, {"name": "b", "mountPath": "/x", "subPath": "../y"},
        ]));
        assert_eq!(
            lines(mounts(&bad, &all, "m")),
            [
                "m[1].name: Not found: \"b\"",
                "m[1].mountPath: Invalid value: \"/x\": must be unique",
                "m[1].subPath: Invalid value: \"../y\": must not contain '..'",
            ]
        );
    }
}
