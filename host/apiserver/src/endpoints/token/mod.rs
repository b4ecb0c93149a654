//! `serviceaccounts/token`: a token for a service account, on request
//! (`pkg/registry/core/serviceaccount/storage/token.go`).

mod node;

use axum::body::Body;
use coracle_api::{clock, dice};
use http::{Response, StatusCode};
use jiff::SignedDuration;
use k8s_openapi::api::authentication::v1::{
    BoundObjectReference, TokenRequest, TokenRequestSpec, TokenRequestStatus,
};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::negotiate::Output;
use super::options::WriteOptions;
use super::{Call, body, respond};
use crate::authn::service_account::{Bound, Claims, Reference, WARN_AFTER};
use crate::error::{ApiError, Cause, Result};
use crate::registry::{Facts, Kind, Object, key};

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
const HOUR: i64 = 3600;
/// What a token lives at least, and at most, in seconds.
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
/// What a token lives that must suit clients that never read it again.
const YEAR: i64 = 365 * 24 * HOUR;

pub(super) async fn create(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = Output::negotiate(&call.headers, &call.params)?;
    let options = WriteOptions::read(&call.params, "CreateOptions")?;
    let json = body::json(call, body).await?;
    let mut request: TokenRequest = serde_json::from_slice(&json).map_err(|error| {
        let message = format!(
            "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: {error}"
        );
        ApiError::bad_request(message)
    })?;
    let (namespace, name) = (&call.target.namespace, &call.target.name);
    belongs(&request, namespace, name)?;
    node::restrict(call, &request).await?;
    let account = object::<ServiceAccount>(call, kind, namespace, name).await?;
    let own = call.server.authenticator.service_accounts.issuer().to_owned();
    let mut spec = request.spec.take().unwrap_or_default();
    let audiences = spec.audiences.get_or_insert_default();
    if audiences.is_empty() {
        audiences.push(own.clone());
    }
    let seconds = *spec.expiration_seconds.get_or_insert(HOUR);
    check(seconds)?;
    let bound = match &spec.bound_object_ref {
        Some(reference) => bound(call, name, reference).await?,
        None => Bound::Nothing,
    };
    let now = clock::now();
    let lenient = seconds == WARN_AFTER
        && matches!(bound, Bound::Pod(..))
        && spec.audiences.as_deref() == Some(std::slice::from_ref(&own));
    let life = if lenient { YEAR } else { seconds };
    let claims = Claims {
        namespace: namespace.clone(),
        account: reference(&*account),
        bound,
        audiences: spec.audiences.clone().unwrap_or_default(),
        id: dice::uuid(),
        not_before: Some(now.as_second()),
        expires: Some(now.as_second() + life),
        warn_after: lenient.then(|| now.as_second() + seconds),
    };
    let token = if options.dry_run { None } else { Some(sign(call, &claims)?) };
    let end = now.checked_add(SignedDuration::from_secs(seconds)).map_err(ApiError::internal)?;
    request.metadata.name = Some(name.clone());
    request.metadata.namespace = Some(namespace.clone());
    request.metadata.creation_timestamp = Some(Time(now));
    request.status = Some(TokenRequestStatus { token, expiration_timestamp: Some(Time(end)) });
    request.spec = Some(TokenRequestSpec { ..spec });
    let value = serde_json::to_value(&request).map_err(ApiError::internal)?;
    respond::value(StatusCode::CREATED, output, &value)
}

fn sign(call: &Call, claims: &Claims) -> Result<String> {
    let token = call.server.authenticator.service_accounts.sign(claims);
    token.ok_or_else(|| ApiError::internal("failed to generate token"))
}

fn invalid(name: &str, cause: Cause) -> ApiError {
    ApiError::invalid(GROUP, KIND, name, vec![cause])
}

/// Refuses a body that speaks of another service account than the path.
fn belongs(request: &TokenRequest, namespace: &str, name: &str) -> Result<()> {
    let meta = &request.metadata;
    for (field, given, own) in
        [("name", &meta.name, name), ("namespace", &meta.namespace, namespace)]
    {
        let given = given.as_deref().unwrap_or_default();
        if !given.is_empty() && given != own {
            let detail = format!("must match the service account {field} if specified");
            return Err(invalid(name, Cause::invalid(format!("metadata.{field}"), given, &detail)));
        }
    }
    Ok(())
}

fn check(seconds: i64) -> Result<()> {
    let detail = if seconds < SHORTEST {
        "may not specify a duration less than 10 minutes"
    } else if seconds > LONGEST {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    Err(invalid("", Cause::invalid("spec.expirationSeconds", seconds, detail)))
}

async fn object<T: Object>(
    call: &Call,
    kind: &dyn Kind,
    namespace: &str,
    name: &str,
) -> Result<Box<T>> {
    let names = kind.names();
    let missing = || ApiError::not_found(&names.group, &names.plural, name);
    let entry = call.server.store.get(&key(names, namespace, name)).await?.ok_or_else(missing)?;
    let object: Box<dyn std::any::Any> = kind.restore(&entry.value)?;
    object.downcast().map_err(|_| missing())
}

fn reference(object: &impl kube::ResourceExt) -> Reference {
    Reference { name: object.name_any(), uid: object.uid().unwrap_or_default() }
}

/// What the token shall end with.
async fn bound(call: &Call, account: &str, to: &BoundObjectReference) -> Result<Bound> {
    let (version, kind) =
        (to.api_version.as_deref().unwrap_or_default(), to.kind.as_deref().unwrap_or_default());
    let name = to.name.as_deref().unwrap_or_default();
    let core = matches!(version, "" | "v1");
    let namespace = call.target.namespace.as_str();
    let found = match kind {
        "Pod" if core => {
            let pods = stored(call, "pods")?;
            let pod = object::<Pod>(call, &*pods, namespace, name).await?;
            let spec = pod.spec.clone().unwrap_or_default();
            if spec.service_account_name.as_deref() != Some(account) {
                return Err(ApiError::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with \
                     different serviceaccount name."
                )));
            }
            let node = match spec.node_name.filter(|node| !node.is_empty()) {
                None => None,
                Some(node) => Some(match facts(call, "nodes", "", &node).await {
                    Ok(uid) => Reference { name: node, uid },
                    // A node that is not there any more is known by its name.
                    Err(error) if error.reason == crate::Reason::NotFound => {
                        Reference { name: node, uid: String::new() }
                    }
                    Err(error) => return Err(error),
                }),
            };
            Bound::Pod(reference(&*pod), node)
        }
        "Secret" if core => Bound::Secret(Reference {
            name: name.to_owned(),
            uid: facts(call, "secrets", namespace, name).await?,
        }),
        "Node" if core => Bound::Node(Reference {
            name: name.to_owned(),
            uid: facts(call, "nodes", "", name).await?,
        }),
        _ => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            return Err(ApiError::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let uid = match &found {
        Bound::Pod(to, _) | Bound::Secret(to) | Bound::Node(to) => to.uid.as_str(),
        Bound::Nothing | Bound::Legacy(_) => "",
    };
    match to.uid.as_deref().filter(|given| !given.is_empty() && *given != uid) {
        None => Ok(found),
        Some(given) => Err(ApiError::conflict(
            "",
            kind,
            name,
            &format!(
                "the UID in the bound object reference ({given}) does not match the UID in record. \
                 The object might have been deleted and then recreated"
            ),
        )),
    }
}

fn stored(call: &Call, plural: &str) -> Result<std::sync::Arc<dyn Kind>> {
    call.server.registry.kind("", plural).ok_or_else(ApiError::no_such_path)
}

/// The uid of an object.
async fn facts(call: &Call, plural: &str, namespace: &str, name: &str) -> Result<String> {
    let kind = stored(call, plural)?;
    let entry = call.server.store.get(&key(kind.names(), namespace, name)).await?;
    let entry = entry.ok_or_else(|| ApiError::not_found("", plural, name))?;
    Ok(Facts::of(&entry, &*kind).map(|facts| facts.uid.clone()).unwrap_or_default())
}
