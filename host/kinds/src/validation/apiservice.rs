//! APIServices.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec};

use super::all;

const STATUSES: &[&str] = &["True", "False", "Unknown"];

/// The faults of an APIService.
pub(crate) fn api_service(service: &APIService) -> Vec<Cause> {
    let none = APIServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&none);
    let group = spec.group.as_deref().unwrap_or_default();
    let version = spec.version.as_deref().unwrap_or_default();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let due = format!("{version}.{group}");
    let mut faults = vec![];
    if name != due {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {due:?}");
        faults.push(Cause::invalid("metadata.name", name, &detail));
    }
    if group.is_empty() && version != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        faults.push(Cause::required("spec.group", detail));
    }
    if !group.is_empty() {
        faults.extend(all("spec.group", group, meta::dns_1123_subdomain(group)));
    }
    faults.extend(all("spec.version", version, meta::dns_1035_label(version)));
    let numbers = [
        ("groupPriorityMinimum", spec.group_priority_minimum, 20_000),
        ("versionPriority", spec.version_priority, 1000),
    ];
    for (field, number, most) in numbers {
        if !(1..=most).contains(&number) {
            let detail = format!("must be positive and less than {most}");
            faults.push(Cause::invalid(format!("spec.{field}"), number, &detail));
        }
    }
    let bundle = spec.ca_bundle.as_ref().map_or(0, |bytes| bytes.0.len());
    let insecure = spec.insecure_skip_tls_verify == Some(true);
    let of_bundle = format!("{bundle} bytes");
    match &spec.service {
        None => {
            if bundle > 0 {
                let detail = "local APIServices may not have a caBundle";
                faults.push(Cause::invalid("spec.caBundle", of_bundle, detail));
            }
            if insecure {
                let detail = "local APIServices may not have insecureSkipTLSVerify";
                faults.push(Cause::invalid("spec.insecureSkipTLSVerify", true, detail));
            }
        }
        Some(reference) => {
            let texts = [("namespace", &reference.namespace), ("name", &reference.name)];
            for (field, text) in texts {
                if text.as_deref().unwrap_or_default().is_empty() {
                    faults.push(Cause::required(format!("spec.service.{field}"), ""));
                }
            }
            if insecure && bundle > 0 {
                let detail = "may not be true if caBundle is present";
                faults.push(Cause::invalid("spec.insecureSkipTLSVerify", true, detail));
            }
        }
    }
    faults
}

/// The faults of an APIService's status.
pub(crate) fn api_service_status(service: &APIService) -> Vec<Cause> {
    let conditions = service.status.as_ref().and_then(|status| status.conditions.as_deref());
    let conditions = conditions.unwrap_or_default().iter().enumerate();
    let bad = conditions.filter(|(_, condition)| !STATUSES.contains(&condition.status.as_str()));
    let faults = bad.map(|(at, condition)| {
        let path = format!("status.conditions[{at}].status");
        Cause::not_supported(path, &condition.status, STATUSES)
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::{Value, json};

    fn of(name: &str, change: Value) -> Vec<String> {
        let mut spec = json!({"group": "a.example.com", "version": "v1", "versionPriority": 15,
            "groupPriorityMinimum": 1000, "service": {"name": "a", "namespace": "b"}});
        json_patch::merge(&mut spec, &change);
        lines(api_service(&object(json!({"metadata": {"name": name}, "spec": spec}))))
    }

    #[test]
    fn services() {
        assert_eq!(of("v1.a.example.com", json!({})), Vec::<String>::new());
        for (change, expected) in [
            (
                json!({"group": "b"}),
                "metadata.name: Invalid value: \"v1.a.example.com\": must be `spec.version+\".\"+spec.group`: \"v1.b\"",
            ),
            (
                json!({"groupPriorityMinimum": 0}),
                "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            ),
            (
                json!({"versionPriority": 1001}),
                "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
            ),
            (json!({"service": {"name": ""}}), "spec.service.name: Required value"),
            (
                json!({"service": null, "insecureSkipTLSVerify": true}),
                "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
            ),
            (
                json!({"caBundle": "eA==", "insecureSkipTLSVerify": true}),
                "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
            ),
        ] {
            assert_eq!(of("v1.a.example.com", change.clone()), [expected], "{change}");
        }
        assert_eq!(of("v2.", json!({"group": "", "version": "v2"})).len(), 1);
        let status = object(json!({"status": {"conditions": [{"type": "A", "status": "X"}]}}));
        assert_eq!(
            lines(api_service_status(&status)),
            [
                "status.conditions[0].status: Unsupported value: \"X\": supported values: \"True\", \"False\", \"Unknown\""
            ]
        );
    }
}
