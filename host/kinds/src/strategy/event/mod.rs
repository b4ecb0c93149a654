//! Event.

mod v1;

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use super::table::{NAME, column, name, since, since_micro, wide};
use crate::validation;
use crate::{Column, Names, Rules, Strategy};

pub(super) use v1::v1;

impl Strategy for Event {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "Event",
        plural: "events",
        singular: "event",
        short: &["ev"],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const RULES: Rules = Rules { create_on_update: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        column("Last Seen", "string", "When this was last observed."),
        column("Type", "string", "Normal or Warning."),
        column("Reason", "string", "Why the event was made, in one word."),
        column("Object", "string", "What the event is about."),
        wide("Subobject", "string", "The part of the object that the event is about."),
        wide("Source", "string", "Who observed it."),
        column("Message", "string", "What happened, for people."),
        wide("First Seen", "string", "When this was first observed."),
        wide("Count", "string", "How often this was observed."),
        Column { priority: 1, ..NAME },
    ];
    const SELECTABLE: &'static [&'static str] = &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ];

    fn validate(&self) -> Vec<Cause> {
        validation::event(self)
    }

    fn select(&self) -> Vec<String> {
        let object = &self.involved_object;
        let source = self.source.as_ref().and_then(|source| source.component.clone());
        let source = source.filter(|source| !source.is_empty());
        [
            object.kind.clone(),
            object.namespace.clone(),
            object.name.clone(),
            object.uid.clone(),
            object.api_version.clone(),
            object.resource_version.clone(),
            object.field_path.clone(),
            self.reason.clone(),
            self.reporting_component.clone(),
            source.or_else(|| self.reporting_component.clone()),
            self.type_.clone(),
        ]
        .map(Option::unwrap_or_default)
        .into()
    }

    fn row(&self) -> Vec<Value> {
        let first = match &self.first_timestamp {
            None => since_micro(self.event_time.as_ref()),
            first => since(first.as_ref()),
        };
        let last = match (&self.series, &self.last_timestamp) {
            (Some(series), _) => since_micro(series.last_observed_time.as_ref()),
            (None, None) => first.clone(),
            (None, last) => since(last.as_ref()),
        };
        let count = match &self.series {
            Some(series) => series.count.unwrap_or_default(),
            None => self.count.unwrap_or_default().max(1),
        };
        let kind = self.involved_object.kind.as_deref().unwrap_or_default().to_lowercase();
        let object = match self.involved_object.name.as_deref() {
            Some(name) if !name.is_empty() => format!("{kind}/{name}"),
            _ => kind,
        };
        vec![
            json!(last),
            json!(self.type_.as_deref().unwrap_or_default()),
            json!(self.reason.as_deref().unwrap_or_default()),
            json!(object),
            json!(self.involved_object.field_path.as_deref().unwrap_or_default()),
            json!(source(self)),
            json!(self.message.as_deref().unwrap_or_default().trim()),
            json!(first),
            json!(count),
            name(self),
        ]
    }
}

/// `kubelet, node-1`.
fn source(event: &Event) -> String {
    let filled = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let source = event.source.as_ref();
    let component = filled(source.and_then(|source| source.component.as_ref()))
        .or_else(|| filled(event.reporting_component.as_ref()));
    let host = filled(source.and_then(|source| source.host.as_ref()))
        .or_else(|| filled(event.reporting_instance.as_ref()));
    [component, host].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
