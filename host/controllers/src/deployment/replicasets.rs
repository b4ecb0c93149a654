//! Writing the ReplicaSets of a Deployment: a new one, another size, the history's end.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::owner;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};

use super::{annotations, math, template};
use crate::context::Context;
use crate::error::{Error, Result, While};

/// Names leave room for what pods append.
const LONGEST_NAME: usize = 253;

/// What came of creating a ReplicaSet.
pub(super) enum Created {
    /// It is there.
    New(Arc<ReplicaSet>),
    /// It was there already, this Deployment's and with its template.
    Found(Arc<ReplicaSet>),
    /// Its name belongs to another template: the next try needs another hash.
    Collision(Error),
}

fn api(context: &Context, deployment: &Deployment) -> Api<ReplicaSet> {
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    Api::namespaced(context.client.clone(), namespace)
}

/// The ReplicaSet for the Deployment's template; `existing` pods are asked for by the others.
pub(super) fn for_template(deployment: &Deployment, revision: i64, existing: i32) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = template::hash(&spec.template, collisions);
    let label = |labels: &mut Option<BTreeMap<String, String>>| {
        labels.get_or_insert_default().insert(template::HASH_LABEL.to_owned(), hash.clone());
    };
    let mut pods = spec.template;
    label(&mut pods.metadata.get_or_insert_default().labels);
    let mut selector = spec.selector;
    label(&mut selector.match_labels);

    let base = deployment.metadata.name.as_deref().unwrap_or_default();
    let base: String = base.chars().take(LONGEST_NAME - 1 - hash.len()).collect();
    let mut replica_set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{base}-{hash}")),
            namespace: deployment.metadata.namespace.clone(),
            labels: pods.metadata.as_ref().and_then(|metadata| metadata.labels.clone()),
            owner_references: Some(vec![owner::controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(math::new_size(deployment, 0, existing)),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(pods),
        }),
        status: None,
    };
    annotations::inherit(deployment, &mut replica_set, revision);
    let wanted = math::wanted(deployment);
    let max = wanted + math::max_surge(deployment);
    annotations::record_sizes(&mut replica_set.metadata, wanted, max);
    replica_set
}

/// Creates `replica_set`.
pub(super) async fn create(
    context: &Context,
    deployment: &Deployment,
    replica_set: &ReplicaSet,
) -> Result<Created> {
    let api = api(context, deployment);
    let created = api.create(&PostParams::default(), replica_set).await;
    match created.doing("creating a ReplicaSet") {
        Ok(created) => {
            let created = context.informers.replica_sets.observe(created);
            let size = math::size(&created);
            if size > 0 {
                let name = created.metadata.name.as_deref().unwrap_or_default();
                let message = format!("Scaled up replica set {name} from 0 to {size}");
                context.events.normal(deployment, "ScalingReplicaSet", message);
            }
            Ok(Created::New(created))
        }
        Err(error) if error.is_already_exists() => {
            let name = replica_set.metadata.name.as_deref().unwrap_or_default();
            let found = api.get(name).await.doing("looking at the ReplicaSet of that name")?;
            let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
            let ours = owner::is_controlled_by(&found.metadata, uid);
            if ours && template::find_new(deployment, &[Arc::new(found.clone())]).is_some() {
                return Ok(Created::Found(context.informers.replica_sets.observe(found)));
            }
            Ok(Created::Collision(error))
        }
        Err(error) => Err(error),
    }
}

/// Gives the new ReplicaSet what it must have of the Deployment beside its template.
pub(super) async fn keep_current(
    context: &Context,
    deployment: &Deployment,
    replica_set: Arc<ReplicaSet>,
    revision: i64,
) -> Result<Arc<ReplicaSet>> {
    let mut changed = (*replica_set).clone();
    let mut any = annotations::inherit(deployment, &mut changed, revision);
    let min_ready = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
    if let Some(spec) = &mut changed.spec
        && spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0)
    {
        spec.min_ready_seconds = min_ready;
        any = true;
    }
    if any { write(context, deployment, &changed).await } else { Ok(replica_set) }
}

/// Gives a ReplicaSet another size. Answers it as it is then, and whether the size was another.
pub(super) async fn scale(
    context: &Context,
    deployment: &Deployment,
    replica_set: &Arc<ReplicaSet>,
    size: i32,
) -> Result<(Arc<ReplicaSet>, bool)> {
    let before = math::size(replica_set);
    let mut changed = (**replica_set).clone();
    let wanted = math::wanted(deployment);
    let max = wanted + math::max_surge(deployment);
    let recorded = annotations::record_sizes(&mut changed.metadata, wanted, max);
    if before == size && !recorded {
        return Ok((replica_set.clone(), false));
    }
    if let Some(spec) = &mut changed.spec {
        spec.replicas = Some(size);
    }
    let written = write(context, deployment, &changed).await?;
    if before != size {
        let name = written.metadata.name.as_deref().unwrap_or_default();
        let direction = if before < size { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {name} from {before} to {size}");
        context.events.normal(deployment, "ScalingReplicaSet", message);
    }
    Ok((written, before != size))
}

async fn write(
    context: &Context,
    deployment: &Deployment,
    replica_set: &ReplicaSet,
) -> Result<Arc<ReplicaSet>> {
    let name = replica_set.metadata.name.as_deref().unwrap_or_default();
    let written = api(context, deployment).replace(name, &PostParams::default(), replica_set).await;
    Ok(context.informers.replica_sets.observe(written.doing("writing a ReplicaSet")?))
}

/// Deletes the oldest of `old` that the history has no room for and that are of no use any more.
pub(super) async fn trim_history(
    context: &Context,
    deployment: &Deployment,
    old: &[Arc<ReplicaSet>],
) -> Result<()> {
    let spec = deployment.spec.as_ref();
    let limit = spec.and_then(|spec| spec.revision_history_limit).unwrap_or(10);
    let Ok(limit) = usize::try_from(limit) else { return Ok(()) };
    let mut kept: Vec<_> =
        old.iter().filter(|one| one.metadata.deletion_timestamp.is_none()).collect();
    let Some(surplus) = kept.len().checked_sub(limit) else { return Ok(()) };
    kept.sort_by_key(|one| {
        let created = one.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (annotations::revision(&one.metadata), created)
    });
    for one in kept.into_iter().take(surplus).filter(|one| is_unused(one)) {
        let name = one.metadata.name.as_deref().unwrap_or_default();
        let only_this = Preconditions { uid: one.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        let deleted = api(context, deployment).delete(name, &params).await;
        match deleted.doing("deleting an old ReplicaSet") {
            Ok(answer) => match answer.left() {
                Some(left) if left.metadata.deletion_timestamp.is_some() => {
                    context.informers.replica_sets.observe(left);
                }
                _ => context.informers.replica_sets.forget(one),
            },
            Err(error) if error.is_not_found() => context.informers.replica_sets.forget(one),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a ReplicaSet has no pods, wants none, and that is known to be the latest.
fn is_unused(replica_set: &ReplicaSet) -> bool {
    let status = replica_set.status.clone().unwrap_or_default();
    status.replicas == 0
        && math::size(replica_set) == 0
        && replica_set.metadata.generation <= status.observed_generation
}
