//! The downward API: a pod's own fields and resources as text, for environment and files. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coracle_api::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

/// What a pod may ask of its node.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) node: String,
    pub(crate) host: IpAddr,
    pub(crate) address: Option<IpAddr>,
    /// What an unlimited container is limited by: the node's allocatable amounts.
    pub(crate) allocatable: BTreeMap<String, Amount>,
}

/// Why a field has no value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    #[error("unsupported container resource : {0}")]
    Resource(String),
    #[error("invalid divisor: {0}")]
    Divisor(String),
    #[error("container {0} not found")]
    Container(String),
}

/// The value of a field of the pod.
pub(crate) fn field(pod: &Pod, path: &str, around: &Surroundings) -> Result<String, Error> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref();
    if let Some((map, key)) = subscript(path) {
        let list = match map {
            "metadata.labels" => metadata.labels.as_ref(),
            "metadata.annotations" => metadata.annotations.as_ref(),
            _ => return Err(Error::Field(path.to_owned())),
        };
        return Ok(list.and_then(|list| list.get(key)).cloned().unwrap_or_default());
    }
    let address = || around.address.map(|address| address.to_string()).unwrap_or_default();
    Ok(match path {
        "metadata.name" => metadata.name.clone().unwrap_or_default(),
        "metadata.namespace" => metadata.namespace.clone().unwrap_or_default(),
        "metadata.uid" => metadata.uid.clone().unwrap_or_default(),
        "metadata.labels" => formatted(metadata.labels.as_ref()),
        "metadata.annotations" => formatted(metadata.annotations.as_ref()),
        "spec.nodeName" => around.node.clone(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
        }
        "status.hostIP" | "status.hostIPs" => around.host.to_string(),
        "status.podIP" | "status.podIPs" => address(),
        _ => return Err(Error::Field(path.to_owned())),
    })
}

/// `metadata.labels['key']` in its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// A map as lines of `key="value"`, sorted by key.
fn formatted(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of a resource of a container of the pod (`own`, unless the selector names another).
pub(crate) fn resource(
    pod: &Pod,
    own: Option<&Container>,
    selector: &ResourceFieldSelector,
    around: &Surroundings,
) -> Result<String, Error> {
    let named = selector.container_name.as_deref().filter(|name| !name.is_empty());
    let container = match named {
        None => own,
        Some(name) => pod
            .spec
            .iter()
            .flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers))
            .find(|container| container.name == name),
    };
    let container =
        container.ok_or_else(|| Error::Container(named.unwrap_or_default().to_owned()))?;
    let unsupported = || Error::Resource(selector.resource.clone());
    let (kind, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !name.starts_with("hugepages-") {
        return Err(unsupported());
    }
    let lists = container.resources.as_ref();
    let list = match kind {
        "limits" => lists.and_then(|lists| lists.limits.as_ref()),
        "requests" => lists.and_then(|lists| lists.requests.as_ref()),
        _ => return Err(unsupported()),
    };
    let given = list.and_then(|list| Amount::try_from(list.get(name)?).ok());
    let amount = match given {
        Some(amount) => amount,
        None if kind == "limits" => around.allocatable.get(name).copied().unwrap_or_default(),
        None => Amount::ZERO,
    };
    let divisor = match selector.divisor.as_ref().filter(|divisor| divisor.0 != "0") {
        Some(divisor) => {
            Amount::try_from(divisor).map_err(|_| Error::Divisor(divisor.0.clone()))?
        }
        None => Amount::units(1),
    };
    let (amount, divisor_value) = if name == "cpu" {
        (amount.milli_value(), divisor.milli_value())
    } else {
        (amount.value(), divisor.value())
    };
    if divisor_value <= 0 {
        return Err(Error::Divisor(
            selector.divisor.as_ref().map(|divisor| divisor.0.clone()).unwrap_or_default(),
        ));
    }
    let quotient =
        amount.div_euclid(divisor_value) + i64::from(amount.rem_euclid(divisor_value) != 0);
    Ok(quotient.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            node: "node-1".into(),
            host: "10.0.0.9".parse().unwrap(),
            address: Some("10.244.0.7".parse().unwrap()),
            allocatable: [
                ("cpu".to_owned(), Amount::milli(2000)),
                ("memory".to_owned(), Amount::units(1 << 30)),
            ]
            .into(),
        }
    }

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "web", "namespace": "ns", "uid": "u",
                "labels": {"b": "two \"2\"", "a": "one"},
            },
            "spec": {
                "serviceAccountName": "robot",
                "containers": [
                    {"name": "c", "resources": {
                        "limits": {"cpu": "250m", "memory": "100Mi"},
                        "requests": {"cpu": "100m"},
                    }},
                    {"name": "free"},
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn fields_have_their_values() {
        for (path, value) in [
            ("metadata.name", "web"),
            ("metadata.labels['a']", "one"),
            ("metadata.labels['none']", ""),
            ("metadata.labels", "a=\"one\"\nb=\"two \\\"2\\\"\""),
            ("spec.nodeName", "node-1"),
            ("spec.serviceAccountName", "robot"),
            ("status.hostIP", "10.0.0.9"),
            ("status.podIP", "10.244.0.7"),
        ] {
            assert_eq!(field(&pod(), path, &around()).unwrap(), value, "{path}");
        }
        assert!(field(&pod(), "spec.containers", &around()).is_err());
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let pod = pod();
        for (container, name, divisor, value) in [
            ("c", "limits.cpu", "1m", "250"),
            ("c", "limits.cpu", "0", "1"),
            ("c", "limits.memory", "1Mi", "100"),
            ("c", "limits.memory", "0", "104857600"),
            ("c", "requests.cpu", "1m", "100"),
            ("c", "requests.memory", "0", "0"),
            ("free", "limits.cpu", "1", "2"),
            ("free", "limits.memory", "1Gi", "1"),
        ] {
            let selector = serde_json::from_value(
                json!({"containerName": container, "resource": name, "divisor": divisor}),
            )
            .unwrap();
            assert_eq!(resource(&pod, None, &selector, &around()).unwrap(), value, "{name}");
        }
        let selector =
            serde_json::from_value(json!({"containerName": "c", "resource": "limits.gpu"}));
        assert!(resource(&pod, None, &selector.unwrap(), &around()).is_err());
    }
}
