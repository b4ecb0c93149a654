//! Events and Leases.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;

use super::{all, dns_subdomain, filled, number};
use crate::error::Cause;

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
