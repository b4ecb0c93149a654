//! What of a Service and an EndpointSlice matters to the network.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// How long a client stays with its endpoint unless the service says otherwise.
const DEFAULT_AFFINITY: Duration = Duration::from_secs(10_800);

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Definition {
    /// Its cluster addresses; none for a headless service or an alias.
    pub(super) addresses: Vec<IpAddr>,
    /// `spec.externalName` of a service that is only an alias.
    pub(super) alias: Option<String>,
    pub(super) ports: Vec<Port>,
    /// How long a client stays with one endpoint, where the service asks for it.
    pub(super) affinity: Option<Duration>,
    /// Whether only endpoints on the client's node may answer.
    pub(super) local: bool,
}

/// A TCP port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) number: u16,
    pub(super) node_port: Option<u16>,
}

/// A port of the host on which a service is to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePort {
    /// The service's namespace.
    pub namespace: String,
    /// The service's name.
    pub service: String,
    /// The port of the host.
    pub port: u16,
    /// The service's own address, which connections are handed over to.
    pub target: SocketAddr,
}

impl From<&Service> for Definition {
    fn from(service: &Service) -> Self {
        let Some(spec) = &service.spec else { return Self::default() };
        if spec.type_.as_deref() == Some("ExternalName") {
            return Self { alias: spec.external_name.clone(), ..Self::default() };
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for text in spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip) {
            // The headless service's "None" is no address.
            if let Ok(ip) = text.parse()
                && !addresses.contains(&ip)
            {
                addresses.push(ip);
            }
        }
        let ports = spec.ports.iter().flatten().filter(|port| is_tcp(port.protocol.as_deref()));
        let ports = ports.filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                number: u16::try_from(port.port).ok()?,
                node_port: port.node_port.and_then(|port| u16::try_from(port).ok()),
            })
        });
        let seconds = spec
            .session_affinity_config
            .as_ref()
            .and_then(|config| config.client_ip.as_ref())
            .and_then(|client_ip| client_ip.timeout_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok());
        let affinity = (spec.session_affinity.as_deref() == Some("ClientIP"))
            .then(|| seconds.map_or(DEFAULT_AFFINITY, Duration::from_secs));
        Self {
            addresses,
            alias: None,
            ports: ports.collect(),
            affinity,
            local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        }
    }
}

/// An EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    /// The TCP ports, by the name of the service's port. All ports if a port has no number.
    pub(super) ports: Vec<(String, Option<u16>)>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
    /// Whether it takes new connections.
    pub(super) ready: bool,
    /// Whether it is on its way out but still serves: the last resort when nothing is ready.
    pub(super) lingering: bool,
    pub(super) hostname: Option<String>,
    pub(super) node: Option<String>,
}

impl From<&EndpointSlice> for Slice {
    fn from(slice: &EndpointSlice) -> Self {
        let ports = slice
            .ports
            .iter()
            .flatten()
            .filter(|port| is_tcp(port.protocol.as_deref()))
            .map(|port| {
                let number = port.port.and_then(|port| u16::try_from(port).ok());
                (port.name.clone().unwrap_or_default(), number)
            })
            .collect();
        let endpoints = slice.endpoints.iter().flatten().filter_map(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
            let serving = conditions.and_then(|conditions| conditions.serving).unwrap_or(ready);
            let terminating =
                conditions.and_then(|conditions| conditions.terminating).unwrap_or(false);
            Some(Endpoint {
                // The addresses of an endpoint are fungible: Kubernetes uses the first.
                ip: endpoint.addresses.first()?.parse().ok()?,
                ready,
                lingering: serving && terminating,
                hostname: endpoint.hostname.clone().filter(|hostname| !hostname.is_empty()),
                node: endpoint.node_name.clone(),
            })
        });
        Self { ports, endpoints: endpoints.collect() }
    }
}

fn is_tcp(protocol: Option<&str>) -> bool {
    matches!(protocol, None | Some("" | "TCP"))
}
