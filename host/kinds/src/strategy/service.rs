//! Service. Cluster addresses and node ports are allocated by the registry.

use coracle_api::cause::Cause;
use k8s_openapi::api::core::v1::{ClientIPConfig, Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name, or_none, wide};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy};

/// How long a client stays with one endpoint when it is asked to stay at all: three hours.
const AFFINITY_SECONDS: i32 = 10800;

impl Strategy for Service {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "Service",
        plural: "services",
        singular: "service",
        short: &["svc"],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const RULES: Rules = Rules { create_on_update: true, returns_deleted: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Type", "string", "How the service is reached."),
        column("Cluster-IP", "string", "Its address inside the cluster."),
        column("External-IP", "string", "Its addresses outside of the cluster."),
        column("Port(s)", "string", "Its ports, with their node ports."),
        AGE,
        wide("Selector", "string", "Which pods answer for it."),
    ];
    const SELECTABLE: &'static [&'static str] = &["spec.clusterIP", "spec.type"];

    fn default_fields(&mut self) {
        if let Some(spec) = &mut self.spec {
            default_spec(spec);
        }
    }

    fn prepare_create(&mut self) {
        self.status.insert(Default::default()).load_balancer = Some(Default::default());
        let Some(spec) = &mut self.spec else { return };
        agree_on_cluster_ips(spec);
        default_families(spec);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        if part == Part::Status {
            self.spec = old.spec.clone();
            return;
        }
        self.status = old.status.clone();
        let (Some(spec), Some(old)) = (&mut self.spec, &old.spec) else { return };
        keep_allocated(spec, old);
        drop_unused(spec, old);
        agree_on_cluster_ips(spec);
        default_families(spec);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::service(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        if part == Part::Main { validation::service_update(self, old) } else { vec![] }
    }

    fn warnings(&self, _old: Option<&Self>) -> Vec<String> {
        self.spec.as_ref().map(ignored).unwrap_or_default()
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::dns_1035_label(name)
    }

    fn select(&self) -> Vec<String> {
        let spec = self.spec.as_ref();
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        vec![
            text(spec.and_then(|spec| spec.cluster_ip.as_ref())),
            text(spec.and_then(|spec| spec.type_.as_ref())),
        ]
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.clone().unwrap_or_default();
        let pairs = spec.selector.iter().flatten().map(|(key, value)| format!("{key}={value}"));
        let selector = pairs.collect::<Vec<_>>().join(",");
        vec![
            name(self),
            json!(spec.type_),
            json!(or_none(spec.cluster_ip.as_deref())),
            json!(external(self, &spec)),
            json!(ports(&spec)),
            age(self),
            json!(or_none(Some(&selector))),
        ]
    }
}

/// What the service says in vain.
fn ignored(spec: &ServiceSpec) -> Vec<String> {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let type_ = spec.type_.as_deref().unwrap_or_default();
    let mut ignored = vec![];
    if type_ != "ExternalName" && given(&spec.external_name) {
        let text = r#"spec.externalName is ignored when spec.type is not "ExternalName""#;
        ignored.push(text.to_owned());
    }
    if type_ != "ExternalName" && spec.cluster_ip.as_deref() == Some("None") {
        let affine = spec.session_affinity.as_deref().is_some_and(|kind| kind != "None");
        let addresses = spec.external_ips.as_ref().is_some_and(|all| !all.is_empty());
        let fields = [
            ("spec.loadBalancerIP", given(&spec.load_balancer_ip)),
            ("spec.externalIPs", addresses),
            ("spec.SessionAffinity", affine),
        ];
        let said = fields.iter().filter(|(_, said)| *said);
        ignored.extend(said.map(|(field, _)| format!("{field} is ignored for headless services")));
    }
    ignored
}

fn kind(spec: &ServiceSpec) -> &str {
    spec.type_.as_deref().unwrap_or_default()
}

fn is_reached_by_node_port(spec: &ServiceSpec) -> bool {
    matches!(kind(spec), "NodePort" | "LoadBalancer")
}

fn is_reached_from_outside(spec: &ServiceSpec) -> bool {
    is_reached_by_node_port(spec)
        || (kind(spec) == "ClusterIP" && spec.external_ips.as_ref().is_some_and(|v| !v.is_empty()))
}

fn default_spec(spec: &mut ServiceSpec) {
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if !filled(&spec.session_affinity) {
        spec.session_affinity = Some("None".into());
    }
    match spec.session_affinity.as_deref() {
        Some("None") => spec.session_affinity_config = None,
        Some("ClientIP") => {
            let config = spec.session_affinity_config.get_or_insert_default();
            let client = config.client_ip.get_or_insert_with(ClientIPConfig::default);
            client.timeout_seconds.get_or_insert(AFFINITY_SECONDS);
        }
        _ => {}
    }
    if !filled(&spec.type_) {
        spec.type_ = Some("ClusterIP".into());
    }
    for port in spec.ports.iter_mut().flatten() {
        if !filled(&port.protocol) {
            port.protocol = Some("TCP".into());
        }
        let unset = match &port.target_port {
            None => true,
            Some(IntOrString::Int(number)) => *number == 0,
            Some(IntOrString::String(name)) => name.is_empty(),
        };
        if unset {
            port.target_port = Some(IntOrString::Int(port.port));
        }
        if port.node_port == Some(0) {
            port.node_port = None;
        }
    }
    if is_reached_from_outside(spec) && !filled(&spec.external_traffic_policy) {
        spec.external_traffic_policy = Some("Cluster".into());
    }
    if matches!(kind(spec), "ClusterIP" | "NodePort" | "LoadBalancer") {
        spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".into());
    }
    if kind(spec) == "LoadBalancer" {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
}

/// Takes over from `old` what was allocated and is not mentioned now, so that manifests can be
/// applied again as they were written.
fn keep_allocated(spec: &mut ServiceSpec, old: &ServiceSpec) {
    let has_address =
        |spec: &ServiceSpec| matches!(kind(spec), "ClusterIP" | "NodePort" | "LoadBalancer");
    if has_address(spec) && has_address(old) {
        let unset = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
        if unset(&spec.cluster_ip) && spec.cluster_ips.as_ref().is_none_or(Vec::is_empty) {
            spec.cluster_ip.clone_from(&old.cluster_ip);
            spec.cluster_ips.clone_from(&old.cluster_ips);
        }
        if spec.ip_families.as_ref().is_none_or(Vec::is_empty) {
            spec.ip_families.clone_from(&old.ip_families);
        }
        if spec.ip_family_policy.is_none() {
            spec.ip_family_policy.clone_from(&old.ip_family_policy);
        }
    }
    if is_reached_by_node_port(spec) && is_reached_by_node_port(old) {
        let taken: Vec<i32> =
            spec.ports.iter().flatten().filter_map(|port| port.node_port).collect();
        for port in spec.ports.iter_mut().flatten().filter(|port| port.node_port.is_none()) {
            let same = old
                .ports
                .iter()
                .flatten()
                .find(|before| before.port == port.port && before.protocol == port.protocol);
            let before = same.and_then(|before| before.node_port);
            port.node_port = before.filter(|number| !taken.contains(number));
        }
    }
    if spec.health_check_node_port.unwrap_or(0) == 0 {
        spec.health_check_node_port = old.health_check_node_port;
    }
}

/// Removes what the service's former type called for and its new one has no use for, unless the
/// update asks for it anew.
fn drop_unused(spec: &mut ServiceSpec, old: &ServiceSpec) {
    if kind(spec) == "ExternalName" && spec.cluster_ip == old.cluster_ip {
        spec.cluster_ip = None;
        spec.cluster_ips = None;
        spec.ip_families = None;
        spec.ip_family_policy = None;
        drop_same(&mut spec.internal_traffic_policy, &old.internal_traffic_policy);
    }
    if !is_reached_from_outside(spec) {
        drop_same(&mut spec.external_traffic_policy, &old.external_traffic_policy);
    }
    if !is_reached_by_node_port(spec) {
        let before: Vec<_> = old.ports.iter().flatten().map(|port| port.node_port).collect();
        for port in spec.ports.iter_mut().flatten() {
            port.node_port = port.node_port.filter(|number| !before.contains(&Some(*number)));
        }
    }
    if kind(spec) != "LoadBalancer" {
        let allocated = &mut spec.allocate_load_balancer_node_ports;
        drop_same(allocated, &old.allocate_load_balancer_node_ports);
        drop_same(&mut spec.load_balancer_class, &old.load_balancer_class);
        drop_same(&mut spec.health_check_node_port, &old.health_check_node_port);
    }
}

fn drop_same<T: PartialEq>(field: &mut Option<T>, old: &Option<T>) {
    if field == old {
        *field = None;
    }
}

/// `clusterIP` and the first of `clusterIPs` say the same.
fn agree_on_cluster_ips(spec: &mut ServiceSpec) {
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    match (filled(&spec.cluster_ip), spec.cluster_ips.as_ref().is_none_or(Vec::is_empty)) {
        (true, true) => spec.cluster_ips = spec.cluster_ip.clone().map(|ip| vec![ip]),
        (false, false) => {
            spec.cluster_ip = spec.cluster_ips.as_ref().and_then(|ips| ips.first().cloned())
        }
        _ => {}
    }
}

/// The cluster has IPv4 addresses only; headless services without a selector list endpoints of
/// their own, of either family.
fn default_families(spec: &mut ServiceSpec) {
    if kind(spec) == "ExternalName" {
        return;
    }
    let headless = spec.cluster_ip.as_deref() == Some("None");
    let selects = spec.selector.as_ref().is_some_and(|selector| !selector.is_empty());
    let families = spec.ip_families.get_or_insert_default();
    let both = headless && !selects && spec.ip_family_policy.is_none() && families.is_empty();
    if families.is_empty() {
        families.push("IPv4".into());
        if both {
            families.push("IPv6".into());
        }
    }
    let policy = if both { "RequireDualStack" } else { "SingleStack" };
    spec.ip_family_policy.get_or_insert_with(|| policy.into());
}

fn external(service: &Service, spec: &ServiceSpec) -> String {
    let mut addresses = spec.external_ips.clone().unwrap_or_default();
    match kind(spec) {
        "ExternalName" => or_none(spec.external_name.as_deref()).to_owned(),
        "LoadBalancer" => {
            let balancer = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
            let ingresses = balancer.and_then(|balancer| balancer.ingress.as_ref());
            let of_balancer = ingresses.into_iter().flatten();
            let of_balancer = of_balancer.filter_map(|i| i.ip.clone().or(i.hostname.clone()));
            let all: Vec<_> = of_balancer.chain(addresses.drain(..)).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        _ => or_none(Some(&addresses.join(","))).to_owned(),
    }
}

fn ports(spec: &ServiceSpec) -> String {
    let texts = spec.ports.iter().flatten().map(|port| {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        match port.node_port {
            Some(node) if node > 0 => format!("{}:{node}/{protocol}", port.port),
            _ => format!("{}/{protocol}", port.port),
        }
    });
    or_none(Some(&texts.collect::<Vec<_>>().join(","))).to_owned()
}
