//! A pod's containers as the standards look at them, and the words for those that offend.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EphemeralContainer, Lifecycle, PodSpec, Probe, SecurityContext,
};

/// What the standards look at in a container of any sort.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) context: Option<&'a SecurityContext>,
    pub(super) ports: &'a [ContainerPort],
    pub(super) probes: [Option<&'a Probe>; 3],
    pub(super) lifecycle: Option<&'a Lifecycle>,
}

impl<'a> From<&'a Container> for View<'a> {
    fn from(container: &'a Container) -> Self {
        Self {
            name: &container.name,
            context: container.security_context.as_ref(),
            ports: container.ports.as_deref().unwrap_or_default(),
            probes: [
                container.liveness_probe.as_ref(),
                container.readiness_probe.as_ref(),
                container.startup_probe.as_ref(),
            ],
            lifecycle: container.lifecycle.as_ref(),
        }
    }
}

impl<'a> From<&'a EphemeralContainer> for View<'a> {
    fn from(container: &'a EphemeralContainer) -> Self {
        Self {
            name: &container.name,
            context: container.security_context.as_ref(),
            ports: container.ports.as_deref().unwrap_or_default(),
            probes: [
                container.liveness_probe.as_ref(),
                container.readiness_probe.as_ref(),
                container.startup_probe.as_ref(),
            ],
            lifecycle: container.lifecycle.as_ref(),
        }
    }
}

/// Every container: first those of initialisation, last the ephemeral ones.
pub(super) fn containers(spec: &PodSpec) -> impl Iterator<Item = View<'_>> {
    let init = spec.init_containers.iter().flatten().map(View::from);
    let own = spec.containers.iter().map(View::from);
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(View::from);
    init.chain(own).chain(ephemeral)
}

/// `one` or `many`, as the number of items wants it.
pub(super) fn plural<'a, T>(items: &[T], one: &'a str, many: &'a str) -> &'a str {
    if items.len() == 1 { one } else { many }
}

/// `"a", "b"`.
pub(super) fn quoted<T: AsRef<str>>(items: &[T]) -> String {
    let quoted: Vec<_> = items.iter().map(|item| format!("{:?}", item.as_ref())).collect();
    quoted.join(", ")
}

/// `container "a"` or `containers "a", "b"`.
pub(super) fn named(names: &[&str]) -> String {
    format!("{} {}", plural(names, "container", "containers"), quoted(names))
}

/// `pod and container "a"`: whoever of them offends. `None` if nobody does.
pub(super) fn setters(pod: bool, containers: &[&str]) -> Option<String> {
    match (pod, containers.is_empty()) {
        (false, true) => None,
        (true, true) => Some("pod".into()),
        (false, false) => Some(named(containers)),
        (true, false) => Some(format!("pod and {}", named(containers))),
    }
}

/// Sorted and without repetitions.
pub(super) fn distinct<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items.dedup();
    items
}
