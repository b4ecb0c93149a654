use serde_json::json;

use super::*;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 244, 9, 9));

fn service(name: &str, spec: serde_json::Value) -> Service {
    serde_json::from_value(json!({
        "metadata": {"namespace": "shop", "name": name}, "spec": spec
    }))
    .unwrap()
}

fn slice(
    name: &str,
    of: &str,
    ports: serde_json::Value,
    endpoints: serde_json::Value,
) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {
            "namespace": "shop", "name": name, "labels": {"kubernetes.io/service-name": of}
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": endpoints,
    }))
    .unwrap()
}

fn web() -> Service {
    service(
        "web",
        json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [
            {"name": "http", "port": 80, "targetPort": "web"},
            {"name": "admin", "port": 81, "nodePort": 30081},
            {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
        ]}),
    )
}

fn web_slice(endpoints: serde_json::Value) -> EndpointSlice {
    slice(
        "web-x",
        "web",
        json!([{"name": "http", "port": 8080}, {"name": "admin", "port": 9090}]),
        endpoints,
    )
}

fn picks(services: &Services, port: u16, count: usize) -> Vec<String> {
    let to = SocketAddr::from(([10, 96, 0, 9], port));
    (0..count)
        .map(|_| match services.pick(to, CLIENT, None) {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => error.to_string(),
        })
        .collect()
}

#[test]
fn ready_endpoints_answer_in_turn() {
    let services = Services::default();
    services.replace(
        &[web()],
        &[web_slice(json!([
            {"addresses": ["10.244.0.2"], "conditions": {"ready": true}},
            {"addresses": ["10.244.0.3"], "conditions": {"ready": false}},
            {"addresses": ["10.244.0.4"]},
        ]))],
    );
    assert_eq!(picks(&services, 80, 3), ["10.244.0.2:8080", "10.244.0.4:8080", "10.244.0.2:8080"]);
    assert_eq!(picks(&services, 81, 1), ["10.244.0.2:9090"]);
    assert_eq!(picks(&services, 82, 1), ["connection to 10.96.0.9:82 refused"]);
    assert_eq!(picks(&services, 53, 1), ["connection to 10.96.0.9:53 refused"]);
}

#[test]
fn a_stopping_endpoint_is_the_last_resort() {
    let services = Services::default();
    let stopping = json!({
        "addresses": ["10.244.0.2"],
        "conditions": {"ready": false, "serving": true, "terminating": true},
    });
    let unready = json!({"addresses": ["10.244.0.3"], "conditions": {"ready": false}});
    services.replace(&[web()], &[web_slice(json!([stopping, unready]))]);
    assert_eq!(picks(&services, 80, 2), ["10.244.0.2:8080"; 2]);
    services.apply_slice(&web_slice(json!([stopping, {"addresses": ["10.244.0.4"]}])));
    assert_eq!(picks(&services, 80, 2), ["10.244.0.4:8080"; 2]);
    services.apply_slice(&web_slice(json!([unready])));
    assert_eq!(picks(&services, 80, 1), ["connection to 10.96.0.9:80 refused"]);
}

#[test]
fn slices_add_up_whatever_the_order() {
    let services = Services::default();
    let port = json!([{"name": "http", "port": 8080}]);
    services.apply_slice(&slice("a", "web", port.clone(), json!([{"addresses": ["10.244.0.2"]}])));
    services.apply_slice(&slice(
        "b",
        "web",
        port.clone(),
        json!([{"addresses": ["10.244.0.2"]}, {"addresses": ["10.244.0.3"]}]),
    ));
    assert_eq!(picks(&services, 80, 1), ["no route to 10.96.0.9:80"]);
    services.apply_service(&web());
    assert_eq!(picks(&services, 80, 2), ["10.244.0.2:8080", "10.244.0.3:8080"]);
    // A slice whose label changes leaves its service.
    services.apply_slice(&slice("b", "other", port, json!([{"addresses": ["10.244.0.3"]}])));
    assert_eq!(picks(&services, 80, 2), ["10.244.0.2:8080"; 2]);
    services.remove_slice("shop", "a");
    assert_eq!(picks(&services, 80, 1), ["connection to 10.96.0.9:80 refused"]);
    services.remove_service("shop", "web");
    services.remove_slice("shop", "b");
    let table = read(&services.table);
    assert!(table.entries.is_empty() && table.by_address.is_empty() && table.slices.is_empty());
}

#[test]
fn an_address_follows_its_service() {
    let services = Services::default();
    services.apply_service(&web());
    // The new owner's event comes before the old one's deletion.
    services
        .apply_service(&service("new", json!({"clusterIP": "10.96.0.9", "ports": [{"port": 80}]})));
    services.apply_slice(&slice(
        "new-x",
        "new",
        json!([{"name": "", "port": 1}]),
        json!([{"addresses": ["10.244.0.5"]}]),
    ));
    services.remove_service("shop", "web");
    assert_eq!(picks(&services, 80, 1), ["10.244.0.5:1"]);
    services.replace(&[], &[]);
    assert_eq!(picks(&services, 80, 1), ["no route to 10.96.0.9:80"]);
}

#[tokio::test(start_paused = true)]
async fn clients_stay_with_their_endpoint() {
    let services = Services::default();
    let mut sticky = web();
    let spec = sticky.spec.as_mut().unwrap();
    spec.session_affinity = Some("ClientIP".into());
    spec.session_affinity_config =
        serde_json::from_value(json!({"clientIP": {"timeoutSeconds": 60}})).unwrap();
    let both = json!([{"addresses": ["10.244.0.2"]}, {"addresses": ["10.244.0.3"]}]);
    services.replace(&[sticky], &[web_slice(both)]);
    assert_eq!(picks(&services, 80, 3), ["10.244.0.2:8080"; 3]);
    let other = services
        .pick(SocketAddr::from(([10, 96, 0, 9], 80)), [10, 244, 9, 8].into(), None)
        .unwrap();
    assert_eq!(other.to_string(), "10.244.0.3:8080");
    services.apply_slice(&web_slice(json!([{"addresses": ["10.244.0.3"]}])));
    assert_eq!(picks(&services, 80, 1), ["10.244.0.3:8080"]);
}

#[test]
fn local_traffic_stays_on_its_node() {
    let services = Services::default();
    let mut local = web();
    local.spec.as_mut().unwrap().internal_traffic_policy = Some("Local".into());
    let endpoints = json!([
        {"addresses": ["10.244.0.2"], "nodeName": "a"},
        {"addresses": ["10.244.1.2"], "nodeName": "b"},
    ]);
    services.replace(&[local], &[web_slice(endpoints)]);
    let to = SocketAddr::from(([10, 96, 0, 9], 80));
    for _ in 0..3 {
        let picked = services.pick(to, CLIENT, Some("b")).unwrap();
        assert_eq!(picked.to_string(), "10.244.1.2:8080");
    }
    assert!(matches!(services.pick(to, CLIENT, Some("c")), Err(Error::Refused(_))));
    assert_eq!(picks(&services, 80, 2).len(), 2);
}

#[test]
fn names_stand_for_addresses_endpoints_or_other_names() {
    let services = Services::default();
    let headless = service("db", json!({"clusterIP": "None", "ports": []}));
    let alias = service("ext", json!({"type": "ExternalName", "externalName": "example.org"}));
    let members = slice(
        "db-x",
        "db",
        json!([]),
        json!([
            {"addresses": ["10.244.0.2"], "hostname": "db-0"},
            {"addresses": ["10.244.0.3"], "hostname": "db-1", "conditions": {"ready": false}},
            {"addresses": ["10.244.0.4"]},
        ]),
    );
    services.replace(&[web(), headless, alias], &[members]);
    let addresses =
        |ips: &[[u8; 4]]| Some(Answer::Addresses(ips.iter().map(|ip| IpAddr::from(*ip)).collect()));
    assert_eq!(services.answer("shop", "web"), addresses(&[[10, 96, 0, 9]]));
    assert_eq!(services.answer("shop", "db"), addresses(&[[10, 244, 0, 2], [10, 244, 0, 4]]));
    assert_eq!(services.answer("shop", "ext"), Some(Answer::Alias("example.org".into())));
    assert_eq!(services.answer("other", "web"), None);
    assert_eq!(services.answer_endpoint("shop", "db", "db-0"), addresses(&[[10, 244, 0, 2]]));
    assert_eq!(services.answer_endpoint("shop", "db", "db-1"), None);
    assert_eq!(services.answer_endpoint("shop", "db", "10-244-0-4"), addresses(&[[10, 244, 0, 4]]));
}

#[test]
fn lists_node_ports_and_tells_of_changes() {
    let services = Services::default();
    let mut changed = services.definitions_changed();
    services.apply_service(&web());
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    services.apply_service(&web());
    services.apply_slice(&web_slice(json!([])));
    assert!(!changed.has_changed().unwrap());
    assert_eq!(
        services.node_ports(),
        [NodePort {
            namespace: "shop".into(),
            service: "web".into(),
            port: 30081,
            target: SocketAddr::from(([10, 96, 0, 9], 81)),
        }]
    );
}
