//! The parameters of a policy: objects of any kind that a binding names or selects.

use coracle_api::selector::Selector;
use coracle_store::{Entry, Range};
use k8s_openapi::api::admissionregistration::v1::{ParamKind, ParamRef};
use serde_json::Value;

use super::super::review::Review;
use crate::registry::{Facts, Kind, key, prefix};

/// The parameters, each for an evaluation of its own. Null stands for none: for a policy that
/// knows no parameters, and a binding that gives none.
pub(super) async fn collect(
    review: &Review<'_>,
    kind: Option<&ParamKind>,
    reference: Option<&ParamRef>,
) -> Result<Vec<Value>, String> {
    let (Some(wanted), Some(reference)) = (kind, reference) else { return Ok(vec![Value::Null]) };
    let server = review.attributes.write.server;
    let (api_version, name) = (
        wanted.api_version.as_deref().unwrap_or_default(),
        wanted.kind.as_deref().unwrap_or_default(),
    );
    let table = server.registry.table();
    let known = |kind: &&std::sync::Arc<dyn Kind>| {
        let names = kind.names();
        *names.kind == *name && names.api_version() == api_version
    };
    let Some(kind) = table.kinds().iter().find(known) else {
        return Err(format!(
            "failed to find resource referenced by paramKind: '{api_version}, Kind={name}'"
        ));
    };
    let names = kind.hub().names();
    let given = reference.namespace.as_deref().unwrap_or_default();
    let namespace = match (names.namespaced, given) {
        (false, "") => "",
        (false, _) => {
            return Err(
                "paramRef.namespace must not be provided for a cluster-scoped `paramKind`".into()
            );
        }
        (true, "") if review.attributes.write.namespace.is_empty() => {
            return Err("cannot use namespaced paramRef in policy binding that matches \
                        cluster-scoped resources"
                .into());
        }
        (true, "") => review.attributes.write.namespace,
        (true, given) => given,
    };
    let mut found = vec![];
    let failed = |error: coracle_store::Error| error.to_string();
    match (reference.name.as_deref().filter(|name| !name.is_empty()), &reference.selector) {
        (Some(name), _) => {
            found.extend(server.store.get(&key(names, namespace, name)).await.map_err(failed)?);
        }
        (None, Some(selector)) => {
            let selector = Selector::try_from(selector).map_err(|error| error.to_string())?;
            let selected = |entry: &Entry| {
                Facts::of(entry, kind.hub()).is_some_and(|facts| selector.matches(&facts.labels))
            };
            let page = server.store.range(&prefix(names, namespace), Range::default()).await;
            found.extend(page.map_err(failed)?.entries.into_iter().filter(|entry| selected(entry)));
        }
        (None, None) => return Err("one of name or selector must be provided".into()),
    }
    if found.is_empty() && reference.parameter_not_found_action.as_deref() == Some("Deny") {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".into());
    }
    let mut params = vec![];
    for entry in found {
        let shown = kind.shown(entry.value.clone()).await.map_err(|error| error.to_string())?;
        params.push(serde_json::from_slice(&shown).map_err(|error| error.to_string())?);
    }
    Ok(params)
}
