//! Looking at one object: does it go, does it stay, are its dependents let go. Always asks the server
//! for the present state first, and writes only if nothing changed since.

use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tracing::debug;

use super::graph::{FOREGROUND, Identity, Node, ORPHAN};
use super::{Collector, Work};
use crate::dynamic;
use crate::error::{Error, Result, While, all};
use crate::runner::Next;

/// An owner reference, judged.
enum Owner {
    /// The owner is there and stays.
    Solid,
    /// There is no such owner.
    Dangling,
    /// The owner goes as soon as its dependents have gone.
    Waiting,
}

/// Decides whether an object must go, and makes it go.
pub(super) async fn attempt_to_delete(collector: &Collector, uid: &str) -> Result<Next> {
    let Some(node) = collector.graph().get(uid).cloned() else { return Ok(Next::Wait) };
    // The way to the end is one way: its dependents are looked at when it has ended.
    if node.is_being_deleted && !node.waits_for_dependents {
        return Ok(Next::Wait);
    }
    if !node.waits_for_dependents && collector.graph().is_held(uid) {
        return Ok(Next::Wait);
    }
    let api = api_of(collector, &node.identity)?;
    let latest = dynamic::metadata(&api, &node.identity.name).await?;
    let Some(latest) = latest.filter(|latest| latest.uid.as_deref() == Some(uid)) else {
        collector.change(|graph, work| {
            if node.observed.is_some() {
                graph.remove(uid, work);
            } else {
                graph.not_found(uid, work);
            }
        });
        return Ok(Next::Wait);
    };
    if node.observed.is_none() {
        // It exists: its watch will tell of it.
        return Err(Error::Unfinished(format!("{} is not observed yet", node.identity.name)));
    }
    if node.waits_for_dependents {
        return let_dependents_go(collector, &api, &node, &latest).await;
    }
    let owners = latest.owner_references.clone().unwrap_or_default();
    if owners.is_empty() {
        return Ok(Next::Wait);
    }
    let mut solid = false;
    let mut waiting = false;
    let mut useless = Vec::new();
    for owner in &owners {
        match judge(collector, &node, owner).await? {
            Owner::Solid => solid = true,
            Owner::Dangling => useless.push(owner.uid.clone()),
            Owner::Waiting => {
                waiting = true;
                useless.push(owner.uid.clone());
            }
        }
    }
    if solid {
        // A waiting owner must not be held back by what stays for another one.
        if !useless.is_empty() {
            drop_owners(&api, &latest, &useless).await?;
        }
        return Ok(Next::Wait);
    }
    let dependents = collector.graph().dependents(uid);
    let policy = if waiting && !dependents.is_empty() {
        if dependents.iter().any(|dependent| dependent.waits_for_dependents) {
            // There may be a circle: none of them may wait for another then.
            unblock_owners(&api, &latest).await?;
        }
        PropagationPolicy::Foreground
    } else {
        let has = |finalizer: &str| latest.finalizers.iter().flatten().any(|one| one == finalizer);
        match (has(ORPHAN), has(FOREGROUND)) {
            (true, _) => PropagationPolicy::Orphan,
            (false, true) => PropagationPolicy::Foreground,
            (false, false) => PropagationPolicy::Background,
        }
    };
    debug!(kind = node.identity.kind, name = node.identity.name, ?policy, "collecting");
    delete(collector, &api, &node.identity, policy).await
}

/// The objects among which `identity` is.
fn api_of(collector: &Collector, identity: &Identity) -> Result<Api<DynamicObject>> {
    let discovered = collector.discovered();
    let client = &collector.context.client;
    match discovered.find(&identity.api_version, &identity.kind) {
        Some(kind) => Ok(kind.api(client, &identity.namespace)),
        // A kind may appear later: its dependents wait until it does.
        None => {
            Err(Error::Unfinished(format!("no kind {} in {}", identity.kind, identity.api_version)))
        }
    }
}

async fn judge(collector: &Collector, node: &Node, owner: &OwnerReference) -> Result<Owner> {
    if collector.graph().is_absent(owner, &node.identity.namespace) {
        return Ok(Owner::Dangling);
    }
    let namespace = &node.identity.namespace;
    let api = {
        let discovered = collector.discovered();
        let Some(kind) = discovered.find(&owner.api_version, &owner.kind) else {
            return Err(Error::Unfinished(format!(
                "no kind {} in {}",
                owner.kind, owner.api_version
            )));
        };
        if kind.namespaced && namespace.is_empty() {
            // What is in no namespace cannot be owned by what is in one: it is left alone.
            return Ok(Owner::Solid);
        }
        kind.api(&collector.context.client, namespace)
    };
    let Some(found) = dynamic::metadata(&api, &owner.name).await? else {
        return Ok(Owner::Dangling);
    };
    if found.uid.as_deref() != Some(&owner.uid) {
        return Ok(Owner::Dangling);
    }
    let waits = found.deletion_timestamp.is_some()
        && found.finalizers.iter().flatten().any(|one| one == FOREGROUND);
    Ok(if waits { Owner::Waiting } else { Owner::Solid })
}

async fn delete(
    collector: &Collector,
    api: &Api<DynamicObject>,
    identity: &Identity,
    policy: PropagationPolicy,
) -> Result<Next> {
    let preconditions = Preconditions { uid: Some(identity.uid.clone()), resource_version: None };
    let params = DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    match api.delete(&identity.name, &params).await.doing("collecting an object") {
        Ok(_) => Ok(Next::Wait),
        Err(error) if error.is_not_found() || error.is_conflict() => {
            // Gone, or another one of that name: the watch may have missed its end.
            let gone = dynamic::metadata(api, &identity.name).await?;
            if gone.is_none_or(|found| found.uid.as_deref() != Some(&identity.uid)) {
                collector.change(|graph, work| graph.remove(&identity.uid, work));
                return Ok(Next::Wait);
            }
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Looks after the dependents of an object that waits for them, or lets it go if none is left.
async fn let_dependents_go(
    collector: &Collector,
    api: &Api<DynamicObject>,
    node: &Node,
    latest: &ObjectMeta,
) -> Result<Next> {
    let blocking = collector.graph().blocking_dependents(&node.identity.uid);
    if blocking.is_empty() {
        remove_finalizer(api, latest, FOREGROUND).await?;
        return Ok(Next::Wait);
    }
    for dependent in blocking.into_iter().filter(|dependent| !dependent.waits_for_dependents) {
        collector.queue.add(Work::Delete(dependent.identity.uid));
    }
    Ok(Next::Wait)
}

/// Leaves the dependents of an object to themselves, then lets the object go.
pub(super) async fn orphan(collector: &Collector, uid: &str) -> Result<Next> {
    let Some(node) = collector.graph().get(uid).cloned() else { return Ok(Next::Wait) };
    let dependents = collector.graph().dependents(uid);
    let released = dependents.iter().map(|dependent| async {
        let api = api_of(collector, &dependent.identity)?;
        let latest = dynamic::metadata(&api, &dependent.identity.name).await?;
        let same = |latest: &ObjectMeta| latest.uid.as_ref() == Some(&dependent.identity.uid);
        match latest.filter(same) {
            Some(latest) => drop_owners(&api, &latest, &[uid.to_owned()]).await,
            None => Ok(()),
        }
    });
    all(join_all(released).await)?;
    let api = api_of(collector, &node.identity)?;
    let latest = dynamic::metadata(&api, &node.identity.name).await?;
    if let Some(latest) = latest.filter(|latest| latest.uid.as_deref() == Some(uid)) {
        remove_finalizer(&api, &latest, ORPHAN).await?;
    }
    Ok(Next::Wait)
}

async fn drop_owners(
    api: &Api<DynamicObject>,
    latest: &ObjectMeta,
    owners: &[String],
) -> Result<()> {
    let mut kept = latest.owner_references.clone().unwrap_or_default();
    let before = kept.len();
    kept.retain(|owner| !owners.contains(&owner.uid));
    if kept.len() == before {
        return Ok(());
    }
    patch(api, latest, json!({"ownerReferences": kept})).await
}

async fn unblock_owners(api: &Api<DynamicObject>, latest: &ObjectMeta) -> Result<()> {
    let mut owners = latest.owner_references.clone().unwrap_or_default();
    for owner in &mut owners {
        owner.block_owner_deletion = Some(false);
    }
    patch(api, latest, json!({"ownerReferences": owners})).await
}

async fn remove_finalizer(
    api: &Api<DynamicObject>,
    latest: &ObjectMeta,
    finalizer: &str,
) -> Result<()> {
    let mut kept = latest.finalizers.clone().unwrap_or_default();
    let before = kept.len();
    kept.retain(|one| one != finalizer);
    if kept.len() == before {
        return Ok(());
    }
    patch(api, latest, json!({"finalizers": kept})).await
}

/// Changes metadata, provided that nobody else has since `latest`. A merge patch: every kind has it.
async fn patch(api: &Api<DynamicObject>, latest: &ObjectMeta, change: Value) -> Result<()> {
    let mut metadata = change;
    metadata["uid"] = json!(latest.uid);
    metadata["resourceVersion"] = json!(latest.resource_version);
    let name = latest.name.as_deref().unwrap_or_default();
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let patched = api.patch_metadata(name, &PatchParams::default(), &patch).await;
    match patched.doing("changing an object's metadata") {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
