//! Carrying out a plan: slices are created, updated and deleted, all at once.

use coracle_api::owner;
use futures::future::join_all;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};

use super::plan::Plan;
use crate::context::Context;
use crate::error::{Result, While, all};
use crate::informer::Kind;

/// Writes what is planned for the slices of `whole`, which owns them.
pub(super) async fn carry_out<O: Kind>(context: &Context, whole: &O, plan: Plan) -> Result<()> {
    let Context { client, informers, events, .. } = context;
    let namespace = whole.meta().namespace.as_deref().unwrap_or_default();
    let api = Api::<EndpointSlice>::namespaced(client.clone(), namespace);
    let slices = &informers.endpoint_slices;

    let created = plan.create.iter().map(|slice| async {
        let mut slice = slice.clone();
        slice.metadata.owner_references = Some(vec![owner::controller_reference(whole)]);
        match api.create(&PostParams::default(), &slice).await.doing("creating a slice") {
            Ok(created) => drop(slices.observe(created)),
            Err(error) if error.is_namespace_terminating() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    });
    let updated = plan.update.iter().map(|slice| async {
        let name = slice.metadata.name.as_deref().unwrap_or_default();
        let written = api.replace(name, &PostParams::default(), slice).await;
        slices.observe(written.doing("updating a slice")?);
        Ok(())
    });
    let deleted = plan.delete.iter().map(|slice| async {
        let name = slice.metadata.name.as_deref().unwrap_or_default();
        let only_this = Preconditions { uid: slice.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        match api.delete(name, &params).await.doing("deleting a slice") {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => slices.forget(slice),
        }
        Ok(())
    });
    let results = tokio::join!(join_all(created), join_all(updated), join_all(deleted));
    let result = all(results.0.into_iter().chain(results.1).chain(results.2));
    if let Err(error) = result {
        if !error.is_conflict() {
            let name = whole.meta().name.as_deref().unwrap_or_default();
            let message = format!(
                "Error updating Endpoint Slices for {} {namespace}/{name}: {}",
                O::kind(&()),
                error.for_people()
            );
            events.warning(whole, "FailedToUpdateEndpointSlices", message);
        }
        return Err(error);
    }
    Ok(())
}
