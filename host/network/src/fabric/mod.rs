//! The network itself, and its only door.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::dns::{self, Question};
use crate::ipam::Cursors;
use crate::listener::Accepted;
use crate::lock::{read, write};
use crate::ports::Endpoint;
use crate::services::Answer;
use crate::{
    Cidr, Config, Egress, Error, Face, Identity, Interface, Result, Services, Source, Stream,
    stream,
};

/// How long a connection that leaves the cluster may take to open.
const OUTSIDE_TIMEOUT: Duration = Duration::from_secs(30);

/// How many of a service's endpoints a connection is offered to.
const PICKS: usize = 8;

/// How many aliases (services of type `ExternalName`) a name may lead through.
const MAX_ALIASES: usize = 8;

/// The pod network of one process. Clones share it.
#[derive(Clone)]
pub struct Fabric {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    addresses: RwLock<Addresses>,
    services: Services,
    host_port: AtomicU16,
}

#[derive(Default)]
struct Addresses {
    endpoints: HashMap<IpAddr, Arc<Endpoint>>,
    cursors: Cursors,
}

/// Where a connection ends.
enum Target {
    Pod(Arc<Endpoint>, Face, SocketAddr),
    Outside(SocketAddr),
}

impl std::fmt::Debug for Fabric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fabric").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Fabric {
    /// An empty network.
    pub fn new(config: Config) -> Self {
        let inner = Inner {
            config,
            addresses: RwLock::default(),
            services: Services::default(),
            host_port: AtomicU16::new(1024),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What the network was made with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The services that the network knows.
    pub fn services(&self) -> &Services {
        &self.inner.services
    }

    /// Gives a pod the next free address of its node's range.
    pub fn attach(&self, identity: Identity, node_cidr: Cidr) -> Result<Interface> {
        self.check_range(self.config().pod_cidr.covers(&node_cidr), &node_cidr)?;
        let mut addresses = write(&self.inner.addresses);
        let Addresses { endpoints, cursors } = &mut *addresses;
        let pods = self.config().pod_cidr;
        let ip = cursors.next(node_cidr, |ip| endpoints.contains_key(&ip) || pods.reserves(ip))?;
        Ok(self.insert(endpoints, identity, ip))
    }

    /// Gives a pod the address that it had before a restart, if that is free.
    pub fn attach_at(&self, identity: Identity, ip: IpAddr) -> Result<Interface> {
        let pods = self.config().pod_cidr;
        self.check_range(pods.contains(ip) && !pods.reserves(ip), &ip)?;
        let mut addresses = write(&self.inner.addresses);
        if addresses.endpoints.contains_key(&ip) {
            return Err(Error::Taken(ip));
        }
        Ok(self.insert(&mut addresses.endpoints, identity, ip))
    }

    fn check_range(&self, fits: bool, wanted: &dyn std::fmt::Display) -> Result<()> {
        if fits {
            return Ok(());
        }
        Err(Error::OutOfRange { wanted: wanted.to_string(), range: self.config().pod_cidr })
    }

    fn insert(
        &self,
        endpoints: &mut HashMap<IpAddr, Arc<Endpoint>>,
        identity: Identity,
        ip: IpAddr,
    ) -> Interface {
        let endpoint = Arc::new(Endpoint::new(Arc::new(identity), ip));
        endpoints.insert(ip, endpoint.clone());
        Interface::new(self.clone(), endpoint)
    }

    /// Frees an interface's address, unless it is another's by now.
    pub(crate) fn detach(&self, endpoint: &Arc<Endpoint>) {
        endpoint.detach();
        let mut addresses = write(&self.inner.addresses);
        if addresses.endpoints.get(&endpoint.ip).is_some_and(|held| Arc::ptr_eq(held, endpoint)) {
            addresses.endpoints.remove(&endpoint.ip);
        }
    }

    /// Opens a connection: to a service (one of its ready endpoints), a pod, the dialling pod's
    /// own loopback, or the outside if that is allowed. Connections to the outside need a runtime
    /// with I/O enabled.
    pub async fn dial(&self, from: &Source, to: SocketAddr) -> Result<Stream> {
        self.open(from, self.source_port(from), to).await
    }

    /// Like [`Fabric::dial`], but gives the listener an existing stream instead of a new one:
    /// bytes of a node port's socket are not copied on their way to the pod.
    pub async fn hand_over(&self, from: Source, to: SocketAddr, stream: Stream) -> Result<()> {
        match self.admit(&from, to)? {
            Target::Pod(endpoint, face, local) => {
                let peer = self.peer(&from, self.source_port(&from), face);
                endpoint.connect(face, Accepted { stream, peer, local })
            }
            Target::Outside(to) => {
                let mut outside = connect_outside(to).await?;
                let mut stream = stream;
                tokio::spawn(async move {
                    if let Err(error) =
                        tokio::io::copy_bidirectional(&mut stream, &mut outside).await
                    {
                        tracing::debug!(%to, %error, "connection out of the cluster broke");
                    }
                });
                Ok(())
            }
        }
    }

    pub(crate) async fn open(
        &self,
        from: &Source,
        from_port: u16,
        to: SocketAddr,
    ) -> Result<Stream> {
        match self.admit(from, to)? {
            Target::Pod(endpoint, face, local) => {
                let (near, far) = stream::pair();
                let peer = self.peer(from, from_port, face);
                endpoint.connect(face, Accepted { stream: far, peer, local })?;
                Ok(near)
            }
            Target::Outside(to) => Ok(Box::new(connect_outside(to).await?)),
        }
    }

    /// The verdict: where a connection ends, if it may be opened at all. Both ends are known here
    /// and nothing is open yet; every rule on who may speak to whom belongs here.
    fn admit(&self, from: &Source, to: SocketAddr) -> Result<Target> {
        let target = self.route(from, to)?;
        if let Target::Outside(to) = &target {
            self.admit_outside(from, *to)?;
        }
        Ok(target)
    }

    fn admit_outside(&self, from: &Source, to: SocketAddr) -> Result<()> {
        let to_host_itself = to.ip().is_loopback() || to.ip().is_unspecified();
        let allowed = matches!(from, Source::Host)
            || (self.config().egress == Egress::Allowed && !to_host_itself);
        if allowed { Ok(()) } else { Err(Error::Denied(to)) }
    }

    fn route(&self, from: &Source, to: SocketAddr) -> Result<Target> {
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        if let Source::Pod { ip, .. } = from
            && (to.ip().is_loopback() || to.ip().is_unspecified())
        {
            let endpoint = self.endpoint(*ip).ok_or(Error::Detached)?;
            return Ok(Target::Pod(endpoint, Face::Loopback, to));
        }
        if self.config().service_cidr.contains(to.ip()) {
            return self.route_service(from, to);
        }
        self.route_address(to)
    }

    /// One of a service's endpoints. One that has ended while the table still lists it is passed
    /// over: nothing was sent yet, so that another can have the connection.
    fn route_service(&self, from: &Source, to: SocketAddr) -> Result<Target> {
        let client = self.peer_ip(from);
        let mut picks = 0;
        loop {
            let endpoint = self.services().pick(to, client, from.node())?;
            let target = self.route_address(endpoint);
            picks += 1;
            let open = match &target {
                Ok(Target::Pod(endpoint, face, local)) => endpoint.accepts(*face, local.port()),
                Ok(Target::Outside(_)) => true,
                Err(_) => false,
            };
            if open || picks == PICKS {
                return target;
            }
        }
    }

    /// The target behind an address that is no service's and nobody's own loopback.
    fn route_address(&self, to: SocketAddr) -> Result<Target> {
        if !self.config().pod_cidr.contains(to.ip()) {
            return Ok(Target::Outside(to));
        }
        let endpoint = self.endpoint(to.ip()).ok_or(Error::Unreachable(to))?;
        Ok(Target::Pod(endpoint, Face::Pod, to))
    }

    fn endpoint(&self, ip: IpAddr) -> Option<Arc<Endpoint>> {
        read(&self.inner.addresses).endpoints.get(&ip).cloned()
    }

    fn source_port(&self, from: &Source) -> u16 {
        match from {
            Source::External(address) => address.port(),
            Source::Pod { ip, .. } => {
                self.endpoint(*ip).map_or(0, |endpoint| endpoint.passing_port())
            }
            Source::Host | Source::ApiServer => {
                self.inner.host_port.fetch_add(1, Ordering::Relaxed).max(1024)
            }
        }
    }

    /// The address under which the far side sees `from`.
    fn peer(&self, from: &Source, port: u16, face: Face) -> SocketAddr {
        match face {
            Face::Loopback => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            Face::Any | Face::Pod => SocketAddr::new(self.peer_ip(from), port),
        }
    }

    fn peer_ip(&self, from: &Source) -> IpAddr {
        match from {
            Source::Pod { ip, .. } => *ip,
            Source::External(address) => address.ip().to_canonical(),
            Source::Host | Source::ApiServer => self.config().pod_cidr.gateway(),
        }
    }

    /// The addresses of `name` as a pod of `namespace` looks it up: its search path first, then
    /// the name as it is; names outside the cluster only if egress is allowed.
    pub async fn resolve(&self, namespace: &str, name: &str) -> Result<Vec<IpAddr>> {
        let unknown = || Error::NoSuchName(name.to_owned());
        if let Some(addresses) = dns::literal(name) {
            return Ok(addresses);
        }
        let mut sought = name.to_owned();
        for _ in 0..MAX_ALIASES {
            match self.look_up(namespace, &sought) {
                Some(Answer::Addresses(addresses)) if addresses.is_empty() => {
                    return Err(unknown());
                }
                Some(Answer::Addresses(addresses)) => return Ok(addresses),
                // An alias is a full name: the search path does not apply to it.
                Some(Answer::Alias(target)) => {
                    sought = format!("{}.", target.trim_end_matches('.'))
                }
                None => return self.resolve_outside(&sought).await.ok_or_else(unknown),
            }
        }
        Err(unknown())
    }

    fn look_up(&self, namespace: &str, name: &str) -> Option<Answer> {
        let domain = &self.config().cluster_domain;
        dns::candidates(name, namespace, domain).into_iter().find_map(|candidate| {
            match dns::question(&candidate, domain)? {
                Question::Pod(ip) => Some(Answer::Addresses(vec![ip])),
                Question::Service { namespace, service } => {
                    self.services().answer(namespace, service)
                }
                Question::Endpoint { namespace, service, host } => {
                    self.services().answer_endpoint(namespace, service, host)
                }
            }
        })
    }

    async fn resolve_outside(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.trim_end_matches('.');
        let inside = dns::is_in(name, &self.config().cluster_domain);
        if inside || self.config().egress == Egress::Denied || !dns::is_valid(name) {
            return None;
        }
        let found = tokio::net::lookup_host((name, 0)).await;
        let mut addresses = Vec::new();
        for address in found.inspect_err(|error| tracing::debug!(name, %error, "lookup")).ok()? {
            // The host's loopback means nothing to a guest.
            if !addresses.contains(&address.ip()) && !address.ip().is_loopback() {
                addresses.push(address.ip());
            }
        }
        (!addresses.is_empty()).then_some(addresses)
    }
}

async fn connect_outside(to: SocketAddr) -> Result<TcpStream> {
    let connecting = tokio::time::timeout(OUTSIDE_TIMEOUT, TcpStream::connect(to));
    let stream = match connecting.await {
        Err(_) => return Err(Error::TimedOut(to)),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            return Err(Error::Refused(to));
        }
        Ok(result) => result.map_err(|source| Error::Outside { to, source })?,
    };
    stream.set_nodelay(true).map_err(|source| Error::Outside { to, source })?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
