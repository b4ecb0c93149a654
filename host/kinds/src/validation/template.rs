//! Templates of pods, and what all owners of one ask of it.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use coracle_api::selector::Selector;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplate, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::meta::{annotations, labels};
use super::{pod, selector};

/// The faults of a template that stands alone.
pub(crate) fn podtemplate(object: &PodTemplate) -> Vec<Cause> {
    template(object.template.as_ref().unwrap_or(&PodTemplateSpec::default()), "template")
}

/// The faults of a template of pods.
pub(super) fn template(template: &PodTemplateSpec, path: &str) -> Vec<Cause> {
    template_with(template, &[], path)
}

/// The same where each pod gets `further` volumes.
pub(super) fn template_with(
    template: &PodTemplateSpec,
    further: &[Volume],
    path: &str,
) -> Vec<Cause> {
    let none = PodSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&none);
    let meta = template.metadata.as_ref();
    let mut faults = labels(meta.and_then(|meta| meta.labels.as_ref()), &format!("{path}.labels"));
    let notes = meta.and_then(|meta| meta.annotations.as_ref());
    faults.extend(annotations(notes, &format!("{path}.annotations")));
    faults.extend(pod::pod_spec(spec, further, &format!("{path}.spec")));
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        let path = format!("{path}.spec.ephemeralContainers");
        faults.push(Cause::forbidden(path, "ephemeral containers not allowed in pod template"));
    }
    faults
}

/// What is amiss with a template whose pods shall run for ever, for an `owner` of that kind.
pub(super) fn for_ever(template: &PodTemplateSpec, owner: &str, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let spec = template.spec.as_ref();
    let policy = spec.and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    if policy != "Always" {
        faults.push(Cause::not_supported(
            format!("{path}.spec.restartPolicy"),
            policy,
            &["Always"],
        ));
    }
    if spec.is_some_and(|spec| spec.active_deadline_seconds.is_some()) {
        let detail = format!("activeDeadlineSeconds in {owner} is not Supported");
        faults.push(Cause::forbidden(format!("{path}.spec.activeDeadlineSeconds"), &detail));
    }
    faults
}

/// The labels that a template gives its pods.
pub(super) fn labels_of(template: &PodTemplateSpec) -> Option<&BTreeMap<String, String>> {
    template.metadata.as_ref().and_then(|meta| meta.labels.as_ref())
}

/// A selector that does not select the pods of its own template.
pub(super) fn mismatch(wanted: &Selector, template: &PodTemplateSpec, path: &str) -> Option<Cause> {
    let labels = labels_of(template);
    if wanted.matches_some(labels) {
        return None;
    }
    let none = BTreeMap::new();
    let value = json!(labels.unwrap_or(&none));
    let detail = "`selector` does not match template `labels`";
    Some(Cause::invalid(format!("{path}.metadata.labels"), value, detail))
}

/// A selector that must be given, and select something, for an `owner` of that kind.
pub(super) fn selector(wanted: &LabelSelector, owner: &str, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    // Rust's types cannot tell a missing selector from an empty one.
    if *wanted == LabelSelector::default() {
        faults.push(Cause::required(path, ""));
    } else {
        faults.extend(selector::label_selector(wanted, path));
    }
    if selector::is_empty(wanted) {
        let detail = format!("empty selector is invalid for {owner}");
        faults.push(Cause::invalid(path, json!(wanted), &detail));
    }
    faults
}
