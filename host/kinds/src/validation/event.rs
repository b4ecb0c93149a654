//! Events and Leases.

use coracle_api::cause::Cause;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;

use super::{all, dns_subdomain, filled, immutable, number};

/// The longest texts of an event: who, what and why, and the sentence for people.
const WORD_MAX: usize = 128;
const MESSAGE_MAX: usize = 1024;

/// The faults of an event.
pub(crate) fn event(event: &Event) -> Vec<Cause> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let about = event.involved_object.namespace.as_deref().unwrap_or_default();
    let mut faults = vec![];
    let fits = if about.is_empty() { namespace == "default" } else { namespace == about };
    if !fits {
        let detail = "does not match event.namespace";
        faults.push(Cause::invalid("involvedObject.namespace", about, detail));
    }
    // Events of the newer form say more, and so have more to get wrong.
    if event.event_time.is_some() {
        faults.extend(complete(event));
    }
    if !namespace.is_empty() {
        faults.extend(all("namespace", namespace, dns_subdomain(namespace)));
    }
    faults
}

fn complete(event: &Event) -> Vec<Cause> {
    let mut faults = vec![];
    let words = [
        ("reportingController", &event.reporting_component),
        ("reportingInstance", &event.reporting_instance),
        ("action", &event.action),
        ("reason", &event.reason),
    ];
    for (field, text) in words {
        if !filled(text.as_ref()) {
            faults.push(Cause::required(field, ""));
        } else if text.as_ref().is_some_and(|text| text.len() > WORD_MAX) {
            faults.push(Cause::invalid(
                field,
                text.clone().unwrap_or_default(),
                &format!("can have at most {WORD_MAX} characters"),
            ));
        }
    }
    if let Some(controller) = event.reporting_component.as_deref().filter(|c| !c.is_empty()) {
        let complaints = coracle_api::meta::qualified_name(controller);
        faults.extend(all("reportingController", controller, complaints));
    }
    if event.message.as_ref().is_some_and(|message| message.len() > MESSAGE_MAX) {
        let detail = format!("can have at most {MESSAGE_MAX} characters");
        faults.push(Cause::invalid("message", "", &detail));
    }
    faults
}

/// The further faults of an event that is made in the newer form.
pub(crate) fn new_event(event: &Event) -> Vec<Cause> {
    let mut faults = series(event);
    if event.event_time.is_none() {
        faults.push(Cause::required("eventTime", ""));
    }
    let kind = event.type_.as_deref().unwrap_or_default();
    if !["Normal", "Warning"].contains(&kind) {
        let detail = format!("has invalid value: {kind}");
        faults.push(Cause::invalid("type", "", &detail));
    }
    let source = event.source.as_ref();
    let sourced =
        source.is_some_and(|own| filled(own.component.as_ref()) || filled(own.host.as_ref()));
    let older = [
        ("firstTimestamp", event.first_timestamp.is_some()),
        ("lastTimestamp", event.last_timestamp.is_some()),
        ("count", event.count.unwrap_or(0) != 0),
        ("source", sourced),
    ];
    for (field, _) in older.into_iter().filter(|(_, given)| *given) {
        faults.push(Cause::invalid(field, "", "needs to be unset"));
    }
    faults
}

fn series(event: &Event) -> Vec<Cause> {
    let Some(series) = &event.series else { return vec![] };
    let mut faults = vec![];
    if series.count.unwrap_or(0) < 2 {
        faults.push(Cause::invalid("series.count", "", "should be at least 2"));
    }
    if series.last_observed_time.is_none() {
        faults.push(Cause::required("series.lastObservedTime", ""));
    }
    faults
}

/// The further faults of a change of an event in the newer form: only its series goes on.
pub(crate) fn new_event_update(new: &Event, old: &Event) -> Vec<Cause> {
    let mut faults = if new.series == old.series { vec![] } else { series(new) };
    let texts = [
        ("reason", &new.reason, &old.reason),
        ("message", &new.message, &old.message),
        ("type", &new.type_, &old.type_),
        ("action", &new.action, &old.action),
        ("reportingController", &new.reporting_component, &old.reporting_component),
        ("reportingInstance", &new.reporting_instance, &old.reporting_instance),
    ];
    faults.extend(immutable("involvedObject", &new.involved_object, &old.involved_object));
    faults.extend(texts.into_iter().flat_map(|(path, new, old)| immutable(path, new, old)));
    faults.extend(immutable("source", &new.source, &old.source));
    faults.extend(immutable("count", &new.count, &old.count));
    faults.extend(immutable("firstTimestamp", &new.first_timestamp, &old.first_timestamp));
    faults.extend(immutable("lastTimestamp", &new.last_timestamp, &old.last_timestamp));
    faults.extend(immutable("related", &new.related, &old.related));
    faults.extend(immutable("eventTime", &new.event_time, &old.event_time));
    faults
}

/// The faults of a lease.
pub(crate) fn lease(lease: &Lease) -> Vec<Cause> {
    let Some(spec) = &lease.spec else { return vec![] };
    let duration = number::positive("spec.leaseDurationSeconds", spec.lease_duration_seconds);
    let transitions = number::not_negative("spec.leaseTransitions", spec.lease_transitions);
    duration.into_iter().chain(transitions).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::json;

    #[test]
    fn events() {
        let of = |namespace: &str, about: &str| {
            object::<Event>(json!({"metadata": {"namespace": namespace},
                "involvedObject": {"namespace": about}}))
        };
        assert_eq!(event(&of("a", "a")), []);
        assert_eq!(event(&of("default", "")), []);
        assert_eq!(
            lines(event(&of("a", "b"))),
            ["involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"]
        );
        let mut newer = of("a", "a");
        newer.event_time = Some(object(json!("2020-01-01T00:00:00.000000Z")));
        assert_eq!(event(&newer).len(), 4);
    }

    #[test]
    fn leases() {
        let bad = object(json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}));
        assert_eq!(
            lines(lease(&bad)),
            [
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            ]
        );
    }
}
