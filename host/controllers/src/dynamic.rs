//! Objects of any kind that the server has: what kinds there are, and their metadata alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIResource, ListMeta, ObjectMeta, OwnerReference,
};
use kube::api::{Api, ListParams, WatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, Request};
use kube::{Client, Resource};
use serde::Deserialize;

use crate::error::{Error, Result, While};
use crate::list_watch::{Events, Page, Source, Versioned};

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
    /// Whether its objects have a `scale`.
    pub(crate) scalable: bool,
}

impl Kind {
    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|can| can == verb)
    }

    /// The objects of this kind in a namespace, or all if it is empty or the kind is in none.
    pub(crate) fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        if self.namespaced && !namespace.is_empty() {
            Api::namespaced_with(client.clone(), namespace, &self.resource)
        } else {
            Api::all_with(client.clone(), &self.resource)
        }
    }

    /// `pods.` or `deployments.apps`, as Kubernetes words it in conditions.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", self.resource.plural, self.resource.group)
    }
}

/// The kinds that the server has, and the groups that it could not tell of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Discovered {
    pub(crate) kinds: Vec<Arc<Kind>>,
    pub(crate) failures: BTreeMap<String, String>,
    /// What is known of where the kinds are kept.
    stored: HashSet<String>,
}

impl Discovered {
    /// The kind that `api_version` and `kind` name: of another version of the same group if need be.
    pub(crate) fn find(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let of_group = |one: &&Arc<Kind>| one.resource.group == group && one.resource.kind == kind;
        self.kinds.iter().find(of_group)
    }
}

/// Asks the server for its kinds, each in its preferred version.
pub(crate) async fn discover(client: &Client) -> Result<Discovered> {
    let mut found = Discovered::default();
    let core = client.list_core_api_resources("v1").await.doing("discovering the core kinds")?;
    found.add("", "v1", core.resources);
    let groups = client.list_api_groups().await.doing("discovering the groups of kinds")?;
    for group in groups.groups {
        let preferred = group.preferred_version.or_else(|| group.versions.first().cloned());
        let Some(version) = preferred else { continue };
        match client.list_api_group_resources(&version.group_version).await {
            Ok(list) => found.add(&group.name, &version.version, list.resources),
            Err(error) => {
                found.failures.insert(version.group_version, error.to_string());
            }
        }
    }
    Ok(found)
}

impl Discovered {
    fn add(&mut self, group: &str, version: &str, resources: Vec<APIResource>) {
        let (beneath, resources): (Vec<_>, Vec<_>) =
            resources.into_iter().partition(|resource| resource.name.contains('/'));
        for resource in resources {
            // What another group serves in another form is the same objects once more.
            let stored = resource.storage_version_hash.filter(|hash| !hash.is_empty());
            if stored.is_some_and(|hash| !self.stored.insert(hash)) {
                continue;
            }
            let gvk = GroupVersionKind::gvk(group, version, &resource.kind);
            self.kinds.push(Arc::new(Kind {
                resource: ApiResource::from_gvk_with_plural(&gvk, &resource.name),
                namespaced: resource.namespaced,
                verbs: resource.verbs,
                scalable: beneath.iter().any(|one| {
                    one.kind == "Scale" && one.name == format!("{}/scale", resource.name)
                }),
            }));
        }
    }
}

/// The metadata of an object as far as ownership goes.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Slim {
    #[serde(default)]
    pub(crate) metadata: SlimMetadata,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SlimMetadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) owner_references: Vec<OwnerReference>,
    pub(crate) finalizers: Vec<String>,
    pub(crate) deletion_timestamp: Option<serde::de::IgnoredAny>,
}

impl Versioned for Slim {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

#[derive(Deserialize)]
struct SlimList {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Slim>,
}

/// All objects of a kind, by their metadata.
pub(crate) struct MetadataOf {
    pub(crate) client: Client,
    pub(crate) kind: Arc<Kind>,
}

impl MetadataOf {
    fn request(&self) -> Request {
        Request::new(DynamicObject::url_path(&self.kind.resource, None))
    }
}

impl Source for MetadataOf {
    type Item = Slim;

    async fn list(&self, params: &ListParams) -> kube::Result<Page<Slim>> {
        let request = self.request().list_metadata(params).map_err(kube::Error::BuildRequest)?;
        let list: SlimList = self.client.request(request).await?;
        Ok(Page { metadata: list.metadata, items: list.items })
    }

    async fn watch(&self, params: &WatchParams, version: &str) -> kube::Result<Events<Slim>> {
        let request = self.request().watch_metadata(params, version);
        let request = request.map_err(kube::Error::BuildRequest)?;
        Ok(self.client.request_events::<Slim>(request).await?.boxed())
    }
}

/// The present metadata of an object; none if there is no such object.
pub(crate) async fn metadata(api: &Api<DynamicObject>, name: &str) -> Result<Option<ObjectMeta>> {
    match api.get_metadata(name).await.doing("looking at an object's metadata") {
        Ok(object) => Ok(Some(object.metadata)),
        Err(Error::Api { source: kube::Error::Api(status), .. }) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
