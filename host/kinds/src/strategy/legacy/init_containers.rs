//! The annotations in which init containers stood before there was a field for them.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The newer first.
const ANNOTATIONS: [&str; 2] =
    ["pod.beta.kubernetes.io/init-containers", "pod.alpha.kubernetes.io/init-containers"];

/// Moves the init containers of a template from its annotations into their field.
pub(in super::super) fn annotated(template: &mut PodTemplateSpec) -> Result<(), String> {
    let Some(meta) = &mut template.metadata else { return Ok(()) };
    read(meta, &mut template.spec)
}

/// The same for a pod.
pub(in super::super) fn annotated_pod(pod: &mut Pod) -> Result<(), String> {
    read(&mut pod.metadata, &mut pod.spec)
}

fn read(meta: &mut ObjectMeta, spec: &mut Option<PodSpec>) -> Result<(), String> {
    let Some(annotations) = &mut meta.annotations else { return Ok(()) };
    let given: Vec<_> = ANNOTATIONS
        .iter()
        .filter_map(|name| annotations.remove(*name).map(|text| (name, text)))
        .collect();
    if annotations.is_empty() {
        meta.annotations = None;
    }
    // The field holds where it is given: it is what the annotations became.
    let spec = spec.get_or_insert_default();
    let Some((name, text)) = given.first().filter(|_| spec.init_containers.is_none()) else {
        return Ok(());
    };
    let containers: Vec<Container> =
        serde_json::from_str(text).map_err(|error| format!("annotation {name}: {error}"))?;
    spec.init_containers = Some(containers);
    Ok(())
}
