//! Creating the pods that are missing and deleting those that are too many.

use std::sync::Arc;

use coracle_api::owner::controller_of;
use coracle_api::pods;
use k8s_openapi::api::core::v1::Pod;

use super::Replicated;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::podcontrol::{self, BURST};
use crate::ranking;

/// Brings the number of pods to what is asked for.
pub(super) async fn manage(
    context: &Context,
    owner: &impl Replicated,
    active: &[Arc<Pod>],
) -> Result<()> {
    let wanted = usize::try_from(owner.replicas()).unwrap_or(0);
    if active.len() < wanted {
        let missing = wanted - active.len();
        let pod = from_template(owner)?;
        podcontrol::create_slowly(context, owner, &vec![pod; missing.min(BURST)]).await?;
        if missing > BURST {
            return Err(Error::Unfinished(format!(
                "{} pods are still to be created",
                missing - BURST
            )));
        }
    } else if active.len() > wanted {
        let surplus = active.len() - wanted;
        let related = related_pods(context, owner);
        let now = coracle_api::clock::now();
        let victims = ranking::victims(active, &related, surplus.min(BURST), now);
        podcontrol::delete_all(context, owner, &victims).await?;
        if surplus > BURST {
            return Err(Error::Unfinished(format!(
                "{} pods are still to be deleted",
                surplus - BURST
            )));
        }
    }
    Ok(())
}

/// The pod that the owner's template describes.
fn from_template<O: Replicated>(owner: &O) -> Result<Pod> {
    let without = || Error::Invalid(format!("a {} without template", O::kind(&())));
    let template = owner.template().ok_or_else(without)?;
    Ok(podcontrol::from_template(owner, template))
}

/// The active pods of all objects of the kind that have the same owner, this one's included.
fn related_pods<O: Replicated>(context: &Context, owner: &O) -> Vec<Arc<Pod>> {
    let informers = &context.informers;
    let family = match controller_of(owner.meta()) {
        Some(above) => O::informer(informers).controlled_by(&above.uid),
        None => vec![Arc::new(owner.clone())],
    };
    let uids = family.iter().filter_map(|member| member.meta().uid.as_deref());
    let related = uids.flat_map(|uid| informers.pods.controlled_by(uid));
    related.filter(|pod| pods::is_active(pod)).collect()
}
