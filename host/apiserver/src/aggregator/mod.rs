//! Groups of the API that other servers serve, as APIServices say (`k8s.io/kube-aggregator`).
//!
//! An [`Extension`] is one version of one group on such a server; [`proxy`] passes requests on to
//! it, as the caller that this server has found out and allowed. Beside requests, [`availability`]
//! says of each whether it answers and keeps what it tells of itself ([`told`]), [`automatic`]
//! keeps the APIServices of defined kinds, and [`authentication`] publishes how extensions
//! recognise this server. Imports `registry` and `upstream`; knows nothing of verbs and kinds.

mod authentication;
mod automatic;
mod availability;
mod extension;
mod proxy;
mod services;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_store::Store;
use kube::Client;

use crate::apiextensions::compare_versions;
use crate::bootstrap::priorities;
use crate::config::Dialer;
use crate::error::Result;
use crate::registry::{Mirror, Resource, Table};
use crate::server::Server;
use crate::upstream::ClientCertificate;
pub(crate) use automatic::AUTOMANAGED;
pub(crate) use extension::Extension;
pub(crate) use proxy::forward;
pub(crate) use services::Priorities;
use services::Services;

/// The group of APIServices themselves, which no other server can serve and which stands first.
const OWN: &str = "apiregistration.k8s.io";

/// What APIServices there are, and how extensions are reached.
pub(crate) struct Aggregator {
    services: Mirror<Services>,
    dialer: Arc<dyn Dialer>,
    /// What extensions are shown.
    certificate: Option<ClientCertificate>,
}

/// A group and its versions, as clients should prefer them.
pub(crate) struct Group {
    /// Empty for the core group.
    pub(crate) name: Arc<str>,
    pub(crate) versions: Vec<GroupVersion>,
}

/// A version of a group.
pub(crate) struct GroupVersion {
    pub(crate) name: Arc<str>,
    /// Who serves it, if it is not this server.
    pub(crate) extension: Option<Arc<Extension>>,
}

impl Aggregator {
    pub(crate) fn new(dialer: Arc<dyn Dialer>, certificate: Option<ClientCertificate>) -> Self {
        Self { services: Mirror::default(), dialer, certificate }
    }

    /// Who serves a version of a group, if it is not this server.
    pub(crate) async fn serving(
        &self,
        store: &dyn Store,
        group: &str,
        version: &str,
    ) -> Result<Option<Arc<Extension>>> {
        let fits = |known: &&Arc<Extension>| known.group == group && known.version == version;
        let look = |services: &Services| services.extensions.iter().find(fits).cloned();
        Ok(self.services.read(store, look).await?)
    }

    /// All versions of groups that other servers serve.
    pub(crate) async fn extensions(&self, store: &dyn Store) -> Result<Vec<Arc<Extension>>> {
        Ok(self.services.read(store, |services| services.extensions.clone()).await?)
    }

    /// Every group there is, in the order in which clients should prefer them.
    pub(crate) async fn groups(&self, store: &dyn Store, table: &Table) -> Result<Vec<Group>> {
        Ok(self.services.read(store, |services| arranged(services, table)).await?)
    }
}

fn arranged(services: &Services, table: &Table) -> Vec<Group> {
    type Versions = BTreeMap<Arc<str>, (Priorities, Option<Arc<Extension>>)>;
    let mut groups: BTreeMap<Arc<str>, Versions> = BTreeMap::new();
    for resource in table.resources() {
        let names = resource.names();
        let versions = groups.entry(names.group.clone()).or_default();
        if versions.contains_key(&names.version) {
            continue;
        }
        let declared = services.priorities(&names.group, &names.version);
        let priorities = declared.unwrap_or_else(|| match &resource {
            Resource::Stored(kind) if kind.definition().is_some() => automatic::PRIORITIES,
            _ => priorities(&names.group, &names.version),
        });
        versions.insert(names.version.clone(), (priorities, None));
    }
    for extension in &services.extensions {
        let priorities = services.priorities(&extension.group, &extension.version);
        let priorities = priorities.unwrap_or(automatic::PRIORITIES);
        let versions = groups.entry(extension.group.as_str().into()).or_default();
        let version = extension.version.as_str().into();
        versions.insert(version, (priorities, Some(extension.clone())));
    }
    let mut groups: Vec<_> = groups
        .into_iter()
        .map(|(name, versions)| {
            let first = versions.values().map(|(priorities, _)| priorities.group).max();
            let mut versions: Vec<_> = versions.into_iter().collect();
            versions.sort_by(|(a, (of_a, _)), (b, (of_b, _))| {
                of_b.version.cmp(&of_a.version).then_with(|| compare_versions(a, b))
            });
            let versions = versions.into_iter();
            let versions = versions.map(|(name, (_, extension))| GroupVersion { name, extension });
            (first, Group { name, versions: versions.collect() })
        })
        .collect();
    // Those of equal priority stay in the order of their names.
    groups.sort_by_key(|(first, group)| (&*group.name != OWN, std::cmp::Reverse(*first)));
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Does what has to be done beside requests, for ever. `client` may do everything.
pub(crate) async fn run(server: &Arc<Server>, client: Client) {
    tokio::join!(
        availability::run(server, &client),
        automatic::run(server, &client),
        authentication::run(server, &client),
    );
}
