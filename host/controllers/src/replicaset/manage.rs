//! Creating the pods that are missing and deleting those that are too many.

use std::sync::Arc;

use coracle_api::{owner, pods};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::podcontrol::{self, BURST};
use crate::ranking;

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
        let pod = from_template(replica_set)?;
        podcontrol::create_slowly(context, replica_set, &vec![pod; missing.min(BURST)]).await?;
        if missing > BURST {
            return Err(Error::Unfinished(format!(
                "{} pods are still to be created",
                missing - BURST
            )));
        }
    } else if active.len() > wanted {
        let surplus = active.len() - wanted;
        let related = related_pods(context, replica_set);
        let now = coracle_api::clock::now();
        let victims = ranking::victims(active, &related, surplus.min(BURST), now);
        podcontrol::delete_all(context, replica_set, &victims).await?;
        if surplus > BURST {
            return Err(Error::Unfinished(format!(
                "{} pods are still to be deleted",
                surplus - BURST
            )));
        }
    }
    Ok(())
}

/// The pod that a ReplicaSet's template describes.
fn from_template(replica_set: &ReplicaSet) -> Result<Pod> {
    let template = replica_set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let template =
        template.ok_or_else(|| Error::Invalid("a ReplicaSet without template".into()))?;
    Ok(podcontrol::from_template(replica_set, template))
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
