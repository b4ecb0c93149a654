//! How controllers create and delete pods: from a template, in growing batches, with an event about
//! the owner for each, and every answer shown to the informer.

use std::sync::Arc;

use coracle_api::owner;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};

use crate::context::Context;
use crate::error::{Error, Result, While, all};
use crate::informer::Kind;

/// How many pods one reconcile creates or deletes at most.
pub(crate) const BURST: usize = 500;

/// The pod that `template` describes, controlled by `owner` and named after it.
pub(crate) fn from_template(owner: &impl Kind, template: &PodTemplateSpec) -> Pod {
    let metadata = template.metadata.clone().unwrap_or_default();
    let name = owner.meta().name.as_deref().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: owner.meta().namespace.clone(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(vec![owner::controller_reference(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

pub(crate) fn api(context: &Context, owner: &impl Kind) -> Api<Pod> {
    let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
    Api::namespaced(context.client.clone(), namespace)
}

/// Creates in batches of 1, 2, 4, ..., so that a reason that refuses every pod is met once and
/// not hundreds of times.
pub(crate) async fn create_slowly(
    context: &Context,
    owner: &impl Kind,
    pods: &[Pod],
) -> Result<()> {
    let mut left = pods;
    let mut batch = 1;
    while !left.is_empty() {
        let (now, later) = left.split_at(batch.min(left.len()));
        match all(join_all(now.iter().map(|pod| create(context, owner, pod))).await) {
            Ok(_) => {}
            // Nothing more can be created here, and nobody needs to hear of it.
            Err(Error::Several { first, .. }) if first.is_namespace_terminating() => return Ok(()),
            Err(error) => return Err(error),
        }
        left = later;
        batch *= 2;
    }
    Ok(())
}

/// Creates one pod.
pub(crate) async fn create(context: &Context, owner: &impl Kind, pod: &Pod) -> Result<Arc<Pod>> {
    let created = api(context, owner).create(&PostParams::default(), pod).await;
    match created.doing("creating a pod") {
        Ok(created) => {
            let created = context.informers.pods.observe(created);
            let name = created.metadata.name.as_deref().unwrap_or_default();
            context.events.normal(owner, "SuccessfulCreate", format!("Created pod: {name}"));
            Ok(created)
        }
        Err(error) => {
            if !error.is_namespace_terminating() {
                let message = format!("Error creating: {}", error.for_people());
                context.events.warning(owner, "FailedCreate", message);
            }
            Err(error)
        }
    }
}

/// Deletes `pods`, all at once.
pub(crate) async fn delete_all(
    context: &Context,
    owner: &impl Kind,
    pods: &[Arc<Pod>],
) -> Result<()> {
    all(join_all(pods.iter().map(|pod| delete(context, owner, pod))).await)?;
    Ok(())
}

/// Deletes one pod; that it is gone already is no error.
pub(crate) async fn delete(context: &Context, owner: &impl Kind, pod: &Pod) -> Result<()> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let only_this = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
    let deleted = api(context, owner).delete(name, &params).await;
    match deleted.doing("deleting a pod") {
        Ok(answer) => {
            match answer.left() {
                Some(object)
                    if object.metadata.deletion_timestamp.is_some() && is_held_back(&object) =>
                {
                    context.informers.pods.observe(object);
                }
                _ => context.informers.pods.forget(pod),
            }
            context.events.normal(owner, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(())
        }
        Err(error) if error.is_not_found() => {
            context.informers.pods.forget(pod);
            Ok(())
        }
        Err(error) => {
            let message = format!("Error deleting: {}", error.for_people());
            context.events.warning(owner, "FailedDelete", message);
            Err(error)
        }
    }
}

/// Whether a pod that was asked to go is still there.
fn is_held_back(pod: &Pod) -> bool {
    pod.metadata.deletion_grace_period_seconds.is_some_and(|seconds| seconds > 0)
        || pod.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
}
