//! Creating the pods that are missing and deleting those that are too many.

use std::sync::Arc;

use coracle_api::{owner, pods};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};

use super::ranking;
use crate::context::Context;
use crate::error::{Error, Result, While, all};

/// How many pods one reconcile creates or deletes at most.
const BURST: usize = 500;

/// Brings the number of pods to what is asked for.
pub(super) async fn manage(
    context: &Context,
    replica_set: &ReplicaSet,
    active: &[Arc<Pod>],
) -> Result<()> {
    let wanted = replica_set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if active.len() < wanted {
        let missing = wanted - active.len();
        create_slowly(context, replica_set, missing.min(BURST)).await?;
        if missing > BURST {
            return Err(Error::Unfinished(format!(
                "{} pods are still to be created",
                missing - BURST
            )));
        }
    } else if active.len() > wanted {
        let surplus = active.len() - wanted;
        delete(context, replica_set, active, surplus.min(BURST)).await?;
        if surplus > BURST {
            return Err(Error::Unfinished(format!(
                "{} pods are still to be deleted",
                surplus - BURST
            )));
        }
    }
    Ok(())
}

/// Creates in batches of 1, 2, 4, ..., so that a reason that refuses every pod is met once and
/// not hundreds of times.
async fn create_slowly(context: &Context, replica_set: &ReplicaSet, mut left: usize) -> Result<()> {
    let pod = from_template(replica_set)?;
    let mut batch = 1;
    while left > 0 {
        let size = batch.min(left);
        let results = join_all((0..size).map(|_| create(context, replica_set, &pod))).await;
        match all(results) {
            Ok(_) => {}
            // Nothing more can be created here, and nobody needs to hear of it.
            Err(Error::Several { first, .. }) if first.is_namespace_terminating() => return Ok(()),
            Err(error) => return Err(error),
        }
        left -= size;
        batch *= 2;
    }
    Ok(())
}

/// The pod that a ReplicaSet's template describes.
fn from_template(replica_set: &ReplicaSet) -> Result<Pod> {
    let template = replica_set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let template =
        template.ok_or_else(|| Error::Invalid("a ReplicaSet without template".into()))?;
    let metadata = template.metadata.as_ref();
    let name = replica_set.metadata.name.as_deref().unwrap_or_default();
    Ok(Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: replica_set.metadata.namespace.clone(),
            labels: metadata.and_then(|metadata| metadata.labels.clone()),
            annotations: metadata.and_then(|metadata| metadata.annotations.clone()),
            finalizers: metadata.and_then(|metadata| metadata.finalizers.clone()),
            owner_references: Some(vec![owner::controller_reference(replica_set)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    })
}

fn api(context: &Context, replica_set: &ReplicaSet) -> Api<Pod> {
    let namespace = replica_set.metadata.namespace.as_deref().unwrap_or_default();
    Api::namespaced(context.client.clone(), namespace)
}

async fn create(context: &Context, replica_set: &ReplicaSet, pod: &Pod) -> Result<()> {
    let created = api(context, replica_set).create(&PostParams::default(), pod).await;
    match created.doing("creating a pod") {
        Ok(created) => {
            let created = context.informers.pods.observe(created);
            let name = created.metadata.name.as_deref().unwrap_or_default();
            context.events.normal(replica_set, "SuccessfulCreate", format!("Created pod: {name}"));
            Ok(())
        }
        Err(error) => {
            if !error.is_namespace_terminating() {
                let message = format!("Error creating: {}", error.for_people());
                context.events.warning(replica_set, "FailedCreate", message);
            }
            Err(error)
        }
    }
}

async fn delete(
    context: &Context,
    replica_set: &ReplicaSet,
    active: &[Arc<Pod>],
    surplus: usize,
) -> Result<()> {
    let related = related_pods(context, replica_set);
    let victims = ranking::victims(active, &related, surplus, coracle_api::clock::now());
    let deleted = victims.iter().map(|pod| delete_one(context, replica_set, pod));
    all(join_all(deleted).await)?;
    Ok(())
}

async fn delete_one(context: &Context, replica_set: &ReplicaSet, pod: &Pod) -> Result<()> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let only_this = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
    let deleted = api(context, replica_set).delete(name, &params).await;
    match deleted.doing("deleting a pod") {
        Ok(answer) => {
            match answer.left() {
                Some(object)
                    if object.metadata.deletion_timestamp.is_some() && has_grace(&object) =>
                {
                    context.informers.pods.observe(object);
                }
                _ => context.informers.pods.forget(pod),
            }
            context.events.normal(replica_set, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(())
        }
        Err(error) if error.is_not_found() => {
            context.informers.pods.forget(pod);
            Ok(())
        }
        Err(error) => {
            let message = format!("Error deleting: {}", error.for_people());
            context.events.warning(replica_set, "FailedDelete", message);
            Err(error)
        }
    }
}

/// Whether a pod that was asked to go is still there.
fn has_grace(pod: &Pod) -> bool {
    pod.metadata.deletion_grace_period_seconds.is_some_and(|seconds| seconds > 0)
        || pod.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
}

/// The active pods of all ReplicaSets that have the same owner, this one's included.
fn related_pods(context: &Context, replica_set: &ReplicaSet) -> Vec<Arc<Pod>> {
    let informers = &context.informers;
    let family = match owner::controller_of(&replica_set.metadata) {
        Some(owner) => informers.replica_sets.controlled_by(&owner.uid),
        None => vec![Arc::new(replica_set.clone())],
    };
    let uids = family.iter().filter_map(|member| member.metadata.uid.as_deref());
    let related = uids.flat_map(|uid| informers.pods.controlled_by(uid));
    related.filter(|pod| pods::is_active(pod)).collect()
}
