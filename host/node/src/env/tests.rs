use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::*;

fn pod(container: Value) -> (Pod, Container) {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web-0", "namespace": "ns", "uid": "u"},
        "spec": {"containers": [container]},
    }))
    .unwrap();
    let container = pod.spec.clone().unwrap().containers.remove(0);
    (pod, container)
}

fn around() -> Surroundings {
    Surroundings {
        node: "node-1".into(),
        host: "10.0.0.9".parse().unwrap(),
        address: Some("10.244.0.7".parse().unwrap()),
        allocatable: BTreeMap::new(),
    }
}

fn fetched() -> Fetched {
    let map = serde_json::from_value(json!({"data": {"key": "value", "bad=key": "x"}})).unwrap();
    let secret = serde_json::from_value(json!({"data": {"password": "aHVudGVy"}})).unwrap();
    Fetched {
        config_maps: [("config".to_owned(), Some(Arc::new(map))), ("absent".to_owned(), None)]
            .into(),
        secrets: [("credentials".to_owned(), Some(Arc::new(secret)))].into(),
    }
}

fn environment(container: Value) -> Result<Vec<(String, String)>, Error> {
    let (pod, container) = pod(container);
    let services = [("DB_SERVICE_HOST".to_owned(), "10.96.0.5".to_owned())].into();
    let built = build(&pod, &container, &fetched(), &services, &around())?;
    Ok(built.variables)
}

fn value<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn references_are_expanded_as_documented() {
    let lookup = |name: &str| match name {
        "A" => Some("1".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    for (input, output) in [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(EMPTY)", ""),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$", "$"),
        ("ends in $$", "ends in $"),
        ("$(A)$(", "1$("),
        ("é$(A)é", "é1é"),
    ] {
        assert_eq!(expand(input, lookup), output, "{input}");
    }
}

#[test]
fn later_entries_win_and_see_earlier_ones() {
    let variables = environment(json!({
        "name": "c",
        "envFrom": [
            {"configMapRef": {"name": "config"}, "prefix": "CM_"},
            {"secretRef": {"name": "credentials"}},
            {"configMapRef": {"name": "absent", "optional": true}},
        ],
        "env": [
            {"name": "ONE", "value": "1"},
            {"name": "TWO", "value": "$(ONE)+$(CM_key)+$(DB_SERVICE_HOST)+$(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "ONE", "value": "uno"},
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "key"}}},
            {"name": "GONE", "valueFrom":
                {"secretKeyRef": {"name": "credentials", "key": "none", "optional": true}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
    }))
    .unwrap();
    for (name, expected) in [
        ("HOSTNAME", Some("web-0")),
        ("CM_key", Some("value")),
        ("password", Some("hunter")),
        ("CM_bad=key", None),
        ("ONE", Some("uno")),
        ("TWO", Some("1+value+10.96.0.5+$(LATER)")),
        ("KEY", Some("value")),
        ("GONE", None),
        ("IP", Some("10.244.0.7")),
        ("DB_SERVICE_HOST", Some("10.96.0.5")),
    ] {
        assert_eq!(value(&variables, name), expected, "{name}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (variable, message) in [
        (
            json!({"configMapKeyRef": {"name": "absent", "key": "k"}}),
            "configmap \"absent\" not found",
        ),
        (json!({"secretKeyRef": {"name": "absent", "key": "k"}}), "secret \"absent\" not found"),
        (
            json!({"configMapKeyRef": {"name": "config", "key": "k"}}),
            "couldn't find key k in ConfigMap ns/config",
        ),
        (
            json!({"fieldRef": {"fieldPath": "spec.x"}}),
            "environment variable V: unsupported fieldPath: spec.x",
        ),
    ] {
        let error =
            environment(json!({"name": "c", "env": [{"name": "V", "valueFrom": variable}]}));
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}

#[test]
fn services_are_announced() {
    let service = |namespace: &str, name: &str, spec: Value| -> Service {
        serde_json::from_value(
            json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec}),
        )
        .unwrap()
    };
    let services = [
        service(
            "default",
            "kubernetes",
            json!({"clusterIP": "10.96.0.1", "ports": [{"port": 443, "name": "https"}]}),
        ),
        service(
            "ns",
            "my-db",
            json!({"clusterIP": "10.96.0.5", "ports": [{"port": 5432, "protocol": "TCP"}]}),
        ),
        service("ns", "headless", json!({"clusterIP": "None", "ports": [{"port": 1}]})),
        service("other", "elsewhere", json!({"clusterIP": "10.96.0.6", "ports": [{"port": 1}]})),
    ];
    let variables = service_variables(&services, "ns", true);
    let expected = [
        ("KUBERNETES_PORT", "tcp://10.96.0.1:443"),
        ("KUBERNETES_PORT_443_TCP", "tcp://10.96.0.1:443"),
        ("KUBERNETES_PORT_443_TCP_ADDR", "10.96.0.1"),
        ("KUBERNETES_PORT_443_TCP_PORT", "443"),
        ("KUBERNETES_PORT_443_TCP_PROTO", "tcp"),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
        ("MY_DB_PORT", "tcp://10.96.0.5:5432"),
        ("MY_DB_PORT_5432_TCP", "tcp://10.96.0.5:5432"),
        ("MY_DB_PORT_5432_TCP_ADDR", "10.96.0.5"),
        ("MY_DB_PORT_5432_TCP_PORT", "5432"),
        ("MY_DB_PORT_5432_TCP_PROTO", "tcp"),
        ("MY_DB_SERVICE_HOST", "10.96.0.5"),
        ("MY_DB_SERVICE_PORT", "5432"),
    ];
    let expected: BTreeMap<_, _> =
        expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(variables, expected);
    let without = service_variables(&services, "ns", false);
    assert!(without.keys().all(|name| name.starts_with("KUBERNETES_")) && without.len() == 8);
}

#[test]
fn long_names_are_cut_to_a_host_name() {
    let (mut pod, _) = pod(json!({"name": "c"}));
    pod.metadata.name = Some(format!("{}-{}", "a".repeat(62), "b".repeat(10)));
    assert_eq!(hostname(&pod), "a".repeat(62));
}
