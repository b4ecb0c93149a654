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

fn api(context: &Context, pod: &Pod) -> Api<Pod> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    Api::namespaced(context.client.clone(), namespace)
}

/// Does what makes a pod to each of `wanted` in batches of 1, 2, 4, ..., so that a reason that refuses
/// every pod is met once and not hundreds of times.
pub(crate) async fn slowly<'a, T, F, R>(
    mut wanted: &'a [T],
    create: impl Fn(&'a T) -> F,
) -> Result<()>
where
    F: Future<Output = Result<R>>,
{
    let mut batch = 1;
    while !wanted.is_empty() {
        let (now, later) = wanted.split_at(batch.min(wanted.len()));
        match all(join_all(now.iter().map(&create)).await) {
            Ok(_) => {}
            // Nothing more can be created here, and nobody needs to hear of it.
            Err(Error::Several { first, .. }) if first.is_namespace_terminating() => return Ok(()),
            Err(error) => return Err(error),
        }
        wanted = later;
        batch *= 2;
    }
    Ok(())
}

/// Creates `pods`, slowly.
pub(crate) async fn create_slowly(
    context: &Context,
    owner: &impl Kind,
    pods: &[Pod],
) -> Result<()> {
    slowly(pods, |pod| create(context, owner, pod)).await
}

/// Creates one pod, without a word.
pub(crate) async fn make(context: &Context, pod: &Pod) -> Result<Arc<Pod>> {
    let created = api(context, pod).create(&PostParams::default(), pod).await;
    Ok(context.informers.pods.observe(created.doing("creating a pod")?))
}

/// Creates one pod.
pub(crate) async fn create(context: &Context, owner: &impl Kind, pod: &Pod) -> Result<Arc<Pod>> {
    let created = make(context, pod).await;
    match &created {
        Ok(created) => {
            let name = created.metadata.name.as_deref().unwrap_or_default();
            context.events.normal(owner, "SuccessfulCreate", format!("Created pod: {name}"));
        }
        Err(error) if error.is_namespace_terminating() => {}
        Err(error) => {
            let message = format!("Error creating: {}", error.for_people());
            context.events.warning(owner, "FailedCreate", message);
        }
    }
    created
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

/// Deletes one pod, without a word; answers whether it was still there.
pub(crate) async fn take_away(context: &Context, pod: &Pod) -> Result<bool> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let only_this = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
    match api(context, pod).delete(name, &params).await.doing("deleting a pod") {
        Ok(answer) => {
            match answer.left() {
                Some(object)
                    if object.metadata.deletion_timestamp.is_some() && is_held_back(&object) =>
                {
                    context.informers.pods.observe(object);
                }
                _ => context.informers.pods.forget(pod),
            }
            Ok(true)
        }
        Err(error) if error.is_not_found() => {
            context.informers.pods.forget(pod);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Deletes one pod; that it is gone already is no error.
pub(crate) async fn delete(context: &Context, owner: &impl Kind, pod: &Pod) -> Result<()> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    match take_away(context, pod).await {
        Ok(true) => {
            context.events.normal(owner, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(())
        }
        Ok(false) => Ok(()),
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
