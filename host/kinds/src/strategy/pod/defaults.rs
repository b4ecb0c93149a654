//! What a pod means where it says nothing (`k8s.io/kubernetes/pkg/apis/core/v1/defaults.go`).

use coracle_api::{pods, quantity};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EphemeralContainer, HTTPGetAction, Lifecycle, LifecycleHandler,
    ObjectFieldSelector, Pod, PodSpec, PodTemplateSpec, Probe, ResourceFieldSelector,
    ResourceRequirements, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::super::node::canonicalise;
use super::super::persistentvolumeclaim;

/// Permission bits of projected files.
const FILE_MODE: i32 = 0o644;

/// Fills in a text that is not given.
pub(in super::super) fn set_text(field: &mut Option<String>, text: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(text.into());
    }
}

fn set_number(field: &mut Option<i32>, number: i32) {
    if field.unwrap_or(0) == 0 {
        *field = Some(number);
    }
}

/// Defaults of a pod's own; its spec's included.
pub(super) fn default_pod(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    default_spec(spec);
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        if let Some(resources) = &mut container.resources {
            request_what_is_limited(resources);
        }
    }
    default_pod_requests(spec);
    spec.enable_service_links.get_or_insert(true);
    if spec.host_network == Some(true) {
        publish_ports(spec);
    }
}

fn request_what_is_limited(resources: &mut ResourceRequirements) {
    let Some(limits) = &resources.limits else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// Requests of the pod as a whole, where it is limited as a whole: what its containers request,
/// or else the limit.
fn default_pod_requests(spec: &mut PodSpec) {
    let limits = spec.resources.as_ref().and_then(|resources| resources.limits.clone());
    let Some(limits) = limits.filter(|limits| !limits.is_empty()) else { return };
    let containers = PodSpec { resources: None, overhead: None, ..spec.clone() };
    let sums = pods::requests(&containers);
    let Some(resources) = &mut spec.resources else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, amount) in sums {
        if matches!(name.as_str(), "cpu" | "memory") {
            requests.entry(name).or_insert_with(|| amount.into());
        }
    }
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

/// On the host's network every container port is the host's.
fn publish_ports(spec: &mut PodSpec) {
    let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    for port in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
        set_number(&mut port.host_port, port.container_port);
    }
}

/// Defaults of a template of pods.
pub(in super::super) fn default_template(template: &mut PodTemplateSpec) {
    if let Some(spec) = &mut template.spec {
        default_spec(spec);
    }
}

/// Defaults that hold for pods and for the templates of workloads.
fn default_spec(spec: &mut PodSpec) {
    set_text(&mut spec.dns_policy, "ClusterFirst");
    set_text(&mut spec.restart_policy, "Always");
    set_text(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(30);
    // The older of two names for the same is kept for the sake of older clients.
    if let Some(account) = spec.service_account.clone().filter(|account| !account.is_empty()) {
        set_text(&mut spec.service_account_name, &account);
    }
    if let Some(account) = spec.service_account_name.clone().filter(|name| !name.is_empty()) {
        spec.service_account = Some(account);
    }
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        default_container(container);
    }
    for container in spec.ephemeral_containers.iter_mut().flatten() {
        default_ephemeral(container);
    }
    for volume in spec.volumes.iter_mut().flatten() {
        default_volume(volume);
    }
    if let Some(overhead) = &mut spec.overhead {
        canonicalise(overhead);
    }
    canonicalise_resources(&mut spec.resources);
}

fn canonicalise_resources(resources: &mut Option<ResourceRequirements>) {
    let resources = resources.iter_mut();
    for amounts in resources.flat_map(|r| [&mut r.limits, &mut r.requests]).flatten() {
        canonicalise(amounts);
    }
}

fn default_container(container: &mut Container) {
    let image = container.image.as_deref().unwrap_or_default();
    set_text(&mut container.image_pull_policy, pull_policy(image));
    set_text(&mut container.termination_message_path, "/dev/termination-log");
    set_text(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        set_text(&mut port.protocol, "TCP");
    }
    for probe in [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ] {
        probe.iter_mut().for_each(default_probe);
    }
    container.lifecycle.iter_mut().for_each(default_lifecycle);
    container.env.iter_mut().flatten().for_each(default_env);
    // Present though empty, as it is no pointer in Kubernetes.
    container.resources.get_or_insert_default();
    canonicalise_resources(&mut container.resources);
}

fn default_ephemeral(container: &mut EphemeralContainer) {
    let image = container.image.as_deref().unwrap_or_default();
    set_text(&mut container.image_pull_policy, pull_policy(image));
    set_text(&mut container.termination_message_path, "/dev/termination-log");
    set_text(&mut container.termination_message_policy, "File");
    container.env.iter_mut().flatten().for_each(default_env);
    container.resources.get_or_insert_default();
}

/// Images of the tag `latest`, which is also meant where there is neither tag nor digest, may
/// have changed since the last pull.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(n, d)| (n, Some(d)));
    let last = name.rsplit('/').next().unwrap_or(name);
    match (last.split_once(':'), digest) {
        (Some((_, "latest")), _) => "Always",
        (None, None) if !image.is_empty() => "Always",
        _ => "IfNotPresent",
    }
}

fn default_probe(probe: &mut Probe) {
    set_number(&mut probe.timeout_seconds, 1);
    set_number(&mut probe.period_seconds, 10);
    set_number(&mut probe.success_threshold, 1);
    set_number(&mut probe.failure_threshold, 3);
    probe.http_get.iter_mut().for_each(default_http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn default_http_get(action: &mut HTTPGetAction) {
    set_text(&mut action.path, "/");
    set_text(&mut action.scheme, "HTTP");
}

fn default_lifecycle(lifecycle: &mut Lifecycle) {
    let handlers: [&mut Option<LifecycleHandler>; 2] =
        [&mut lifecycle.post_start, &mut lifecycle.pre_stop];
    for handler in handlers.into_iter().flatten() {
        handler.http_get.iter_mut().for_each(default_http_get);
    }
}

fn default_env(variable: &mut EnvVar) {
    let Some(source) = &mut variable.value_from else { return };
    source.field_ref.iter_mut().for_each(default_field_ref);
    source.resource_field_ref.iter_mut().for_each(default_resource_ref);
}

fn default_field_ref(field: &mut ObjectFieldSelector) {
    set_text(&mut field.api_version, "v1");
}

fn default_resource_ref(field: &mut ResourceFieldSelector) {
    field.divisor = Some(match &field.divisor {
        Some(divisor) => quantity::canonical(divisor),
        None => Quantity("0".into()),
    });
}

fn default_volume(volume: &mut Volume) {
    if *volume == (Volume { name: volume.name.clone(), ..Volume::default() }) {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(config_map) = &mut volume.config_map {
        config_map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(host_path) = &mut volume.host_path {
        host_path.type_.get_or_insert_default();
    }
    if let Some(size) = volume.empty_dir.as_mut().and_then(|dir| dir.size_limit.as_mut()) {
        *size = quantity::canonical(size);
    }
    if let Some(downward) = &mut volume.downward_api {
        downward.default_mode.get_or_insert(FILE_MODE);
        for item in downward.items.iter_mut().flatten() {
            item.field_ref.iter_mut().for_each(default_field_ref);
            item.resource_field_ref.iter_mut().for_each(default_resource_ref);
        }
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(FILE_MODE);
        for source in projected.sources.iter_mut().flatten() {
            if let Some(token) = &mut source.service_account_token {
                token.expiration_seconds.get_or_insert(3600);
            }
            let items = source.downward_api.iter_mut().flat_map(|downward| &mut downward.items);
            for item in items.flatten() {
                item.field_ref.iter_mut().for_each(default_field_ref);
                item.resource_field_ref.iter_mut().for_each(default_resource_ref);
            }
        }
    }
    if let Some(image) = &mut volume.image {
        let reference = image.reference.as_deref().unwrap_or_default();
        set_text(&mut image.pull_policy, pull_policy(reference));
    }
    if let Some(claim) = volume.ephemeral.as_mut().and_then(|e| e.volume_claim_template.as_mut()) {
        persistentvolumeclaim::default_spec(&mut claim.spec);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Strategy;
    use serde_json::json;

    fn defaulted(pod: serde_json::Value) -> serde_json::Value {
        let mut pod: Pod = serde_json::from_value(pod).unwrap();
        pod.default_fields();
        serde_json::to_value(pod).unwrap()
    }

    #[test]
    fn a_bare_pod() {
        let pod = defaulted(json!({"spec": {"containers": [{"name": "a", "image": "b"}]}}));
        assert_eq!(
            pod["spec"],
            json!({
                "containers": [{
                    "name": "a",
                    "image": "b",
                    "imagePullPolicy": "Always",
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst",
                "enableServiceLinks": true,
                "restartPolicy": "Always",
                "schedulerName": "default-scheduler",
                "securityContext": {},
                "terminationGracePeriodSeconds": 30,
            })
        );
    }

    #[test]
    fn pull_policies() {
        for (image, policy) in [
            ("a", "Always"),
            ("a:latest", "Always"),
            ("host:5000/a", "Always"),
            ("host:5000/a:v1", "IfNotPresent"),
            ("a@sha256:00", "IfNotPresent"),
            ("a:v1", "IfNotPresent"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn requests_follow_limits() {
        let pod = defaulted(json!({"spec": {"containers": [{
            "name": "a",
            "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "100m"}},
        }]}}));
        assert_eq!(
            pod["spec"]["containers"][0]["resources"],
            json!({
                "limits": {"cpu": "500m", "memory": "1Gi"},
                "requests": {"cpu": "100m", "memory": "1Gi"},
            })
        );
    }

    #[test]
    fn probes_ports_and_volumes() {
        let pod = defaulted(json!({"spec": {
            "containers": [{
                "name": "a",
                "ports": [{"containerPort": 80}],
                "readinessProbe": {"httpGet": {"port": 80}},
                "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            }],
            "volumes": [{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}],
            "serviceAccount": "me",
        }}));
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(
            container["readinessProbe"],
            json!({
                "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            })
        );
        assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
        assert_eq!(pod["spec"]["volumes"][0], json!({"name": "a", "emptyDir": {}}));
        assert_eq!(pod["spec"]["volumes"][1]["secret"]["defaultMode"], 420);
        assert_eq!(pod["spec"]["serviceAccountName"], "me");
    }
}
