//! What tokens a node may ask for: those of its own pods, for whom their volumes name
//! (`plugin/pkg/admission/noderestriction`; a token is not stored, so admission does not see it).

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use k8s_openapi::api::storage::v1::CSIDriver;
use kube::ResourceExt;

use super::super::Call;
use super::{object, stored};
use crate::authz::node::node_of;
use crate::authz::{Attributes, Decision, ResourceAttributes};
use crate::error::{ApiError, Result};
use crate::registry::{Object, key};

/// Lets nodes ask for audiences that no volume of theirs names, as a resource of that name.
const VERB: &str = "request-serviceaccounts-token-audience";

pub(super) async fn restrict(call: &Call, request: &TokenRequest) -> Result<()> {
    let Some(node) = node_of(&call.identity) else { return Ok(()) };
    let spec = request.spec.clone().unwrap_or_default();
    match refusal(call, node, &spec).await? {
        None => Ok(()),
        Some(why) => Err(ApiError::forbidden("", "serviceaccounts", &call.target.name, &why)),
    }
}

async fn refusal(call: &Call, node: &str, spec: &TokenRequestSpec) -> Result<Option<String>> {
    let Some(reference) = spec.bound_object_ref.as_ref().filter(|reference| {
        (reference.api_version.as_deref(), reference.kind.as_deref()) == (Some("v1"), Some("Pod"))
            && reference.name.as_deref().is_some_and(|name| !name.is_empty())
    }) else {
        return Ok(Some("node requested token not bound to a pod".into()));
    };
    let uid = reference.uid.as_deref().unwrap_or_default();
    if uid.is_empty() {
        return Ok(Some("node requested token with a pod binding without a uid".into()));
    }
    let name = reference.name.as_deref().unwrap_or_default();
    let pods = stored(call, "pods")?;
    let pod = object::<Pod>(call, &*pods, &call.target.namespace, name).await?;
    if pod.metadata.uid.as_deref() != Some(uid) {
        return Ok(Some(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The \
             object might have been deleted and then recreated"
        )));
    }
    if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) != Some(node) {
        let why = "node requested token bound to a pod scheduled on a different node";
        return Ok(Some(why.into()));
    }
    let audience = match spec.audiences.as_deref().unwrap_or_default() {
        [] => "",
        [only] => only,
        _ => return Ok(Some("node may only request 0 or 1 audiences".into())),
    };
    if names_audience(call, &pod, audience).await? || may_request(call, audience).await? {
        return Ok(None);
    }
    let user = &call.identity.name;
    Ok(Some(format!(
        "audience {audience:?} not found in pod spec volume, {user} is not authorized to request \
         tokens for this audience"
    )))
}

async fn may_request(call: &Call, audience: &str) -> Result<bool> {
    let resource = ResourceAttributes {
        resource: audience,
        namespace: &call.target.namespace,
        name: &call.target.name,
        ..ResourceAttributes::default()
    };
    let asked =
        Attributes { verb: VERB, resource: Some(resource), ..Attributes::of(&call.identity) };
    let decision = call.server.authorizer.authorize(&*call.server.store, &asked).await?;
    Ok(matches!(decision, Decision::Allow(_)))
}

/// Whether a volume of the pod needs a token for this audience, itself or by its driver.
async fn names_audience(call: &Call, pod: &Pod, audience: &str) -> Result<bool> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    for volume in volumes {
        let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_deref());
        let tokens = sources
            .unwrap_or_default()
            .iter()
            .filter_map(|source| source.service_account_token.as_ref());
        let mut audiences = tokens.map(|token| token.audience.as_deref().unwrap_or_default());
        if audiences.any(|named| named == audience) {
            return Ok(true);
        }
        if let Some(driver) = driver(call, pod, volume).await?
            && driver_names(call, &driver, audience).await?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The storage driver of a volume, if it has one.
async fn driver(call: &Call, pod: &Pod, volume: &Volume) -> Result<Option<String>> {
    if let Some(source) = &volume.csi {
        return Ok(Some(source.driver.clone()));
    }
    let claim = match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => source.claim_name.clone(),
        (None, Some(_)) => format!("{}-{}", pod.name_any(), volume.name),
        (None, None) => return Ok(None),
    };
    let namespace = call.target.namespace.as_str();
    let claim =
        found::<PersistentVolumeClaim>(call, "", "persistentvolumeclaims", namespace, &claim);
    let Some(volume) = claim.await?.and_then(|claim| claim.spec?.volume_name) else {
        return Ok(None);
    };
    let volume = found::<PersistentVolume>(call, "", "persistentvolumes", "", &volume).await?;
    Ok(volume.and_then(|volume| volume.spec?.csi).map(|source| source.driver))
}

async fn driver_names(call: &Call, driver: &str, audience: &str) -> Result<bool> {
    let driver = found::<CSIDriver>(call, "storage.k8s.io", "csidrivers", "", driver).await?;
    let requests = driver.and_then(|driver| driver.spec.token_requests).unwrap_or_default();
    Ok(requests.iter().any(|request| request.audience == audience))
}

async fn found<T: Object>(
    call: &Call,
    group: &str,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<Box<T>>> {
    let Some(kind) = call.server.registry.kind(group, plural) else { return Ok(None) };
    let Some(entry) = call.server.store.get(&key(kind.names(), namespace, name)).await? else {
        return Ok(None);
    };
    let object: Box<dyn std::any::Any> = kind.restore(&entry.value)?;
    Ok(object.downcast().ok())
}
