//! All services by name and by address.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::RwLock;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::watch;

use super::Answer;
use super::definition::{Definition, NodePort, Slice};
use super::entry::Entry;
use crate::lock::{read, write};
use crate::{Error, Result};

/// The label by which an EndpointSlice belongs to a Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Namespace and name.
pub(super) type Key = (String, String);

/// The services that the network knows, kept by [`super::run`] or by hand.
#[derive(Debug)]
pub struct Services {
    table: RwLock<Table>,
    definitions: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    by_address: HashMap<IpAddr, Key>,
    /// The service that each slice belongs to.
    slices: HashMap<Key, Key>,
}

impl Default for Services {
    fn default() -> Self {
        Self { table: RwLock::default(), definitions: watch::Sender::new(()) }
    }
}

/// The key of an object; cluster-scoped and nameless ones have empty parts.
pub(super) fn key(metadata: &ObjectMeta) -> Key {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

impl Services {
    /// Takes over exactly these services and slices.
    pub fn replace(&self, services: &[Service], slices: &[EndpointSlice]) {
        self.retain_services(&services.iter().map(|service| key(&service.metadata)).collect());
        self.retain_slices(&slices.iter().map(|slice| key(&slice.metadata)).collect());
        services.iter().for_each(|service| self.apply_service(service));
        slices.iter().for_each(|slice| self.apply_slice(slice));
    }

    /// Takes over a service as it is now.
    pub fn apply_service(&self, service: &Service) {
        self.define(&key(&service.metadata), Some(Definition::from(service)));
    }

    /// Forgets a service.
    pub fn remove_service(&self, namespace: &str, name: &str) {
        self.define(&(namespace.to_owned(), name.to_owned()), None);
    }

    fn define(&self, key: &Key, definition: Option<Definition>) {
        let changed = write(&self.table).define(key, definition);
        if changed {
            self.definitions.send_replace(());
        }
    }

    /// Takes over a slice as it is now.
    pub fn apply_slice(&self, slice: &EndpointSlice) {
        let labels = slice.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_NAME));
        write(&self.table).place(key(&slice.metadata), service, slice.into());
    }

    /// Forgets a slice.
    pub fn remove_slice(&self, namespace: &str, name: &str) {
        write(&self.table).displace(&(namespace.to_owned(), name.to_owned()));
    }

    /// Forgets the services that are not in `known`.
    pub(super) fn retain_services(&self, known: &HashSet<Key>) {
        let gone: Vec<Key> = read(&self.table)
            .entries
            .iter()
            .filter(|(key, entry)| entry.definition.is_some() && !known.contains(*key))
            .map(|(key, _)| key.clone())
            .collect();
        gone.iter().for_each(|key| self.define(key, None));
    }

    /// Forgets the slices that are not in `known`.
    pub(super) fn retain_slices(&self, known: &HashSet<Key>) {
        let mut table = write(&self.table);
        let gone: Vec<Key> =
            table.slices.keys().filter(|key| !known.contains(*key)).cloned().collect();
        gone.iter().for_each(|key| table.displace(key));
    }

    /// The endpoint that a connection of `client` to a service's address `to` goes to.
    pub(crate) fn pick(
        &self,
        to: SocketAddr,
        client: IpAddr,
        node: Option<&str>,
    ) -> Result<SocketAddr> {
        let table = read(&self.table);
        let entry = table.by_address.get(&to.ip()).and_then(|key| table.entries.get(key));
        let entry = entry.ok_or(Error::Unreachable(to))?;
        entry.pick(to.port(), client, node).ok_or(Error::Refused(to))
    }

    /// What the name of a service stands for.
    pub(crate) fn answer(&self, namespace: &str, service: &str) -> Option<Answer> {
        let key = (namespace.to_owned(), service.to_owned());
        read(&self.table).entries.get(&key)?.answer()
    }

    /// What the name of a service's endpoint stands for.
    pub(crate) fn answer_endpoint(
        &self,
        namespace: &str,
        service: &str,
        host: &str,
    ) -> Option<Answer> {
        let key = (namespace.to_owned(), service.to_owned());
        read(&self.table).entries.get(&key)?.answer_endpoint(host)
    }

    /// Every port of the host that a service asks for, in the order of the ports.
    pub fn node_ports(&self) -> Vec<NodePort> {
        let table = read(&self.table);
        let mut node_ports = Vec::new();
        for ((namespace, service), entry) in &table.entries {
            let Some(definition) = &entry.definition else { continue };
            let Some(ip) = definition.addresses.first() else { continue };
            for port in &definition.ports {
                let Some(node_port) = port.node_port.filter(|port| *port != 0) else { continue };
                node_ports.push(NodePort {
                    namespace: namespace.clone(),
                    service: service.clone(),
                    port: node_port,
                    target: SocketAddr::new(*ip, port.number),
                });
            }
        }
        node_ports.sort_by_key(|node_port| node_port.port);
        node_ports
    }

    /// Tells when a service (not merely an endpoint) has changed.
    pub fn definitions_changed(&self) -> watch::Receiver<()> {
        self.definitions.subscribe()
    }
}

impl Table {
    fn define(&mut self, key: &Key, definition: Option<Definition>) -> bool {
        let before = self.entries.get(key).and_then(|entry| entry.definition.as_ref());
        if before == definition.as_ref() {
            return false;
        }
        for ip in before.iter().flat_map(|before| &before.addresses) {
            // The address may have passed to another service, whose event came first.
            if self.by_address.get(ip) == Some(key) {
                self.by_address.remove(ip);
            }
        }
        for ip in definition.iter().flat_map(|definition| &definition.addresses) {
            self.by_address.insert(*ip, key.clone());
        }
        self.change(key, |entry| entry.definition = definition);
        true
    }

    fn place(&mut self, slice: Key, service: Option<&String>, content: Slice) {
        let owner = service.map(|service| (slice.0.clone(), service.clone()));
        if self.slices.get(&slice) != owner.as_ref() {
            self.displace(&slice);
        }
        if let Some(owner) = owner {
            let name = slice.1.clone();
            self.change(&owner, |entry| {
                entry.slices.insert(name, content);
            });
            self.slices.insert(slice, owner);
        }
    }

    fn displace(&mut self, slice: &Key) {
        if let Some(owner) = self.slices.remove(slice) {
            self.change(&owner, |entry| {
                entry.slices.remove(&slice.1);
            });
        }
    }

    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Entry)) {
        let entry = self.entries.entry(key.clone()).or_default();
        change(entry);
        entry.recompute();
        if entry.is_empty() {
            self.entries.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
