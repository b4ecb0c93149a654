//! How many pods there should be: the sum of what the controllers of a budget's pods ask for. Those
//! that this program watches are known; others are asked through their `scale`.

use std::collections::HashMap;
use std::sync::Arc;

use coracle_api::owner;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio::sync::Mutex;

use crate::context::{Context, Informers};
use crate::dynamic::{self, Discovered, Kind};
use crate::error::{Error, Result, While};
use crate::runner::Key;

/// How many pods there should be, and whether some of those that there are belong to nobody.
pub(super) struct Counted {
    pub(super) pods: usize,
    pub(super) unmanaged: bool,
}

/// Finds controllers' sizes, and remembers what kinds there are.
#[derive(Default)]
pub(super) struct Scales {
    kinds: Mutex<Discovered>,
}

impl Scales {
    /// How many pods the controllers of `pods` ask for.
    pub(super) async fn expected(&self, context: &Context, pods: &[Arc<Pod>]) -> Result<Counted> {
        // What each controller named by a pod comes to: the one that counts, and its size.
        let mut named: HashMap<&str, (String, i32)> = HashMap::new();
        let mut unmanaged = false;
        for pod in pods {
            let Some(owner) = owner::controller_of(&pod.metadata) else {
                unmanaged = true;
                continue;
            };
            if named.contains_key(owner.uid.as_str()) {
                continue;
            }
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            let known = known(&context.informers, namespace, owner);
            let found = match known {
                Some(found) => Some(found),
                None => self.asked(context, namespace, owner).await?,
            };
            let found = found.ok_or_else(|| {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                Error::Invalid(format!("found no controllers for pod {name:?}"))
            })?;
            named.insert(&owner.uid, found);
        }
        // Several ReplicaSets may come to one Deployment.
        let sizes: HashMap<String, i32> = named.into_values().collect();
        let pods = sizes.values().filter_map(|size| usize::try_from(*size).ok()).sum();
        Ok(Counted { pods, unmanaged })
    }

    /// Asks the server for the size of what it alone knows.
    async fn asked(
        &self,
        context: &Context,
        namespace: &str,
        owner: &OwnerReference,
    ) -> Result<Option<(String, i32)>> {
        let kind = self.kind(context, owner).await?;
        let api = kind.api(&context.client, namespace);
        match api.get_scale(&owner.name).await.doing("asking for the scale of a controller") {
            Ok(scale) => {
                let wanted = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
                let uid = scale.metadata.uid.filter(|uid| *uid == owner.uid);
                Ok(uid.map(|uid| (uid, wanted)))
            }
            Err(error) if error.is_not_found() => {
                if kind.scalable {
                    return Ok(None);
                }
                let resource = &kind.resource;
                let dot = if resource.group.is_empty() { "" } else { "." };
                Err(Error::Invalid(format!(
                    "{}{dot}{} does not implement the scale subresource",
                    resource.plural, resource.group
                )))
            }
            Err(error) => Err(error),
        }
    }

    async fn kind(&self, context: &Context, owner: &OwnerReference) -> Result<Arc<Kind>> {
        let mut kinds = self.kinds.lock().await;
        if let Some(kind) = kinds.find(&owner.api_version, &owner.kind) {
            return Ok(kind.clone());
        }
        *kinds = dynamic::discover(&context.client).await?;
        let kind = kinds.find(&owner.api_version, &owner.kind).cloned();
        kind.ok_or_else(|| {
            let OwnerReference { api_version, kind, .. } = owner;
            Error::Invalid(format!("no matches for kind {kind:?} in version {api_version:?}"))
        })
    }
}

/// The controller that counts and its size, if it is one that is watched.
fn known(informers: &Informers, namespace: &str, owner: &OwnerReference) -> Option<(String, i32)> {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let key = Key::new(namespace, &owner.name);
    let size = |wanted: Option<i32>| (owner.uid.clone(), wanted.unwrap_or(1));
    match (group, owner.kind.as_str()) {
        ("apps" | "extensions", "ReplicaSet") => {
            let set = informers.replica_sets.get(&key)?;
            if set.metadata.uid.as_ref() != Some(&owner.uid) {
                return None;
            }
            match owner::controller_of(&set.metadata) {
                // The Deployment's size counts, not that of its ReplicaSets.
                Some(above) if above.kind == "Deployment" => {
                    let key = Key::new(namespace, &above.name);
                    let deployment = informers.deployments.get(&key)?;
                    let same = deployment.metadata.uid.as_ref() == Some(&above.uid);
                    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
                    same.then(|| (above.uid.clone(), wanted.unwrap_or(1)))
                }
                _ => Some(size(set.spec.as_ref().and_then(|spec| spec.replicas))),
            }
        }
        ("", "ReplicationController") => {
            let controller = informers.replication_controllers.get(&key)?;
            let same = controller.metadata.uid.as_ref() == Some(&owner.uid);
            same.then(|| size(controller.spec.as_ref().and_then(|spec| spec.replicas)))
        }
        ("apps", "StatefulSet") => {
            let set = informers.stateful_sets.get(&key)?;
            let same = set.metadata.uid.as_ref() == Some(&owner.uid);
            same.then(|| size(set.spec.as_ref().and_then(|spec| spec.replicas)))
        }
        _ => None,
    }
}
