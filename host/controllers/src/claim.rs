//! Which dependents a controller holds: those it controls and that still match its selector stay,
//! those that no longer match are released, matching ones that nobody controls are adopted.

use std::sync::Arc;

use coracle_api::owner;
use coracle_api::selector::Selector;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use serde_json::json;

use crate::error::{Error, Result, While, all};
use crate::informer::{Informer, Kind};

/// The dependents of `owner` among what `informer` holds.
pub(crate) async fn claim<O, D>(
    client: &kube::Client,
    owner: &O,
    selector: &Selector,
    informer: &Informer<D>,
) -> Result<Vec<Arc<D>>>
where
    O: Kind + kube::Resource<Scope = NamespaceResourceScope>,
    D: Kind + kube::Resource<Scope = NamespaceResourceScope>,
{
    claim_those(client, owner, selector, informer, |_| true, &[]).await
}

/// As [`claim`], where the selector alone does not make a dependent.
pub(crate) async fn claim_members<O, D>(
    client: &kube::Client,
    owner: &O,
    selector: &Selector,
    informer: &Informer<D>,
    is_member: impl Fn(&D) -> bool,
) -> Result<Vec<Arc<D>>>
where
    O: Kind + kube::Resource<Scope = NamespaceResourceScope>,
    D: Kind + kube::Resource<Scope = NamespaceResourceScope>,
{
    claim_those(client, owner, selector, informer, is_member, &[]).await
}

/// As [`claim`]; what is adopted gets `finalizers`, what is released loses them.
pub(crate) async fn claim_with_finalizers<O, D>(
    client: &kube::Client,
    owner: &O,
    selector: &Selector,
    informer: &Informer<D>,
    finalizers: &[&str],
) -> Result<Vec<Arc<D>>>
where
    O: Kind + kube::Resource<Scope = NamespaceResourceScope>,
    D: Kind + kube::Resource<Scope = NamespaceResourceScope>,
{
    claim_those(client, owner, selector, informer, |_| true, finalizers).await
}

async fn claim_those<O, D>(
    client: &kube::Client,
    owner: &O,
    selector: &Selector,
    informer: &Informer<D>,
    is_member: impl Fn(&D) -> bool,
    finalizers: &[&str],
) -> Result<Vec<Arc<D>>>
where
    O: Kind + kube::Resource<Scope = NamespaceResourceScope>,
    D: Kind + kube::Resource<Scope = NamespaceResourceScope>,
{
    let metadata = owner.meta();
    let uid = metadata.uid.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let leaving = metadata.deletion_timestamp.is_some();
    let matches =
        |object: &Arc<D>| selector.matches_some(object.meta().labels.as_ref()) && is_member(object);

    let (mut held, strangers): (Vec<_>, Vec<_>) =
        informer.controlled_by(uid).into_iter().partition(matches);
    let orphans = informer
        .uncontrolled(namespace)
        .into_iter()
        .filter(|object| !leaving && object.meta().deletion_timestamp.is_none() && matches(object));
    let orphans: Vec<_> = orphans.collect();
    if strangers.is_empty() && orphans.is_empty() {
        return Ok(held);
    }

    let api = Api::<D>::namespaced(client.clone(), namespace);
    if !leaving {
        let released =
            strangers.iter().map(|object| release(&api, object, uid, informer, finalizers));
        all(futures::future::join_all(released).await)?;
    }
    if !orphans.is_empty() {
        may_adopt(client, owner).await?;
        let adopted = orphans.iter().map(|object| adopt(&api, object, owner, informer, finalizers));
        held.extend(all(futures::future::join_all(adopted).await)?.into_iter().flatten());
    }
    Ok(held)
}

/// Asks the server itself whether `owner` is still there and stays: what is held in memory may be
/// out of date, and an orphan of a deleted owner must not be adopted by its ghost.
async fn may_adopt<O>(client: &kube::Client, owner: &O) -> Result<()>
where
    O: Kind + kube::Resource<Scope = NamespaceResourceScope>,
{
    let metadata = owner.meta();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    let fresh = Api::<O>::namespaced(client.clone(), namespace)
        .get(name)
        .await
        .doing("making sure that the owner is still there")?;
    if fresh.meta().uid != metadata.uid {
        return Err(Error::Unfinished(format!("{namespace}/{name} is another one by now")));
    }
    if fresh.meta().deletion_timestamp.is_some() {
        return Err(Error::Unfinished(format!("{namespace}/{name} is being deleted")));
    }
    Ok(())
}

/// Makes `owner` the controller of `object`; none if it vanished meanwhile.
async fn adopt<O: Kind, D: Kind>(
    api: &Api<D>,
    object: &D,
    owner: &O,
    informer: &Informer<D>,
    finalizers: &[&str],
) -> Result<Option<Arc<D>>> {
    let mut patch = json!({"metadata": {
        "uid": object.meta().uid,
        "ownerReferences": [owner::controller_reference(owner)],
    }});
    if !finalizers.is_empty() {
        patch["metadata"]["finalizers"] = json!(finalizers);
    }
    write(api, object, patch, informer, "adopting").await
}

async fn release<D: Kind>(
    api: &Api<D>,
    object: &D,
    uid: &str,
    informer: &Informer<D>,
    finalizers: &[&str],
) -> Result<Option<Arc<D>>> {
    let mut patch = json!({"metadata": {
        "uid": object.meta().uid,
        "ownerReferences": [{"$patch": "delete", "uid": uid}],
    }});
    if !finalizers.is_empty() {
        patch["metadata"]["$deleteFromPrimitiveList/finalizers"] = json!(finalizers);
    }
    write(api, object, patch, informer, "releasing").await
}

async fn write<D: Kind>(
    api: &Api<D>,
    object: &D,
    patch: serde_json::Value,
    informer: &Informer<D>,
    doing: &'static str,
) -> Result<Option<Arc<D>>> {
    let name = object.meta().name.as_deref().unwrap_or_default();
    let patched = api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    match patched.doing(doing) {
        Ok(patched) => Ok(Some(informer.observe(patched))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
