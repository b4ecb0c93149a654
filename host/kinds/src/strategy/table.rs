//! What the columns of several kinds have in common.

use std::borrow::Cow;

use coracle_api::{clock, duration};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::Column;

/// The column of names.
pub const NAME: Column = Column {
    name: Cow::Borrowed("Name"),
    r#type: Cow::Borrowed("string"),
    format: Cow::Borrowed("name"),
    description: Cow::Borrowed("Name of the object, unique within its namespace."),
    priority: 0,
};

/// The column of ages.
pub const AGE: Column =
    column("Age", "string", "Time since the object was created (its creationTimestamp).");

/// A column that is always shown.
pub(super) const fn column(
    name: &'static str,
    r#type: &'static str,
    description: &'static str,
) -> Column {
    shown(name, r#type, description, 0)
}

/// A column for `-o wide` only.
pub(super) const fn wide(
    name: &'static str,
    r#type: &'static str,
    description: &'static str,
) -> Column {
    shown(name, r#type, description, 1)
}

const fn shown(
    name: &'static str,
    r#type: &'static str,
    description: &'static str,
    priority: i32,
) -> Column {
    Column {
        name: Cow::Borrowed(name),
        r#type: Cow::Borrowed(r#type),
        format: Cow::Borrowed(""),
        description: Cow::Borrowed(description),
        priority,
    }
}

/// The columns of kinds that have nothing else to show.
pub(crate) const NAME_AND_AGE: &[Column] = &[NAME, AGE];

/// Their row.
pub(crate) fn name_and_age<K: kube::Resource>(object: &K) -> Vec<Value> {
    vec![name(object), age(object)]
}

/// The columns of kinds that Kubernetes has no columns for.
pub(super) const NAME_AND_CREATED: &[Column] =
    &[NAME, column("Created At", "date", "When the object was created.")];

/// Their row.
pub(super) fn name_and_created<K: kube::Resource>(object: &K) -> Vec<Value> {
    vec![name(object), json!(object.meta().creation_timestamp)]
}

/// The object's name.
pub(super) fn name<K: kube::Resource>(object: &K) -> Value {
    json!(object.meta().name.as_deref().unwrap_or_default())
}

/// Time since the object was created.
pub(super) fn age<K: kube::Resource>(object: &K) -> Value {
    json!(since(object.meta().creation_timestamp.as_ref()))
}

/// Time since `time`: `5m12s`, or `<unknown>`.
pub(super) fn since(time: Option<&Time>) -> String {
    ago(time.map(|time| time.0))
}

/// The same for times with microseconds.
pub(super) fn since_micro(time: Option<&MicroTime>) -> String {
    ago(time.map(|time| time.0))
}

fn ago(time: Option<Timestamp>) -> String {
    let Some(time) = time else { return "<unknown>".into() };
    duration::human(clock::now().duration_since(time).as_secs())
}

/// `text`, or `<none>` if there is none.
pub(super) fn or_none(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or("<none>")
}

/// The names and the images of a template's containers.
pub(super) fn containers_and_images(template: Option<&PodTemplateSpec>) -> [Value; 2] {
    let containers =
        template.and_then(|t| t.spec.as_ref()).map_or(&[][..], |spec| &spec.containers[..]);
    let names: Vec<_> = containers.iter().map(|container| container.name.as_str()).collect();
    let images: Vec<_> =
        containers.iter().map(|c| c.image.as_deref().unwrap_or_default()).collect();
    [json!(names.join(",")), json!(images.join(","))]
}
