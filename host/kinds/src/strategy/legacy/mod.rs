//! Versions that Kubernetes served once: none is stored, each is another form of a kind that lives
//! on, with the meaning that it had where it says nothing. May not import verbs.

mod extensions;
mod init_containers;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Map, Value, json};

use crate::{ApiResource, Builtin, Names, Strategy, Version};

pub(super) use init_containers::{annotated, annotated_pod};

/// All of them.
pub(super) fn versions() -> Vec<Version> {
    let mut all = vec![
        version::<StatefulSet>(
            Names {
                version: "v1alpha1",
                kind: "PetSet",
                plural: "petsets",
                singular: "petset",
                short: &[],
                categories: &[],
                ..StatefulSet::NAMES
            },
            pet_set,
            unchanged,
        ),
        version::<CronJob>(
            Names {
                version: "v2alpha1",
                kind: "ScheduledJob",
                plural: "scheduledjobs",
                singular: "scheduledjob",
                short: &[],
                categories: &[],
                ..CronJob::NAMES
            },
            unchanged,
            unchanged,
        ),
        version::<CronJob>(
            Names { version: "v2alpha1", short: &[], categories: &[], ..CronJob::NAMES },
            unchanged,
            unchanged,
        ),
    ];
    all.extend(extensions::versions());
    all
}

type Rewriting = fn(&mut Map<String, Value>);

fn version<T: Strategy>(names: Names, into_hub: Rewriting, out_of_hub: Rewriting) -> Version {
    Version {
        names: ApiResource::from(&names),
        hub: Builtin::<T>::kind(),
        body: None,
        fields: &[],
        into_hub,
        out_of_hub,
        rules: None,
    }
}

fn unchanged(_: &mut Map<String, Value>) {}

/// Pets were replaced by nobody but their owner.
fn pet_set(object: &mut Map<String, Value>) {
    let Some(spec) = spec(object) else { return };
    default(spec, "updateStrategy", json!({ "type": "OnDelete" }));
    select_template(spec);
}

fn spec(object: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    object.get_mut("spec")?.as_object_mut()
}

fn default(map: &mut Map<String, Value>, field: &str, value: Value) {
    map.entry(field).or_insert(value);
}

/// What a template gives its pods.
fn template_labels(spec: &Map<String, Value>) -> Option<Value> {
    let labels = spec.get("template")?.get("metadata")?.get("labels")?;
    labels.as_object().filter(|labels| !labels.is_empty())?;
    Some(labels.clone())
}

/// Selects the pods of the own template where nothing else is selected.
fn select_template(spec: &mut Map<String, Value>) {
    if let Some(labels) = template_labels(spec) {
        default(spec, "selector", json!({ "matchLabels": labels }));
    }
}

#[cfg(test)]
mod tests;
