//! Resource lists: names, quantities, requests within limits.

use std::collections::BTreeMap;

use coracle_api::cause::Cause;
use coracle_api::meta;
use coracle_api::quantity::Quantity;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::all;

/// Kubernetes' own resources, whosever they are.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "requests.storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// A quantity that must not be negative.
pub(super) fn quantity(text: &Text, path: &str) -> Option<Cause> {
    match Quantity::try_from(text) {
        Err(error) => Some(Cause::malformed(path, &error)),
        Ok(amount) if amount.is_negative() => {
            let detail = "must be greater than or equal to 0";
            Some(Cause::invalid(path, text.0.as_str(), detail))
        }
        Ok(_) => None,
    }
}

/// A quantity that must be more than nothing.
pub(super) fn positive(text: &Text, path: &str) -> Option<Cause> {
    match Quantity::try_from(text) {
        Err(error) => Some(Cause::malformed(path, &error)),
        Ok(amount) if amount.is_negative() || amount.is_zero() => {
            Some(Cause::invalid(path, text.0.as_str(), "must be greater than zero"))
        }
        Ok(_) => None,
    }
}

/// Whether a resource may be shared out only in whole units, and never in excess of what is there.
pub(super) fn is_whole(name: &str) -> bool {
    name.starts_with("hugepages-") || name.contains('/')
}

/// A list of any resources, as nodes have them.
pub(super) fn list(list: Option<&BTreeMap<String, Text>>, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (name, amount) in list.into_iter().flatten() {
        let path = format!("{path}.{name}");
        faults.extend(all(&path, name, meta::qualified_name(name)));
        faults.extend(quantity(amount, &path));
    }
    faults
}

/// A resource's name, where any will do that is well formed; without a domain it must be one of
/// Kubernetes' own.
pub(super) fn resource_name(name: &str, path: &str) -> Vec<Cause> {
    let faults = all(path, name, meta::qualified_name(name));
    let standard = name.contains('/')
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
        || STANDARD.contains(&name);
    if !faults.is_empty() || standard {
        return faults;
    }
    vec![Cause::invalid(path, name, "must be a standard resource type or fully qualified")]
}

pub(super) fn container_resource(name: &str, path: &str) -> Vec<Cause> {
    let faults = all(path, name, meta::qualified_name(name));
    if !faults.is_empty() || name.contains('/') {
        return faults;
    }
    let known =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if known {
        vec![]
    } else {
        vec![Cause::invalid(path, name, "must be a standard resource for containers")]
    }
}

/// What a container, or a pod as a whole, requests and is limited to.
pub(super) fn requirements(resources: Option<&ResourceRequirements>, path: &str) -> Vec<Cause> {
    let Some(resources) = resources else { return vec![] };
    let mut faults = vec![];
    let lists = [("limits", &resources.limits), ("requests", &resources.requests)];
    for (field, list) in lists {
        for (name, amount) in list.iter().flatten() {
            let path = format!("{path}.{field}[{name}]");
            faults.extend(container_resource(name, &path));
            faults.extend(quantity(amount, &path));
            if let Ok(parsed) = Quantity::try_from(amount)
                && is_whole(name)
                && !parsed.is_whole()
            {
                faults.push(Cause::invalid(path, amount.0.as_str(), "must be an integer"));
            }
        }
    }
    for (name, request) in resources.requests.iter().flatten() {
        let limit = resources.limits.as_ref().and_then(|limits| limits.get(name));
        let path = format!("{path}.requests");
        let Some(limit) = limit else {
            if is_whole(name) {
                faults.push(Cause::required(
                    format!("{}.limits", path.trim_end_matches(".requests")),
                    "Limit must be set for non overcommitable resources",
                ));
            }
            continue;
        };
        let (Ok(asked), Ok(most)) = (Quantity::try_from(request), Quantity::try_from(limit)) else {
            continue;
        };
        let relation = match is_whole(name) {
            true if asked != most => "equal to",
            false if asked > most => "less than or equal to",
            _ => continue,
        };
        let detail = format!("must be {relation} {name} limit of {}", limit.0);
        faults.push(Cause::invalid(path, request.0.as_str(), &detail));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::requirements;
    use serde_json::{Value, json};

    fn faults(resources: Value) -> Vec<String> {
        lines(requirements(Some(&object(resources)), "r"))
    }

    #[test]
    fn requests_and_limits() {
        assert_eq!(
            faults(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}})),
            Vec::<String>::new()
        );
        assert_eq!(
            faults(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})),
            ["r.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"]
        );
        assert_eq!(
            faults(json!({"limits": {"memory": "-1"}})),
            ["r.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0"]
        );
        assert_eq!(
            faults(json!({"requests": {"bogus": "1"}})),
            [
                "r.requests[bogus]: Invalid value: \"bogus\": must be a standard resource for containers"
            ]
        );
        assert!(
            faults(json!({"requests": {"cpu": "1 core"}}))[0]
                .contains("quantities must match the regular expression")
        );
        assert_eq!(faults(json!({"requests": {"example.com/gpu": "1"}})).len(), 1);
    }
}
