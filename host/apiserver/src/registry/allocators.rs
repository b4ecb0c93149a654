//! Cluster addresses and node ports of Services. What is taken is read from the Services
//! themselves, under one lock from choice to write, so nothing can leak or be given out twice.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use coracle_api::dice;
use coracle_store::{Range, Revision};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Kind, Object, Write, key, prefix};
use crate::error::{ApiError, Cause, CauseReason, Result};

/// Where cluster addresses come from.
pub(crate) const SERVICE_RANGE: &str = "10.96.0.0/16";
const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 0);
const NETWORK_BITS: u32 = 16;
/// The addresses from here on are given out; those below are for people who choose.
const FIRST_CHOSEN: u32 = 257;
const LAST_CHOSEN: u32 = (1 << (32 - NETWORK_BITS)) - 2;

const PORTS: RangeInclusive<i32> = 30000..=32767;
/// The ports from here on are given out; those below are for people who choose.
const FIRST_CHOSEN_PORT: i32 = 30086;

/// What one Service holds, at one revision of it.
struct Holding {
    revision: Revision,
    address: Option<Ipv4Addr>,
    ports: Vec<i32>,
}

#[derive(Default)]
pub(crate) struct Holdings(HashMap<Arc<str>, Holding>);

/// The allocators of one server.
#[derive(Default)]
pub(crate) struct Allocators(Arc<Mutex<Holdings>>);

/// Kept until the Service that was given something is written.
pub(crate) type Held = Option<OwnedMutexGuard<Holdings>>;

impl Allocators {
    /// Gives a new Service what it needs.
    pub(crate) async fn begin_create(
        &self,
        write: Write<'_>,
        object: &mut dyn Object,
    ) -> Result<Held> {
        let Some(service) = object.downcast_mut::<Service>() else { return Ok(None) };
        self.allocate(write, service).await
    }

    /// Gives a changed Service what it newly needs, and keeps what it had.
    pub(crate) async fn begin_update(
        &self,
        write: Write<'_>,
        new: &mut dyn Object,
        old: &dyn Object,
    ) -> Result<Held> {
        let (Some(service), Some(old)) =
            (new.downcast_mut::<Service>(), old.downcast_ref::<Service>())
        else {
            return Ok(None);
        };
        if let (Some(new), Some(old)) = (&mut service.spec, &old.spec) {
            keep(new, old);
        }
        if service.spec == old.spec {
            return Ok(None);
        }
        self.allocate(write, service).await
    }

    async fn allocate(&self, write: Write<'_>, service: &mut Service) -> Result<Held> {
        let name = service.metadata.name.clone().unwrap_or_default();
        let Some(spec) = &mut service.spec else { return Ok(None) };
        if !needs_address(spec) && !needs_ports(spec) {
            return Ok(None);
        }
        let mut held = self.0.clone().lock_owned().await;
        held.refresh(write).await?;
        let own = key(write.kind.names(), write.namespace, &name);
        let others = || held.0.iter().filter(|(key, _)| ***key != *own).map(|(_, holding)| holding);
        let mut causes = vec![];
        if needs_address(spec) {
            let taken: HashSet<_> = others().filter_map(|holding| holding.address).collect();
            give_address(spec, &taken, &mut causes)?;
        }
        if needs_ports(spec) {
            let taken: HashSet<_> = others().flat_map(|h| h.ports.iter().copied()).collect();
            give_ports(spec, &taken, &mut causes)?;
        }
        if causes.is_empty() {
            return Ok(Some(held));
        }
        let names = write.kind.names();
        Err(ApiError::invalid(&names.group, &names.kind, &name, causes))
    }
}

impl Holdings {
    /// Reads the Services that changed.
    async fn refresh(&mut self, write: Write<'_>) -> Result<()> {
        let Write { server, kind, .. } = write;
        let page = server.store.range(&prefix(kind.names(), ""), Range::default()).await?;
        let mut known = std::mem::take(&mut self.0);
        for entry in page.entries {
            let holding = match known.remove(&entry.key) {
                Some(holding) if holding.revision == entry.modified => holding,
                _ => Holding::read(kind, &entry.value, entry.modified)?,
            };
            self.0.insert(entry.key.clone(), holding);
        }
        Ok(())
    }
}

impl Holding {
    fn read(kind: &dyn Kind, bytes: &[u8], revision: Revision) -> Result<Self> {
        let object = kind.restore(bytes)?;
        let spec = object.downcast_ref::<Service>().and_then(|service| service.spec.as_ref());
        let address =
            spec.and_then(|spec| spec.cluster_ip.as_deref()).and_then(|ip| ip.parse().ok());
        let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let ports = ports.iter().filter_map(|port| port.node_port).collect();
        Ok(Self { revision, address, ports })
    }
}

fn kind_of(spec: &ServiceSpec) -> &str {
    spec.type_.as_deref().unwrap_or("ClusterIP")
}

fn needs_address(spec: &ServiceSpec) -> bool {
    kind_of(spec) != "ExternalName" && spec.cluster_ip.as_deref() != Some("None")
}

fn needs_ports(spec: &ServiceSpec) -> bool {
    match kind_of(spec) {
        "NodePort" => true,
        "LoadBalancer" => spec.allocate_load_balancer_node_ports != Some(false),
        _ => false,
    }
}

/// Carries what was given out over to the new state, where that leaves it open.
fn keep(new: &mut ServiceSpec, old: &ServiceSpec) {
    let unset = |ip: &Option<String>| ip.as_ref().is_none_or(String::is_empty);
    if needs_address(old) && needs_address(new) && unset(&new.cluster_ip) {
        new.cluster_ip.clone_from(&old.cluster_ip);
        new.cluster_ips.clone_from(&old.cluster_ips);
    }
    if kind_of(new) == "ExternalName" && new.cluster_ip == old.cluster_ip {
        new.cluster_ip = None;
        new.cluster_ips = None;
    }
    let before = old.ports.as_deref().unwrap_or_default();
    let ported = matches!(kind_of(new), "NodePort" | "LoadBalancer");
    for port in new.ports.iter_mut().flatten() {
        let same = before.iter().find(|old| old.port == port.port && old.protocol == port.protocol);
        let held = same.and_then(|old| old.node_port);
        let open = port.node_port.is_none_or(|number| number == 0);
        if ported && open {
            port.node_port = held;
        } else if !ported && port.node_port == held {
            port.node_port = None;
        }
    }
}

fn give_address(
    spec: &mut ServiceSpec,
    taken: &HashSet<Ipv4Addr>,
    causes: &mut Vec<Cause>,
) -> Result<()> {
    let asked = spec.cluster_ip.clone().filter(|ip| !ip.is_empty());
    let asked = asked.or_else(|| spec.cluster_ips.iter().flatten().next().cloned());
    let address = match asked {
        Some(asked) => {
            let Ok(address) = asked.parse::<Ipv4Addr>() else { return Ok(()) };
            let bits = u32::from(address);
            let inside = bits >> (32 - NETWORK_BITS) == u32::from(NETWORK) >> (32 - NETWORK_BITS);
            let why = if !inside {
                format!(
                    "the provided IP ({asked}) is not in the valid range. The range of valid IPs \
                     is {NETWORK}/{NETWORK_BITS}"
                )
            } else if taken.contains(&address) {
                "provided IP is already allocated".into()
            } else {
                spec.cluster_ip = Some(asked.clone());
                spec.cluster_ips = Some(vec![asked]);
                return Ok(());
            };
            let message = format!(
                "Invalid value: []string{{{asked:?}}}: failed to allocate IP {asked}: {why}"
            );
            let reason = CauseReason::FieldValueInvalid;
            causes.push(Cause::new(reason, "spec.clusterIPs", message));
            return Ok(());
        }
        None => choose(FIRST_CHOSEN, LAST_CHOSEN, |offset| {
            !taken.contains(&Ipv4Addr::from(u32::from(NETWORK) + offset))
        })
        .map(|offset| Ipv4Addr::from(u32::from(NETWORK) + offset)),
    };
    let address = address
        .ok_or_else(|| ApiError::internal("failed to allocate a serviceIP: range is full"))?;
    spec.cluster_ip = Some(address.to_string());
    spec.cluster_ips = Some(vec![address.to_string()]);
    Ok(())
}

fn give_ports(spec: &mut ServiceSpec, taken: &HashSet<i32>, causes: &mut Vec<Cause>) -> Result<()> {
    let mut own: HashMap<i32, Vec<Option<String>>> = HashMap::new();
    for (at, port) in spec.ports.iter_mut().flatten().enumerate() {
        let field = format!("spec.ports[{at}].nodePort");
        match port.node_port.filter(|number| *number != 0) {
            Some(number) if !PORTS.contains(&number) => {
                let why = format!(
                    "provided port is not in the valid range. The range of valid ports is {}-{}",
                    PORTS.start(),
                    PORTS.end()
                );
                causes.push(Cause::invalid(field, number, &why));
            }
            // One number may serve several protocols of one Service.
            Some(number)
                if taken.contains(&number)
                    || own.get(&number).is_some_and(|used| used.contains(&port.protocol)) =>
            {
                causes.push(Cause::invalid(field, number, "provided port is already allocated"));
            }
            Some(number) => own.entry(number).or_default().push(port.protocol.clone()),
            None => {}
        }
    }
    for port in spec.ports.iter_mut().flatten() {
        if port.node_port.is_some_and(|number| number != 0) {
            continue;
        }
        let free = |number: i32| !taken.contains(&number) && !own.contains_key(&number);
        let number = choose(FIRST_CHOSEN_PORT as u32, *PORTS.end() as u32, |n| free(n as i32))
            .or_else(|| choose(*PORTS.start() as u32, *PORTS.end() as u32, |n| free(n as i32)))
            .ok_or_else(|| ApiError::internal("failed to allocate a nodePort: range is full"))?;
        let number = number as i32;
        port.node_port = Some(number);
        own.entry(number).or_default().push(port.protocol.clone());
    }
    Ok(())
}

/// A random number of the range that is free, if there is one.
fn choose(first: u32, last: u32, free: impl Fn(u32) -> bool) -> Option<u32> {
    let size = last - first + 1;
    let start = dice::below(size as usize) as u32;
    (0..size).map(|step| first + (start + step) % size).find(|number| free(*number))
}
