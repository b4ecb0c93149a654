//! `events.k8s.io/v1`: the newer form of events, in other words, and with rules of its own.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::events::v1::Event as V1;
use serde_json::{Map, Value};

use crate::validation;
use crate::{ApiResource, Body, Builtin, Names, Strategy, Version, VersionRules};

/// What this version calls the fields of the stored one.
const FIELDS: &[(&str, &str)] = &[
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

pub(in super::super) fn v1() -> Version {
    Version {
        names: ApiResource::from(&Names { group: "events.k8s.io", version: "v1", ..Event::NAMES }),
        hub: Builtin::<Event>::kind(),
        body: Some(Body::of::<V1>()),
        fields: &[
            ("reason", "reason"),
            ("regarding.kind", "involvedObject.kind"),
            ("regarding.namespace", "involvedObject.namespace"),
            ("regarding.name", "involvedObject.name"),
            ("regarding.uid", "involvedObject.uid"),
            ("regarding.apiVersion", "involvedObject.apiVersion"),
            ("regarding.resourceVersion", "involvedObject.resourceVersion"),
            ("regarding.fieldPath", "involvedObject.fieldPath"),
            ("reportingController", "reportingComponent"),
            ("type", "type"),
        ],
        into_hub: |object| rename(object, FIELDS.iter().copied()),
        out_of_hub: |object| rename(object, FIELDS.iter().map(|&(own, hubs)| (hubs, own))),
        rules: Some(VersionRules {
            create: |object| {
                object.downcast_ref::<Event>().map(validation::new_event).unwrap_or_default()
            },
            update: |new, old| match (new.downcast_ref::<Event>(), old.downcast_ref::<Event>()) {
                (Some(new), Some(old)) => validation::new_event_update(new, old),
                _ => vec![],
            },
        }),
    }
}

fn rename<'a>(object: &mut Map<String, Value>, names: impl Iterator<Item = (&'a str, &'a str)>) {
    for (from, to) in names {
        if let Some(value) = object.remove(from) {
            object.insert(to.into(), value);
        }
    }
}
