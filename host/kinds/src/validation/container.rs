//! Containers of a pod.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::{meta, pods};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerResizePolicy, EnvFromSource, EnvVar, EnvVarSource,
    EphemeralContainer, ObjectFieldSelector, PodResourceClaim, PodSpec, ResourceFieldSelector,
    ResourceRequirements, Volume,
};

use super::{all, filled, number, one_of, probe, resources, security, volume};

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// Fields that environment variables may show.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields that have a label, though they are not to be had everywhere.
const LABELLED_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.hostNetwork",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

/// Resources of a container that variables and files may show.
const SHOWN_RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// What containers are judged against.
pub(super) struct Surroundings<'a> {
    pub(super) volumes: &'a [Volume],
    /// The pod's grace period in seconds.
    pub(super) grace: i64,
    /// The pod's restart policy.
    pub(super) restart: &'a str,
    /// Whether the pod's users are the host's.
    pub(super) host_users: bool,
    /// The claims of devices that the pod has.
    pub(super) claims: &'a [PodResourceClaim],
}

/// The regular containers of a pod.
pub(super) fn containers(
    containers: &[Container],
    around: &Surroundings<'_>,
    path: &str,
) -> Vec<Cause> {
    if containers.is_empty() {
        return vec![Cause::required(path, "")];
    }
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, container) in containers.iter().enumerate() {
        let path = format!("{path}[{at}]");
        faults.extend(basics(container, around, &path));
        if !names.insert(&container.name) {
            faults.push(Cause::duplicate(format!("{path}.name"), container.name.as_str()));
        }
        if container.restart_policy.is_some() {
            let path = format!("{path}.restartPolicy");
            faults.push(Cause::forbidden(path, "may not be set for non-init containers"));
        }
        faults.extend(looked_after(container, around, &path));
    }
    faults.extend(host_ports(containers, path));
    faults
}

/// The host's ports can be had by one container each.
fn host_ports(containers: &[Container], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut taken = HashSet::new();
    for (at, container) in containers.iter().enumerate() {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
            let protocol = port.protocol.as_deref().unwrap_or_default();
            let address = port.host_ip.as_deref().unwrap_or_default();
            let place = format!("{protocol}/{address}/{number}");
            if taken.contains(&place) {
                let path = format!("{path}[{at}].ports[{index}].hostPort");
                faults.push(Cause::duplicate(path, place.as_str()));
            }
            taken.insert(place);
        }
    }
    faults
}

/// The init containers of a pod, whose names may not be those of `regular` ones.
pub(super) fn init_containers(
    containers: &[Container],
    regular: &[Container],
    around: &Surroundings<'_>,
    path: &str,
) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names: HashSet<&str> = regular.iter().map(|other| other.name.as_str()).collect();
    let list = path.to_owned();
    for (at, container) in containers.iter().enumerate() {
        let path = format!("{path}[{at}]");
        faults.extend(basics(container, around, &path));
        if !container.name.is_empty() && !names.insert(&container.name) {
            faults.push(Cause::duplicate(format!("{path}.name"), container.name.as_str()));
        }
        if let Some(policy) = container.restart_policy.as_deref().filter(|p| *p != "Always") {
            let path = format!("{path}.restartPolicy");
            faults.push(Cause::not_supported(path, policy, &["Always"]));
        }
        faults.extend(host_ports(std::slice::from_ref(container), &list));
        if pods::is_sidecar(container) {
            faults.extend(looked_after(container, around, &path));
            continue;
        }
        let given = [
            ("lifecycle", container.lifecycle.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            let detail = "may not be set for init containers without restartPolicy=Always";
            faults.push(Cause::forbidden(format!("{path}.{field}"), detail));
        }
    }
    faults
}

/// Probes and hooks.
fn looked_after(container: &Container, around: &Surroundings<'_>, path: &str) -> Vec<Cause> {
    let of_lifecycle = format!("{path}.lifecycle");
    let mut faults = probe::lifecycle(container.lifecycle.as_ref(), around.grace, &of_lifecycle);
    faults.extend(probe::probes(container, around.grace, path));
    faults
}

fn basics(container: &Container, around: &Surroundings<'_>, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let name = container.name.as_str();
    let of_name = format!("{path}.name");
    if name.is_empty() {
        faults.push(Cause::required(of_name, ""));
    } else {
        faults.extend(all(&of_name, name, meta::dns_1123_label(name)));
    }
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        faults.push(Cause::required(format!("{path}.image"), ""));
    }
    let policy = container.termination_message_policy.as_deref();
    let of_policy = format!("{path}.terminationMessagePolicy");
    faults.extend(one_of(&of_policy, policy, &["FallbackToLogsOnError", "File"]));
    faults.extend(ports(container.ports.as_deref().unwrap_or_default(), &format!("{path}.ports")));
    faults.extend(env(container.env.as_deref().unwrap_or_default(), &format!("{path}.env")));
    let env_from = container.env_from.as_deref().unwrap_or_default();
    faults.extend(sources(env_from, &format!("{path}.envFrom")));
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    faults.extend(volume::mounts(mounts, around.volumes, &format!("{path}.volumeMounts")));
    faults.extend(volume::devices(container, around.volumes, &format!("{path}.volumeDevices")));
    let policy = container.image_pull_policy.as_deref();
    let policies = &["Always", "IfNotPresent", "Never"];
    faults.extend(one_of(&format!("{path}.imagePullPolicy"), policy, policies));
    let of_resources = format!("{path}.resources");
    faults.extend(resources::requirements(container.resources.as_ref(), &of_resources));
    let claims = container.resources.iter().flat_map(|resources| resources.claims.iter().flatten());
    for (at, claim) in claims.enumerate() {
        let path = format!("{of_resources}.claims[{at}].name");
        if claim.name.is_empty() {
            faults.push(Cause::required(path, ""));
        } else if !around.claims.iter().any(|known| known.name == claim.name) {
            faults.push(Cause::not_found(path, claim.name.as_str()));
        }
    }
    let policies = container.resize_policy.as_deref().unwrap_or_default();
    faults.extend(resize(policies, around.restart, &format!("{path}.resizePolicy")));
    let context = container.security_context.as_ref();
    let of_context = format!("{path}.securityContext");
    faults.extend(security::container(context, around.host_users, &of_context));
    faults
}

/// What becomes of a container whose resources change.
fn resize(policies: &[ContainerResizePolicy], restart: &str, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, policy) in policies.iter().enumerate() {
        let name = policy.resource_name.as_str();
        if !names.insert(name) {
            faults.push(Cause::duplicate(format!("{path}[{at}]"), name));
        }
        faults.extend(one_of(path, Some(name), &["cpu", "memory"]));
        let wanted = policy.restart_policy.as_str();
        faults.extend(one_of(path, Some(wanted), &["NotRequired", "RestartContainer"]));
        if restart == "Never" && wanted != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            faults.push(Cause::invalid(path, wanted, detail));
        }
    }
    faults
}

/// What is allowed in images of templates alone, where it may stand for what comes later.
pub(super) fn padded_images(containers: &[Container], path: &str) -> Vec<Cause> {
    let images = containers.iter().map(|c| c.image.as_deref().unwrap_or_default()).enumerate();
    let padded = images.filter(|(_, image)| image.trim() != *image);
    let detail = "must not have leading or trailing whitespace";
    padded.map(|(at, image)| Cause::invalid(format!("{path}[{at}].image"), image, detail)).collect()
}

/// Containers that are put beside those that run, to look at them.
pub(super) fn ephemeral(
    containers: &[EphemeralContainer],
    spec: &PodSpec,
    around: &Surroundings<'_>,
    path: &str,
) -> Vec<Cause> {
    let others = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let others: HashSet<&str> = others.map(|other| other.name.as_str()).collect();
    let mut names = others.clone();
    let mut faults = vec![];
    for (at, container) in containers.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let plain = as_container(container);
        faults.extend(basics(&plain, around, &path));
        let image = plain.image.as_deref().unwrap_or_default();
        if image.trim() != image {
            let detail = "must not have leading or trailing whitespace";
            faults.push(Cause::invalid(format!("{path}.image"), image, detail));
        }
        if !names.insert(&container.name) {
            faults.push(Cause::duplicate(format!("{path}.name"), container.name.as_str()));
        }
        if let Some(target) = container.target_container_name.as_deref().filter(|t| !t.is_empty())
            && !others.contains(target)
        {
            faults.push(Cause::not_found(format!("{path}.targetContainerName"), target));
        }
        let detail = "cannot be set for an Ephemeral Container";
        let empty = ResourceRequirements::default();
        let fields = [
            ("ports", container.ports.as_ref().is_some_and(|ports| !ports.is_empty())),
            ("resources", container.resources.as_ref().is_some_and(|given| *given != empty)),
            ("resizePolicy", container.resize_policy.as_ref().is_some_and(|p| !p.is_empty())),
            ("restartPolicy", container.restart_policy.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
            ("lifecycle", container.lifecycle.is_some()),
        ];
        for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
            faults.push(Cause::forbidden(format!("{path}.{field}"), detail));
        }
        for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let texts = [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)];
            for (field, _) in texts.into_iter().filter(|(_, text)| filled(text.as_ref())) {
                let path = format!("{path}.volumeMounts[{index}].{field}");
                faults.push(Cause::forbidden(path, detail));
            }
        }
    }
    faults
}

/// An ephemeral container as far as it is like any other.
fn as_container(container: &EphemeralContainer) -> Container {
    Container {
        name: container.name.clone(),
        image: container.image.clone(),
        image_pull_policy: container.image_pull_policy.clone(),
        termination_message_policy: container.termination_message_policy.clone(),
        env: container.env.clone(),
        env_from: container.env_from.clone(),
        volume_mounts: container.volume_mounts.clone(),
        volume_devices: container.volume_devices.clone(),
        security_context: container.security_context.clone(),
        ..Container::default()
    }
}

fn ports(ports: &[ContainerPort], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let of_name = format!("{path}.name");
            let misnamed = all(&of_name, name, meta::port_name(name));
            if misnamed.is_empty() && !names.insert(name) {
                faults.push(Cause::duplicate(of_name, name));
            }
            faults.extend(misnamed);
        }
        if port.container_port == 0 {
            faults.push(Cause::required(format!("{path}.containerPort"), ""));
        } else {
            faults.extend(number::port(&format!("{path}.containerPort"), port.container_port));
        }
        if let Some(host_port) = port.host_port.filter(|number| *number != 0) {
            faults.extend(number::port(&format!("{path}.hostPort"), host_port));
        }
        let protocol = port.protocol.as_deref();
        faults.extend(one_of(&format!("{path}.protocol"), protocol, PROTOCOLS));
    }
    faults
}

fn env(variables: &[EnvVar], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, variable) in variables.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let of_name = format!("{path}.name");
        if variable.name.is_empty() {
            faults.push(Cause::required(of_name, ""));
        } else {
            faults.extend(all(&of_name, &variable.name, meta::env_name(&variable.name)));
        }
        if let Some(source) = &variable.value_from {
            let has_value = filled(variable.value.as_ref());
            faults.extend(value_from(source, has_value, &format!("{path}.valueFrom")));
        }
    }
    faults
}

fn value_from(source: &EnvVarSource, has_value: bool, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        faults.extend(field_ref(field, ENV_FIELDS, &format!("{path}.fieldRef")));
    }
    if let Some(resource) = &source.resource_field_ref {
        sources += 1;
        faults.extend(resource_ref(resource, false, &format!("{path}.resourceFieldRef")));
    }
    if let Some(key) = &source.config_map_key_ref {
        sources += 1;
        faults.extend(key_ref(&key.name, &key.key, &format!("{path}.configMapKeyRef")));
    }
    if let Some(key) = &source.secret_key_ref {
        sources += 1;
        faults.extend(key_ref(&key.name, &key.key, &format!("{path}.secretKeyRef")));
    }
    if source.file_key_ref.is_some() {
        sources += 1;
        let detail = "values from files are not supported";
        faults.push(Cause::forbidden(format!("{path}.fileKeyRef"), detail));
    }
    let detail = match sources {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        }
        _ if has_value => "may not be specified when `value` is not empty",
        1 => return faults,
        _ => "may not have more than one field specified at a time",
    };
    faults.push(Cause::invalid(path, "", detail));
    faults
}

/// A reference to a field of the pod that has to be one of `known`, or one label or annotation.
pub(super) fn field_ref(field: &ObjectFieldSelector, known: &[&str], path: &str) -> Vec<Cause> {
    if !filled(field.api_version.as_ref()) {
        return vec![Cause::required(format!("{path}.apiVersion"), "")];
    }
    let of_path = format!("{path}.fieldPath");
    let name = field.field_path.as_str();
    if name.is_empty() {
        return vec![Cause::required(of_path, "")];
    }
    if let Some((map, key)) = subscript(name) {
        return match map {
            "metadata.annotations" => all(&of_path, key, meta::qualified_name(&key.to_lowercase())),
            "metadata.labels" => all(&of_path, key, meta::qualified_name(key)),
            _ => {
                let detail = format!("{map:?} does not support subscript");
                vec![Cause::invalid(of_path, name, &detail)]
            }
        };
    }
    if !LABELLED_FIELDS.contains(&name) {
        let detail = format!("error converting fieldPath: field label not supported: {name}");
        return vec![Cause::invalid(of_path, name, &detail)];
    }
    if known.contains(&name) { vec![] } else { vec![Cause::not_supported(of_path, name, known)] }
}

/// `metadata.labels['app']` as its map and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, key) = path.strip_suffix("']")?.split_once("['")?;
    (!map.is_empty()).then_some((map, key))
}

pub(super) fn resource_ref(
    resource: &ResourceFieldSelector,
    of_file: bool,
    path: &str,
) -> Vec<Cause> {
    let mut faults = vec![];
    if of_file && !filled(resource.container_name.as_ref()) {
        faults.push(Cause::required(format!("{path}.containerName"), ""));
    }
    let name = resource.resource.as_str();
    let hugepages = ["limits.hugepages-", "requests.hugepages-"];
    if name.is_empty() {
        faults.push(Cause::required(format!("{path}.resource"), ""));
    } else if !SHOWN_RESOURCES.contains(&name) && !hugepages.iter().any(|p| name.starts_with(p)) {
        faults.push(Cause::not_supported(format!("{path}.resource"), name, SHOWN_RESOURCES));
    }
    if let Some(divisor) = &resource.divisor {
        faults.extend(resources::quantity(divisor, &format!("{path}.divisor")));
    }
    faults
}

fn key_ref(name: &str, key: &str, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if !name.is_empty() {
        faults.extend(all(&format!("{path}.name"), name, meta::dns_1123_subdomain(name)));
    }
    if key.is_empty() {
        faults.push(Cause::required(format!("{path}.key"), ""));
    } else {
        faults.extend(all(&format!("{path}.key"), key, meta::config_key(key)));
    }
    faults
}

fn sources(sources: &[EnvFromSource], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, source) in sources.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if let Some(prefix) = source.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            faults.extend(all(&format!("{path}.prefix"), prefix, meta::env_name(prefix)));
        }
        let references = [
            ("configMapRef", source.config_map_ref.as_ref().map(|each| &each.name)),
            ("secretRef", source.secret_ref.as_ref().map(|each| &each.name)),
        ];
        for (field, name) in references {
            let Some(name) = name else { continue };
            let path = format!("{path}.{field}.name");
            if name.is_empty() {
                faults.push(Cause::required(path, ""));
            } else {
                faults.extend(all(&path, name, meta::dns_1123_subdomain(name)));
            }
        }
        let detail = match references.iter().filter(|(_, name)| name.is_some()).count() {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        faults.push(Cause::invalid(path, "", detail));
    }
    faults
}
