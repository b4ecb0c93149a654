//! One service with its endpoints, and the choice among them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Answer;
use super::affinity::Affinity;
use super::definition::{Definition, Slice};
use crate::dns;
use crate::lock::lock;

/// What is known under one service's name. Slices may arrive before their Service does.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) definition: Option<Definition>,
    pub(super) slices: BTreeMap<String, Slice>,
    routes: BTreeMap<u16, Route>,
}

/// A port of the service.
#[derive(Debug, Default)]
struct Route {
    backends: Vec<Backend>,
    next: AtomicUsize,
    affinity: Mutex<Affinity>,
}

#[derive(Debug, PartialEq, Eq)]
struct Backend {
    address: SocketAddr,
    node: Option<String>,
}

impl Entry {
    pub(super) fn is_empty(&self) -> bool {
        self.definition.is_none() && self.slices.is_empty()
    }

    /// Works out the endpoints of each port anew; turns and affinities go on where they were.
    pub(super) fn recompute(&mut self) {
        let mut previous = std::mem::take(&mut self.routes);
        let ports = self.definition.iter().flat_map(|definition| &definition.ports);
        for port in ports {
            let mut route = previous.remove(&port.number).unwrap_or_default();
            route.backends = backends(&self.slices, &port.name);
            self.routes.insert(port.number, route);
        }
    }

    /// The endpoint that a new connection of `client` (on `node`, where it is a pod) goes to.
    pub(super) fn pick(&self, port: u16, client: IpAddr, node: Option<&str>) -> Option<SocketAddr> {
        let definition = self.definition.as_ref()?;
        let route = self.routes.get(&port)?;
        let node = node.filter(|_| definition.local);
        let eligible = || {
            route
                .backends
                .iter()
                .filter(|backend| node.is_none_or(|node| backend.node.as_deref() == Some(node)))
                .map(|backend| backend.address)
        };
        let Some(timeout) = definition.affinity else { return route.turn(eligible) };
        let mut affinity = lock(&route.affinity);
        let endpoint = affinity
            .remembered(client, timeout)
            .filter(|endpoint| eligible().any(|address| address == *endpoint))
            .or_else(|| route.turn(eligible))?;
        affinity.remember(client, endpoint);
        Some(endpoint)
    }

    /// What the service's own name stands for.
    pub(super) fn answer(&self) -> Option<Answer> {
        let definition = self.definition.as_ref()?;
        if let Some(alias) = &definition.alias {
            return Some(Answer::Alias(alias.clone()));
        }
        if !definition.addresses.is_empty() {
            return Some(Answer::Addresses(definition.addresses.clone()));
        }
        Some(Answer::Addresses(self.ready_addresses(|_, _| true)))
    }

    /// What `host` stands for below the service's name.
    pub(super) fn answer_endpoint(&self, host: &str) -> Option<Answer> {
        self.definition.as_ref()?;
        let addresses = self.ready_addresses(|hostname, ip| match hostname {
            Some(hostname) => hostname == host,
            None => dns::dash(ip) == host,
        });
        (!addresses.is_empty()).then_some(Answer::Addresses(addresses))
    }

    fn ready_addresses(&self, wanted: impl Fn(Option<&str>, IpAddr) -> bool) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for endpoint in self.slices.values().flat_map(|slice| &slice.endpoints) {
            if endpoint.ready
                && !addresses.contains(&endpoint.ip)
                && wanted(endpoint.hostname.as_deref(), endpoint.ip)
            {
                addresses.push(endpoint.ip);
            }
        }
        addresses
    }
}

impl Route {
    /// The next of `eligible`, each in turn.
    fn turn<I: Iterator<Item = SocketAddr>>(&self, eligible: impl Fn() -> I) -> Option<SocketAddr> {
        let count = eligible().count();
        if count == 0 {
            return None;
        }
        eligible().nth(self.next.fetch_add(1, Ordering::Relaxed) % count)
    }
}

/// The endpoints that serve the service's port `name`: the ready ones, or, if there is none, those
/// that are being stopped but still serve.
fn backends(slices: &BTreeMap<String, Slice>, name: &str) -> Vec<Backend> {
    let collect = |last_resort: bool| {
        let mut backends: Vec<Backend> = Vec::new();
        for slice in slices.values() {
            let number = slice.ports.iter().find(|(port, _)| port == name);
            let Some((_, Some(number))) = number else { continue };
            for endpoint in &slice.endpoints {
                let wanted = if last_resort { endpoint.lingering } else { endpoint.ready };
                let address = SocketAddr::new(endpoint.ip, *number);
                if wanted && !backends.iter().any(|backend| backend.address == address) {
                    backends.push(Backend { address, node: endpoint.node.clone() });
                }
            }
        }
        backends
    };
    let ready = collect(false);
    if ready.is_empty() { collect(true) } else { ready }
}
